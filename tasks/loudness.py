"""How loud the sound of a clip is, and how much of it is silence: the stage `loudness`."""

from __future__ import annotations

from curate.configs.schema import Column
from curate.tasks.inputs.extensions import is_image
from curate.tasks.stage import Clip, Scorer, Scores, StageOptions


class Loudness(Scorer["Loudness.Options"]):
    """Loudness by EBU R128, and the share of silence, by ffmpeg's ebur128 and silencedetect.

    It reads the sound of the source, of the clip's span, mixed to stereo at 48 kHz; pictures are
    not decoded. Where the sound ends before the pictures there is silence. Both columns are NULL
    without sound.
    """

    name = "loudness"
    opens_source = True
    columns = {
        "loudness": Column(
            "float",
            "integrated loudness of EBU R128, LUFS; broadcasts have -23, music about -14; NULL "
            "also where nothing is louder than -70 for 0.4 seconds",
            -70,
            better="higher",
        ),
        "silence": Column(
            "float", "share of the time in stretches of half a second and more under -50 dB of "
            "full scale", 0, 1, "lower",
        ),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `loudness`."""

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises MediaError."""
        from curate.tasks.video.loudness import loudness, silence, span_sound

        sound = span_sound(clip.video.path, clip.span) if may_sound(clip) else None
        if sound is None:
            return {"loudness": None, "silence": None}
        return {"loudness": loudness(sound), "silence": silence(sound)}


def may_sound(clip: Clip) -> bool:
    """Whether the source of a clip may have sound, as far as its row tells."""
    values = clip.video.values
    return values.get("audio", "unknown") is not None and not is_image(clip.video.path)
