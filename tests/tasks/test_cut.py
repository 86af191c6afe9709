"""Cut clips hold exactly the planned source frames, read back by the bar code in each frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from curate.configs.row_errors import CannotCopy, CutMismatch, Unreadable
from curate.configs.settings import Settings
from curate.tasks.cut import Cut, CutOptions
from curate.tasks.inputs.paths import to_text
from curate.tasks.stage import Clip, Context, Outcome, Video
from curate.tasks.storage.clip_paths import clip_path
from curate.tasks.video.copying import count_shown
from curate.tasks.video.decode import decode, open_file, open_media, video_stream
from curate.tasks.video.geometry import geometry
from curate.tasks.video.probing import probe_video
from tests import media
from tests.tasks.video.test_deinterlace import combing, write_interlaced

ENDS = (0, media.CUT, 41, media.COUNT)  # bounds of three clips, in source frames


def at(frame: av.VideoFrame) -> Fraction:
    assert frame.pts is not None and frame.time_base is not None
    return frame.pts * frame.time_base


def clips(path: Path, bounds: Sequence[tuple[int, int]], **values: Any) -> list[Clip]:
    """Clips over the shown frames of a file, as split would make them."""
    with open_media(to_text(str(path))) as container:
        stream = video_stream(container)
        pts = [f.pts or 0 for f in decode(container, stream)]
        base = stream.time_base or Fraction(1)
    pts.append(2 * pts[-1] - pts[-2] if len(pts) > 1 else pts[0] + 1)
    video = Video(7, 1, str(path), path.name, {"clip_stem": to_text(path.stem)} | values)
    made = enumerate(bounds)
    return [
        Clip(i, 1, i, video, pts[a], pts[b], base, {"num_frames": b - a}, path.parent)
        for i, (a, b) in made
    ]


def stage(folder: Path, **options: Any) -> Cut:
    return Cut(CutOptions(**options), Context(Settings(home=folder / "home"), folder="set"))


def run(source: media.Drawn, folder: Path, **options: Any) -> list[Outcome]:
    hidden = media.COUNT - len(source.numbers)
    bounds = [(max(0, a - hidden), b - hidden) for a, b in pairwise(ENDS)]
    return stage(folder, **options).run_batch(clips(source.path, bounds))


def with_pyav(outcome: Outcome) -> list[int]:
    with av.open(str(outcome.scores["path"])) as container:
        pictures = [(f.to_ndarray(format="rgb24"), f.rotation) for f in container.decode(video=0)]
    return [media.frame_number(np.rot90(p, round(turn / 90))) for p, turn in pictures]


def with_opencv(outcome: Outcome) -> list[int]:
    capture = media.opencv_reader(Path(str(outcome.scores["path"])))
    numbers = []
    while (read := capture.read())[0]:
        numbers.append(media.frame_number(read[1]))
    return numbers


def planned(source: media.Drawn) -> list[list[int]]:
    return [[n for n in source.numbers if a <= n < b] for a, b in pairwise(ENDS)]


@pytest.mark.parametrize("kind", media.SOUND)
def test_encoded_clips_show_exactly_the_planned_frames(kind: str, tmp_path: Path) -> None:
    source = media.draw(kind, tmp_path)
    outcomes = run(source, tmp_path, preset="ultrafast")
    assert [with_pyav(o) for o in outcomes] == planned(source)
    assert [with_opencv(o) for o in outcomes] == planned(source)


@pytest.mark.parametrize("kind", media.SOUND)
def test_a_clip_cut_alone_after_a_seek_shows_the_same_frames(kind: str, tmp_path: Path) -> None:
    source = media.draw(kind, tmp_path)
    first = source.numbers[0]
    (row,) = clips(source.path, [(31 - first, 44 - first)])
    assert with_pyav(stage(tmp_path, preset="ultrafast").run(row)) == list(range(31, 44))


@pytest.mark.parametrize("kind", [k for k in media.SOUND if k != "webm"])
def test_copied_clips_start_exactly_and_hold_every_planned_frame(kind: str, tmp_path: Path) -> None:
    source = media.draw(kind, tmp_path)
    for outcome, plan in zip(run(source, tmp_path, mode="copy"), planned(source), strict=True):
        shown = with_pyav(outcome)
        assert shown[0] == plan[0] and set(plan) <= set(shown)
        assert len(shown) - len(plan) <= 2  # the documented tail: what a B-frame refers to
        assert outcome.scores["num_frames"] == len(shown) and with_opencv(outcome) == shown


@pytest.mark.parametrize("mode", ["encode", "copy"])
@pytest.mark.parametrize("encoding", [media.CLOSED, media.B_FRAMES, media.LONG_GOP])
def test_a_clip_that_ends_in_a_pause_is_no_longer_than_planned(
    mode: str, encoding: media.Encoding, tmp_path: Path
) -> None:
    # a screen recorder: 30 frames, 30 s with nothing, 18 frames
    pts = [*range(30), *range(750, 768)]
    recorded = replace(encoding, pts=pts, time_base=Fraction(1, 24))
    path = media.write_video(tmp_path / "a.mp4", media.footage(48), recorded)
    first, second = clips(path, [(0, 30), (30, 48)])
    first = replace(first, end_pts=first.end_pts - 720 * (second.end_pts - second.start_pts) // 18)
    a, b = stage(tmp_path, mode=mode).run_batch([first, second])
    assert with_pyav(a)[:30] == list(range(30))
    assert with_pyav(b)[:18] == list(range(30, 48))
    with av.open(str(a.scores["path"])) as container:
        assert container.duration is not None
        assert container.duration / 1e6 <= 30 / 24 + (0.01 if mode == "encode" else 4 / 24)


@pytest.mark.parametrize(
    ("kind", "copied"), [("closed", [1, 1, 0]), ("audio", [1, 1, 0]), ("open_gop", [0, 0, 0])]
)
def test_a_smart_cut_copies_what_is_whole_and_encodes_the_rest(
    kind: str, copied: list[int], tmp_path: Path
) -> None:
    source = media.draw(kind, tmp_path)
    cut_at = [(0, 12), *pairwise((12, 41, media.COUNT))]
    rows = clips(source.path, cut_at, **probe_video(str(source.path)))
    outcomes = stage(tmp_path, mode="smart", preset="ultrafast").run_batch(rows)
    assert [o.scores["copied"] for o in outcomes] == copied
    assert [with_pyav(o) for o in outcomes] == [list(range(a, b)) for a, b in cut_at]
    assert [with_opencv(o) for o in outcomes] == [list(range(a, b)) for a, b in cut_at]


def test_a_redo_in_another_mode_forgets_what_smart_copied(tmp_path: Path) -> None:
    source = media.draw("closed", tmp_path)
    (row,) = clips(source.path, [(0, 12)], **probe_video(str(source.path)))
    smart = stage(tmp_path, mode="smart").run(row)
    row = replace(row, values={**row.values, **smart.scores})
    assert row["copied"] == 1
    assert stage(tmp_path, mode="encode", preset="ultrafast").run(row).scores["copied"] is None


def test_what_an_mp4_cannot_hold_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match=r"cannot hold vp8.*cut.mode=smart"):
        run(media.draw("webm", tmp_path), tmp_path, mode="copy")


@pytest.mark.parametrize("kind", ["vfr", "vfr_mkv", "offset_ts", "b_frames"])
def test_times_are_those_of_the_source_from_zero(kind: str, tmp_path: Path) -> None:
    source = media.draw(kind, tmp_path)
    with open_media(str(source.path)) as container:
        stream = video_stream(container)
        expected = [at(f) for f in decode(container, stream)][ENDS[1] : ENDS[2]]
    with av.open(str(run(source, tmp_path)[1].scores["path"])) as container:
        found = [at(f) for f in container.decode(video=0)]
    assert found == [t - expected[0] for t in expected]  # exact fractions


def test_a_clip_is_as_long_as_its_span(tmp_path: Path) -> None:
    source = media.draw("vfr", tmp_path)
    with av.open(str(run(source, tmp_path)[1].scores["path"])) as container:
        stream = container.streams.video[0]
        assert float((stream.duration or 0) * (stream.time_base or 0)) == pytest.approx(
            source.seconds[ENDS[2]] - source.seconds[ENDS[1]], abs=0.001
        )


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("closed", (160, 96)),
        ("rotated90", (160, 96)),
        ("odd", (160, 96)),
        ("anamorphic", (232, 96)),
    ],
)
def test_pictures_are_upright_with_square_pixels_and_even_sides(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    with av.open(str(run(media.draw(kind, tmp_path), tmp_path)[0].scores["path"])) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
    assert (frame.width, frame.height) == size and frame.rotation == 0
    assert stream.sample_aspect_ratio in (None, 1) and frame.format.name == "yuv420p"


@pytest.mark.parametrize("mode", ["encode", "copy"])
@pytest.mark.parametrize("matrix", media.MATRICES)
def test_clips_are_shown_as_their_source_is(
    matrix: tuple[int, int, int, int], mode: str, tmp_path: Path
) -> None:
    stored = media.picture(0)
    path = media.write_video(tmp_path / "a.mp4", [stored] * 9, replace(media.CLOSED, matrix=matrix))
    outcome = stage(tmp_path, mode=mode).run(clips(path, [(3, 6)])[0])
    with open_media(str(outcome.scores["path"])) as container:
        stream = video_stream(container)
        frame = next(decode(container, stream))
        shown = geometry(stream, frame).upright(frame.to_ndarray(format="rgb24"))
    expected = media.MATRICES[matrix](stored)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(
    ("options", "interlaced", "combed"),
    [({}, False, False), ({"deinterlace": "off"}, False, True), ({"mode": "copy"}, True, True)],
)
def test_interlaced_frames_become_whole_pictures(
    options: dict[str, Any], interlaced: bool, combed: bool, tmp_path: Path
) -> None:
    source = write_interlaced(tmp_path / "a.mp4")
    outcome = stage(tmp_path, crf=10, **options).run(clips(source, [(2, 9)])[0])
    with av.open(str(outcome.scores["path"])) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 7
    assert {f.interlaced_frame for f in frames} == {interlaced}
    assert {combing(f) > 0 for f in frames} == {combed}


def test_colour_tags_are_kept(tmp_path: Path) -> None:
    with av.open(str(run(media.draw("audio", tmp_path), tmp_path)[0].scores["path"])) as container:
        context = container.streams.video[0].codec_context
        assert (
            context.colorspace,
            context.color_primaries,
            context.color_trc,
            context.color_range,
        ) == (1, 1, 1, 1)


@pytest.mark.parametrize("kind", ["ten_bit", "yuv444", "rotated90"])
def test_colours_survive_conversion(kind: str, tmp_path: Path) -> None:
    source = media.draw(kind, tmp_path)
    with av.open(str(run(source, tmp_path)[0].scores["path"])) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - media.picture(0)).mean() < 6


def test_the_index_is_in_front_of_the_pictures(tmp_path: Path) -> None:
    raw = Path(str(run(media.draw("closed", tmp_path), tmp_path)[0].scores["path"])).read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")


def test_a_source_that_changes_its_size_midway_is_scaled_to_its_first_frame(tmp_path: Path) -> None:
    frames = [media.picture(i, size=(160, 96)) for i in range(10)]
    frames_later = [media.picture(i, size=(320, 192)) for i in range(10, 20)]
    small = media.write_video(tmp_path / "small.ts", frames)
    large = media.write_video(tmp_path / "large.ts", frames_later, replace(media.CLOSED, shift=10))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    (row,) = clips(both, [(4, 16)])
    outcome = stage(tmp_path).run(row)
    assert with_pyav(outcome) == with_opencv(outcome) == list(range(4, 16))


# options


def test_target_fps_and_shorter_size_change_the_file_and_its_columns(tmp_path: Path) -> None:
    source = media.draw("b_frames", tmp_path, size=(320, 192))
    first = run(source, tmp_path, target_fps=12, shorter_size=96)[0]
    assert with_pyav(first) == list(range(0, media.CUT, 2))
    expected = {
        "num_frames": 10,
        "fps": 12.0,
        "width": 160,
        "height": 96,
        "aspect_ratio": 0.6,
        "resolution": 15360,
    }
    assert {k: first.scores[k] for k in expected} == expected
    assert set(first.scores) == set(Cut.columns) - {"seconds", "end_seconds"}, "those of fit"


def test_an_unchanged_clip_writes_only_path_and_size(tmp_path: Path) -> None:
    (outcome, *_) = run(media.draw("closed", tmp_path), tmp_path, mode="encode")
    path = Path(str(outcome.scores["path"]))
    assert (
        dict(outcome.scores) == {"path": str(path), "file_size": path.stat().st_size}
        and path.is_absolute()
    )


def test_a_better_quality_is_larger(tmp_path: Path) -> None:
    source = media.draw("closed", tmp_path)
    sizes = [run(source, tmp_path, crf=crf)[0].scores["file_size"] for crf in (10, 40)]
    assert sizes[0] > sizes[1]  # type: ignore[operator]


def test_copy_refuses_to_change_rate_or_size() -> None:
    with pytest.raises(ValidationError, match="use mode encode"):
        CutOptions(mode="copy", shorter_size=240)


@pytest.mark.parametrize("mode", ["encode", "copy"])
def test_sound_is_kept_when_asked_for_and_as_long_as_the_pictures(
    mode: str, tmp_path: Path
) -> None:
    outcomes = run(media.draw("audio", tmp_path), tmp_path, mode=mode, audio=True)
    with av.open(str(outcomes[1].scores["path"])) as container:
        samples = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    length = (ENDS[2] - ENDS[1]) / 24
    assert samples.shape[1] / 48000 == pytest.approx(length, abs=0.05)
    tone = samples[0, 4000:24000]
    assert np.abs(tone).max() == pytest.approx(0.1, abs=0.03)
    strongest = np.abs(np.fft.rfft(tone)).argmax() * 48000 / len(tone)
    assert strongest == pytest.approx(44100 / (20 * 2 * np.pi), rel=0.02)


def test_sound_is_left_out_by_default_and_a_silent_source_is_fine(tmp_path: Path) -> None:
    with av.open(str(run(media.draw("audio", tmp_path), tmp_path)[0].scores["path"])) as container:
        assert not container.streams.audio
    with av.open(
        str(run(media.draw("closed", tmp_path), tmp_path, audio=True)[0].scores["path"])
    ) as container:
        assert not container.streams.audio


# batches and failures


def test_outcomes_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = clips(media.draw("closed", tmp_path).path, [(0, 10), (10, 20), (20, 30)])
    outcomes = stage(tmp_path).run_batch([rows[2], rows[0], rows[1]])
    assert [with_pyav(o)[0] for o in outcomes] == [20, 0, 10]


def test_a_stretch_without_clips_is_skipped_and_overlapping_clips_are_whole(tmp_path: Path) -> None:
    rows = clips(media.draw("open_gop", tmp_path).path, [(2, 5), (4, 9), (40, 44)])
    assert [with_pyav(o) for o in stage(tmp_path).run_batch(rows)] == [
        [2, 3, 4],
        [4, 5, 6, 7, 8],
        [40, 41, 42, 43],
    ]


def test_another_count_than_planned_fails_and_leaves_no_file(tmp_path: Path) -> None:
    (row,) = clips(media.draw("closed", tmp_path).path, [(0, 10)])
    wrong = Clip(**{**vars(row), "values": {"num_frames": 11}})
    with pytest.raises(CutMismatch, match="10 frames instead of 11"):
        stage(tmp_path).run(wrong)
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]


def test_an_old_or_broken_file_is_replaced(tmp_path: Path) -> None:
    rows = clips(media.draw("closed", tmp_path).path, [(0, 10)])
    path = Path(str(stage(tmp_path).run(rows[0]).scores["path"]))
    path.write_bytes(b"half a clip")
    assert with_pyav(stage(tmp_path).run(rows[0])) == list(range(10))
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("kind", media.DAMAGED)
def test_what_decodes_of_a_damaged_file_can_be_cut(kind: str, tmp_path: Path) -> None:
    path = media.draw_bad(kind, tmp_path)
    with open_media(str(path)) as container:
        shown = sum(1 for _ in decode(container, video_stream(container)))
    for row in clips(
        path, [(0, 10), (10, shown - 8), (shown - 8, shown)]
    ):  # each with a seek of its own
        written = Path(str(stage(tmp_path).run(row).scores["path"]))
        assert count_shown(written) == row["num_frames"]


def test_a_source_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    rows = clips(media.draw("closed", tmp_path).path, [(0, 10)])
    (tmp_path / "closed.mp4").unlink()
    with pytest.raises(Unreadable):
        stage(tmp_path).run(rows[0])


def test_a_still_image_is_not_cut(tmp_path: Path) -> None:
    path = str(media.write_image(tmp_path / "i.png"))
    video = Video(1, 1, path, "i.png", {"size_bytes": 123, "media_type": "image"})
    row = Clip(1, 1, 0, video, 0, 1, Fraction(1), {"num_frames": 1}, tmp_path)
    assert stage(tmp_path).run(row).scores == {"path": path, "file_size": 123}


# names


def place(stem: str, index: int = 0) -> str:
    root = Path("/clips/1")
    return str(clip_path(root, stem, index).relative_to(root))


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("a", "a_scene-0.mp4"),
        ("sub/dir/my.film.2020", "sub/dir/my.film.2020_scene-0.mp4"),
        ("a.mov", "a.mov_scene-0.mp4"),
        ("/else/a", "_root/else/a_scene-0.mp4"),
        ("s3://bucket/k/a", "_s3/bucket/k/a_scene-0.mp4"),
        ("../../etc/a", "_../_../etc/a_scene-0.mp4"),
    ],
)
def test_clips_are_named_after_their_source_and_stay_below_the_root(
    stem: str, expected: str
) -> None:
    assert place(stem) == expected


def test_no_two_clips_share_a_name() -> None:
    stems = [
        "a",
        "a.mov",
        "A",
        "a_scene-1",
        "b/a",
        "/b/a",
        "s3://b/a",
        "s3://b//a",
        "gs://b/a",
        "caf%E9",
        "caf%25E9",
    ]
    stems += ["é" * 120, "é" * 121, "x" * 255]
    places = [place(stem, index) for stem in stems for index in (0, 1, 11)]
    assert len(set(places)) == len(places)
    assert all(len(os.fsencode(Path(p).name)) <= 255 for p in places)


@pytest.mark.parametrize("name", media.ODD_NAMES)
def test_sources_with_odd_names_are_cut(name: bytes, tmp_path: Path) -> None:
    drawn = media.draw("closed", tmp_path).path
    path = drawn.rename(tmp_path / os.fsdecode(name))
    (row,) = clips(path, [(3, 6)])
    text = to_text(str(path))
    odd = Clip(
        **{
            **vars(row),
            "video": Video(1, 1, text, to_text(path.name), {"clip_stem": to_text(path.stem)}),
        }
    )
    outcome = stage(tmp_path).run(odd)
    str(outcome.scores["path"]).encode("utf-8")
    (written,) = (tmp_path / "home/clips/set").iterdir()
    with open_media(str(outcome.scores["path"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert to_text(str(written)) == outcome.scores["path"]


@pytest.mark.parametrize("mode", ["encode", "copy"])
def test_clips_go_to_a_store_as_they_would_to_a_folder(
    mode: str, s3_url: str, tmp_path: Path
) -> None:
    source = media.draw("closed", tmp_path)
    rows = clips(source.path, list(pairwise(ENDS)))
    locally = stage(tmp_path, mode=mode).run_batch(rows)
    context = Context(Settings(home=tmp_path / "home", media=s3_url), folder="set")
    stored = Cut(CutOptions(mode=mode), context).run_batch(rows)  # type: ignore[arg-type]
    assert [o.scores["path"] for o in stored] == [
        f"{s3_url}/set/closed_scene-{i}.mp4" for i in range(3)
    ]
    for there, here in zip(stored, locally, strict=True):
        with open_media(str(there.scores["path"])) as container:
            frames = decode(container, video_stream(container))
            assert [media.frame_number(f.to_ndarray(format="rgb24")) for f in frames] == with_pyav(
                here
            )
        with open_file(str(there.scores["path"])) as file:
            assert file.seek(0, 2) == there.scores["file_size"]
        assert there.scores.keys() == here.scores.keys()


def test_a_clip_that_is_not_as_planned_is_not_uploaded(s3_url: str, tmp_path: Path) -> None:
    (row,) = clips(media.draw("closed", tmp_path).path, [(0, 10)])
    wrong = replace(row, values={"num_frames": 11})
    with pytest.raises(CutMismatch, match="s3://"):
        Cut(CutOptions(), Context(Settings(home=tmp_path, media=s3_url), folder="set")).run(wrong)
    with pytest.raises(Unreadable), open_file(f"{s3_url}/set/closed_scene-0.mp4"):
        pass


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("a/b", "a/b"),
        ("a/b::c", "a/b%3A%3A~c"),
        ("../x", "_../x"),
        ("s3://in/a", "_s3/in/a"),
        ("é ü#?*", "é ü#?*"),
    ],
)
def test_names_below_a_url_stay_below_it_and_can_be_opened(stem: str, expected: str) -> None:
    assert clip_path("s3://b/c", stem, 4) == f"s3://b/c/{expected}_scene-4.mp4"
