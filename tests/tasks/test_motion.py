"""Motion in percent of the diagonal a second, whatever the size and frame rate; black, static,
blurred.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.configs.row_errors import SamplesMissing
from curate.configs.settings import Settings
from curate.tasks.motion import Motion, black, blur, flow, static
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.flow import measure_still
from curate.tasks.video.measures import Pair, Still
from curate.worker.session.pipelines import resolve
from tests.media import CLOSED, draw, footage, picture, write_image, write_video

FILTER = "not_static"


def scores(path: Path, home: Path, **options: Any) -> dict[str, Any]:
    """split, then motion, for the first clip of a file."""
    context = Context(Settings(home=home))
    probed = {"media_type": "image" if path.suffix == ".png" else "video"}
    video = Video(1, 1, str(path), path.name, probed)
    new = Split(Split.Options(min_seconds=0.0, **options), context).run(video).clips[0]
    clip = Clip(
        1,
        1,
        new.index,
        video,
        new.start_pts,
        new.end_pts,
        Fraction(1),
        new.scores,
        context.settings.samples,
    )
    return dict(Motion(Motion.Options(), context).run(clip).scores)


def moving(size: tuple[int, int], speed: int, fps: int, tmp_path: Path) -> Path:
    path = tmp_path / f"{size[0]}_{speed}_{fps}.mp4"
    return write_video(
        path, footage(fps, size=size, speed=speed), CLOSED if fps == 24 else _at(fps)
    )


def _at(fps: int) -> Any:
    from dataclasses import replace

    return replace(CLOSED, pts=list(range(fps)), time_base=Fraction(1, fps))


def test_flow_is_percent_of_the_diagonal_a_second(tmp_path: Path) -> None:
    found = scores(moving((320, 192), 2, 24, tmp_path), tmp_path)
    diagonal = float(np.hypot(320, 192))
    assert found["flow"] == pytest.approx(100 * 2 * 24 / diagonal, rel=0.3)


@pytest.mark.parametrize(("width", "speed", "fps"), [(640, 4, 24), (320, 4, 12), (320, 1, 48)])
def test_flow_does_not_depend_on_size_or_frame_rate(
    tmp_path: Path, width: int, speed: int, fps: int
) -> None:
    base = scores(moving((320, 192), 2, 24, tmp_path), tmp_path)["flow"]
    found = scores(moving((width, width * 3 // 5), speed, fps, tmp_path), tmp_path)["flow"]
    assert found == pytest.approx(base, rel=0.3)


def test_faster_footage_flows_more(tmp_path: Path) -> None:
    found = [
        scores(moving((320, 192), speed, 24, tmp_path), tmp_path)["flow"] for speed in (1, 2, 4)
    ]
    assert found[0] * 1.4 < found[1] and found[1] * 1.4 < found[2]


def test_flow_of_a_still_picture_is_zero(tmp_path: Path) -> None:
    found = scores(write_video(tmp_path / "a.mp4", [picture(1)] * 30, CLOSED), tmp_path)
    assert found["flow"] < 0.5 and found["static"] == 1.0


def slide(film: float, tmp_path: Path) -> Path:
    """A slide of words, with a moving film in a corner of so much of its area."""
    width, height = (round(side * film**0.5) for side in (320, 180))
    frames = []
    for n in range(24):
        frame = picture(1, size=(320, 180), style="text").copy()
        if film:
            frame[-height:, -width:] = picture(n, size=(width, height), speed=1)
        frames.append(frame)
    return write_video(tmp_path / "a.mp4", frames, CLOSED)


@pytest.mark.parametrize(("film", "stays"), [(0.0, False), (0.04, True)])
def test_the_default_line_drops_a_slide_but_not_one_with_a_small_speaker(
    film: float, stays: bool, tmp_path: Path
) -> None:
    """Of which `static` alone would drop both."""
    found = scores(slide(film, tmp_path), tmp_path)
    (where,) = (f.where for f in resolve(None, ready=False).pipeline.filters if f.name == FILTER)
    with closing(sqlite3.connect(":memory:")) as connection:
        sql = f"SELECT {where} FROM (SELECT :static AS static, :flow AS flow)"
        assert connection.execute(sql, found).fetchone() == (int(stays),)
        image = {"static": None, "flow": None}
        assert connection.execute(sql, image).fetchone() == (1,)
    assert found["static"] == 1.0


def test_moving_footage_is_not_static_black_or_blurred(tmp_path: Path) -> None:
    found = scores(draw("b_frames", tmp_path).path, tmp_path)
    assert found["static"] == 0.0 and found["black"] == 0.0


def test_black_footage_is_black(tmp_path: Path) -> None:
    assert (
        scores(write_video(tmp_path / "a.mp4", footage(20, style="black"), CLOSED), tmp_path)[
            "black"
        ]
        == 1.0
    )


def test_white_footage_is_not_black(tmp_path: Path) -> None:
    assert (
        scores(write_video(tmp_path / "a.mp4", footage(20, style="white"), CLOSED), tmp_path)[
            "black"
        ]
        == 0.0
    )


def test_blurred_footage_is_less_sharp(tmp_path: Path) -> None:
    sharp, soft = (measure_still(picture(3, style=s), 0.0).sharpness for s in ("static", "blurred"))  # type: ignore[arg-type]
    assert soft < sharp / 2


def test_an_image_has_no_motion_but_is_measured(tmp_path: Path) -> None:
    found = scores(write_image(tmp_path / "a.png"), tmp_path)
    assert found["flow"] is None and found["static"] is None
    assert found["black"] == 0.0 and found["blur"] > 0


def test_one_frame_has_no_motion(tmp_path: Path) -> None:
    found = scores(write_video(tmp_path / "a.mp4", footage(1), CLOSED), tmp_path)
    assert found["flow"] is None and found["static"] is None


def test_samples_that_are_gone_fail_the_clip(tmp_path: Path) -> None:
    video = Video(1, 1, "a", "a", {})
    clip = Clip(1, 1, 0, video, 0, 1, Fraction(1), {}, tmp_path)
    with pytest.raises(SamplesMissing):
        Motion(Motion.Options(), Context(Settings(home=tmp_path))).run(clip)


def test_the_columns_are_those_written(tmp_path: Path) -> None:
    assert set(scores(draw("closed", tmp_path).path, tmp_path)) == set(Motion.columns)


def test_flow_is_an_average_over_time_not_over_pairs() -> None:
    assert flow(
        [Pair(0, 0.1, 10.0, 1.0), Pair(1, 0.3, 2.0, 1.0), Pair(2, 0.1, None, 1.0)]
    ) == pytest.approx(4.0)


def test_static_weighs_time_not_pairs() -> None:
    busy = [Pair(0.04, 0.04, 9.0, 5.0), Pair(0.29, 0.04, 9.0, 5.0)]
    still = Pair(30.0, 29.0, 0.0, 0.0)
    assert static([*busy, still], 31.0) == pytest.approx(30.355 / 31)
    assert static(busy, 0.5) == 0.0
    assert static([still], 31.0) == 1.0


def test_static_does_not_depend_on_how_the_still_time_is_divided() -> None:
    busy = Pair(1.0, 0.04, 9.0, 5.0)
    still = [Pair(t, 0.04, 0.0, 0.0) for t in (2.0, 3.0, 4.0, 5.0)]
    assert static([busy, *still], 5.5) == static([busy, still[0]], 5.5)


RECORDER = replace(CLOSED, time_base=Fraction(1, 24))


def test_a_pause_of_a_screen_recorder_is_static(tmp_path: Path) -> None:
    # half a second of movement, ten seconds with nothing recorded, half a second of movement
    pts = [*range(12), *range(252, 264)]
    path = write_video(tmp_path / "a.mp4", footage(24), replace(RECORDER, pts=pts))
    found = scores(path, tmp_path, detector="stride", stride_seconds=60.0)
    assert found["static"] == pytest.approx(9.6 / 11, abs=0.1)
    every = [picture(n) for n in [*range(11), *[11] * 241, *range(12, 24)]]
    same = write_video(tmp_path / "b.mp4", every, CLOSED)  # a recorder that leaves nothing out
    whole = scores(same, tmp_path, detector="stride", stride_seconds=60.0)
    assert found["static"] == pytest.approx(whole["static"], abs=0.1)
    assert found["flow"] < 2 * max(whole["flow"], 0.1)


def test_one_frame_that_is_shown_for_long_is_static(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(2), replace(RECORDER, pts=[0, 24 * 30]))
    found = scores(path, tmp_path, detector="stride", stride_seconds=60.0)
    assert (found["static"], found["flow"]) == (1.0, 0.0)


def test_a_slow_camera_is_not_static(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(8), replace(CLOSED, rate=Fraction(1)))
    assert scores(path, tmp_path, detector="stride", stride_seconds=60.0)["static"] == 0.0


def test_the_form_of_the_measures_is_written(tmp_path: Path) -> None:
    assert scores(draw("closed", tmp_path).path, tmp_path)["motion_form"] == 2


def test_shares_and_median() -> None:
    assert static([Pair(0.1, 0.1, 0.0, 0.4), Pair(0.2, 0.1, 0.0, 0.5)], 0.2) == 0.5
    stills = [Still(0, 10.0, 5.0, 1.0), Still(0, 10.0, 12.0, 3.0), Still(0, 40.0, 0.0, 50.0)]
    assert black(stills) == pytest.approx(1 / 3)
    assert blur(stills) == 3.0


def test_without_measures_nothing_is_measured() -> None:
    assert (flow([]), static([], 1.0), black([]), blur([])) == (None, None, None, None)
