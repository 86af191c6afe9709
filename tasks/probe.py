"""Reads what each video is: the stage `probe`."""

from __future__ import annotations

from curate.configs.schema import Column
from curate.tasks.inputs.extensions import is_image
from curate.tasks.stage import Field, Outcome, Stage, StageOptions, Video


class Probe(Stage[Video, "Probe.Options"]):
    """Size, length, rates, codec and keyframes of a source, by one pass over its packets."""

    name = "probe"
    level = "video"
    comes_first = True
    opens_source = True
    stops_at_once = True
    imports = ("curate.tasks.video.probing",)
    columns = {
        "media_type": Column("text", "video or image"),
        "duration": Column(
            "float", "seconds from the first frame to the end of the last; NULL for an image", 0
        ),
        "num_frames": Column("int", "frames by the packets; 1 for an image", 1),
        "fps": Column("float", "frames a second, average; NULL for an image", 0),
        "fps_guessed": Column("float", "frames a second as ffmpeg guesses the nominal rate", 0),
        "width": Column("int", "pixels as displayed: rotation and pixel shape applied", 1),
        "height": Column("int", "pixels as displayed", 1),
        "aspect_ratio": Column("float", "height / width", 0),
        "resolution": Column("int", "height * width", 1),
        "rotation": Column(
            "int", "degrees clockwise to turn the stored picture for display", 0, 270
        ),
        "mirrored": Column("int", "1: after turning, left and right change places; else 0", 0, 1),
        "sample_aspect_ratio": Column("text", "width : height of a stored pixel"),
        "stream_index": Column("int", "number of the video's stream in its file, from 0", 0),
        "codec": Column("text", "video codec, as ffmpeg names it; of an image its format"),
        "pixel_format": Column("text", "as ffmpeg names it"),
        "interlaced_flag": Column(
            "int",
            "1 when the first frame is flagged as two fields of different times, or a picture is "
            "stored as two; else 0. split sets it by all frames",
            0,
            1,
        ),
        "transfer": Column(
            "text",
            "transfer characteristics, as ffmpeg names them: smpte2084 (PQ) and arib-std-b67 (HLG) "
            "are HDR; NULL when unspecified",
        ),
        "primaries": Column(
            "text", "colour primaries, as ffmpeg names them, such as bt2020; NULL when unspecified"
        ),
        "audio": Column(
            "text", "audio codec of the default sound track, as ffmpeg names it; NULL without sound"
        ),
        "first_pts": Column(
            "int", "presentation time stamp of the first frame, in units of the time base"
        ),
        "time_base_num": Column("int", "numerator of the time base, seconds", 1),
        "time_base_den": Column("int", "denominator of the time base", 1),
        "keyframes": Column("text", "presentation time stamps of the keyframes, JSON"),
        "size_bytes": Column("int", "size of the file", 0),
    }

    class Options(StageOptions):
        """Options of `probe`."""

        batch_size: int = Field(32, ge=1, le=4096, description="videos claimed by one task")

    def run(self, row: Video) -> Outcome:
        """The columns of one video or image. Raises MediaError."""
        from curate.tasks.video.probing import probe_image, probe_video

        return Outcome(probe_image(row.path) if is_image(row.path) else probe_video(row.path))
