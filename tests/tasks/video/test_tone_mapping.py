"""HDR pictures come out in BT.709 as swscale maps them: in samples, clips and picked frames.

All in one file, because a process computes the mapping once, for seconds.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curate.configs.row_errors import HighDynamicRange
from curate.configs.settings import Settings
from curate.tasks.cut import Cut, CutOptions
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.frame_picker import pick_frames
from curate.tasks.video.graphs import chain
from curate.tasks.video.probing import probe_video
from curate.tasks.video.samples import Samples
from curate.tasks.video.scenes import Shrinker
from curate.tasks.video.span import Pick, Span
from curate.tasks.video.tone_mapping import ToneMapper
from tests.media import Encoding, Image, draw, footage, write_video

HAND = (
    "scale=out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=limited:"
    "intent=perceptual"
)
COUNT = 24


@pytest.fixture(scope="module")
def hlg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of one scene, tagged as HLG in BT.2020."""
    ten_bits = Encoding(options={"preset": "ultrafast"}, pix_fmt="yuv420p10le")
    encoding = ten_bits.x264(colorprim="bt2020", transfer="arib-std-b67", colormatrix="bt2020nc")
    path = tmp_path_factory.mktemp("hdr") / "hlg.mp4"
    return write_video(path, footage(COUNT, size=(160, 96)), encoding)


@pytest.fixture(scope="module")
def expected(hlg: Path) -> list[av.VideoFrame]:
    """The frames through swscale's own mapping."""
    frames = frames_of(hlg)
    graph = chain(frames[0], [HAND, "format=yuv420p"])
    mapped = []
    for frame in frames:
        graph.vpush(frame)
        mapped.append(graph.vpull())
    return mapped


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def rgb(frame: av.VideoFrame) -> Image:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def difference(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def tags(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    return frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range


def settings(folder: Path) -> Context:
    return Context(Settings(home=folder / "home"))


def clip(path: Path, transfer: str | None = "arib-std-b67") -> Clip:
    video = Video(1, 1, str(path), path.name, {"clip_stem": path.stem, "transfer": transfer})
    base = Fraction(1, 12288)
    return Clip(1, 1, 0, video, 0, COUNT * 512, base, {"num_frames": COUNT}, path.parent)


def split(path: Path, folder: Path, **options: Any) -> Samples:
    stage = Split(Split.Options(min_seconds=0, **options), settings(folder))
    (made,) = stage.run(Video(1, 1, str(path), path.name, {})).clips
    return Samples.open(Settings(home=folder / "home").samples, 1, made.index)


def cut(path: Path, folder: Path, **options: Any) -> list[av.VideoFrame]:
    outcome = Cut(CutOptions(crf=10, **options), settings(folder)).run(clip(path))
    return frames_of(Path(str(outcome.scores["path"])))


def test_a_frame_is_mapped_as_swscale_maps_it(hlg: Path, expected: list[av.VideoFrame]) -> None:
    mapper = ToneMapper()
    for frame, by_hand in zip(frames_of(hlg)[:3], expected, strict=False):
        mapped = mapper(frame, (160, 96))
        assert (mapped.format.name, tags(mapped)) == ("yuv420p", (1, 1, 1, 1))
        assert (mapped.pts, mapped.time_base) == (frame.pts, frame.time_base)
        assert difference(rgb(mapped), rgb(by_hand)) < 2
        assert difference(rgb(mapped), rgb(frame)) > 5


def test_a_frame_is_scaled_on_the_way(hlg: Path, expected: list[av.VideoFrame]) -> None:
    mapped = ToneMapper()(frames_of(hlg)[0], (80, 48))
    small = expected[0].reformat(80, 48, interpolation="BICUBIC")
    assert (mapped.width, mapped.height) == (80, 48)
    assert difference(rgb(mapped), rgb(small)) < 4


def test_a_frame_that_is_not_hdr_is_passed_on(tmp_path: Path) -> None:
    frame = frames_of(draw("audio", tmp_path).path)[0]
    assert np.array_equal(Shrinker(ToneMapper()).shrink(frame), Shrinker().shrink(frame))


def test_samples_are_mapped(hlg: Path, expected: list[av.VideoFrame], tmp_path: Path) -> None:
    assert difference(split(hlg, tmp_path).first(), rgb(expected[0])) < 5
    assert difference(split(hlg, tmp_path, hdr="keep").first(), rgb(frames_of(hlg)[0])) < 5


def test_the_detectors_see_mapped_pictures(hlg: Path, expected: list[av.VideoFrame]) -> None:
    seen = Shrinker(ToneMapper()).shrink(frames_of(hlg)[0])[..., ::-1]
    assert difference(seen, rgb(expected[0])) < 2


def test_clips_are_mapped(hlg: Path, expected: list[av.VideoFrame], tmp_path: Path) -> None:
    frames = cut(hlg, tmp_path)
    assert len(frames) == COUNT and {tags(f) for f in frames} == {(1, 1, 1, 1)}
    differences = [difference(rgb(a), rgb(b)) for a, b in zip(frames, expected, strict=True)]
    assert max(differences) < 4


def test_clips_keep_their_tags_when_told_to(hlg: Path, tmp_path: Path) -> None:
    frames = cut(hlg, tmp_path, hdr="keep")
    assert tags(frames[0])[:3] == (9, 18, 9)
    assert difference(rgb(frames[0]), rgb(frames_of(hlg)[0])) < 4


def test_copied_clips_stay_hdr(hlg: Path, tmp_path: Path) -> None:
    assert tags(cut(hlg, tmp_path, mode="copy")[0])[:3] == (9, 18, 9)


def test_picked_frames_are_mapped(hlg: Path, expected: list[av.VideoFrame]) -> None:
    whole = Span(0, COUNT * 512, Fraction(1, 12288), COUNT)
    (found,) = pick_frames(str(hlg), whole, lambda _: [Pick([0, 7])])
    assert difference(found[0], rgb(expected[0])) < 2
    assert difference(found[1], rgb(expected[7])) < 2


@pytest.mark.parametrize("mode", ["encode", "copy"])
def test_hdr_fails_when_told_to(hlg: Path, tmp_path: Path, mode: str) -> None:
    transfer = probe_video(str(hlg))["transfer"]
    row = clip(hlg, transfer)
    with pytest.raises(HighDynamicRange, match=r"arib-std-b67.*option hdr of cut"):
        Cut(CutOptions(mode=mode, hdr="fail"), settings(tmp_path)).run(row)  # type: ignore[arg-type]
    with pytest.raises(HighDynamicRange, match="option hdr of split"):
        Split(Split.Options(hdr="fail"), settings(tmp_path)).run(row.video)


def test_sdr_does_not_fail(tmp_path: Path) -> None:
    path = draw("closed", tmp_path).path
    row = clip(path, probe_video(str(path))["transfer"])
    assert Cut(CutOptions(hdr="fail"), settings(tmp_path)).run(row).scores["path"]
