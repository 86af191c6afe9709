"""The motion of the camera, on drawn views of a painting: names, rates, signs."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from curate.tasks.camera import camera, label
from curate.tasks.text.extras import with_motion
from curate.tasks.video.flow import measure_pair, with_held
from curate.tasks.video.geometry import Geometry
from curate.tasks.video.measures import CameraMove, Pair
from curate.tasks.video.one_pass import SplitPlan, split_video
from curate.tasks.video.pieces import Lengths
from curate.tasks.video.samples import Samples, writing_samples
from tests.media import CLOSED, replace, write_video
from tests.tasks.scenery import painting

GAP = 1 / 25


def pairs(rates: dict[str, float], objects: bool = False) -> list[Pair]:
    """Six pairs of a move: pan and tilt in widths a second, zoom as logarithm, roll in degrees."""
    canvas = painting(5)
    return [
        measure_pair(
            view(canvas, rates, at, objects), view(canvas, rates, at + GAP, objects), at, GAP,
            camera=True,
        )
        for at in np.linspace(0, 1.5, 6)
    ]  # fmt: skip


def view(canvas: np.ndarray, rates: dict[str, float], at: float, objects: bool) -> np.ndarray:
    """What the camera sees: 256 x 144."""
    scale = math.exp(rates.get("zoom", 0) * at)
    angle = -math.radians(rates.get("roll", 0)) * at
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x = canvas.shape[1] / 2 + 256 * rates.get("pan", 0) * at
    y = canvas.shape[0] / 2 - 256 * rates.get("tilt", 0) * at
    matrix = np.array([[cos, -sin, 128 - cos * x + sin * y], [sin, cos, 72 - sin * x - cos * y]])
    seen = cv2.warpAffine(canvas, matrix, (256, 144), borderMode=cv2.BORDER_REFLECT_101)
    if objects:
        left = 20 + int(100 * at)
        seen[40:110, left : left + 70] = canvas[:70, :70]
    noise = np.random.default_rng(int(at * 100)).normal(0, 2, seen.shape)
    return (seen + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("static", {}),
        ("pan_left", {"pan": -0.05}), ("pan_right", {"pan": 0.3}),
        ("tilt_up", {"tilt": 0.1}), ("tilt_down", {"tilt": -0.1}),
        ("zoom_in", {"zoom": 0.2}), ("zoom_out", {"zoom": -0.2}),
        ("roll", {"roll": 20.0}),
        ("complex", {"pan": 0.1, "tilt": 0.1}),
    ],
)  # fmt: skip
def test_a_move_is_named_and_measured(name: str, rates: dict[str, float]) -> None:
    found = camera(pairs(rates, objects=True))
    assert found["camera_motion"] == name
    expected = {"pan": 0.0, "tilt": 0.0, "zoom": 0.0, "roll": 0.0} | rates
    expected["zoom"] = math.expm1(expected["zoom"])
    slack = {"pan": 0.004, "tilt": 0.004, "zoom": 0.01, "roll": 1.0}
    for rate, value in expected.items():
        near = pytest.approx(value, rel=0.1, abs=slack[rate])
        assert found[f"camera_{rate}"] == near


def test_what_moves_before_a_camera_that_goes_along_is_told() -> None:
    empty, crossed = (camera(pairs({"pan": 0.1}, objects))["flow_object"] for objects in (0, 1))
    assert float(empty or 0) < 0.3 * float(crossed or 0)


def test_a_hand_shakes() -> None:
    rng = np.random.default_rng(1)
    moves = [CameraMove(*rng.normal(0, 0.1, 2), 0.0, 0.0, 1.0, 1.0) for _ in range(40)]
    found = camera([Pair(0.25 * n, GAP, 1.0, 5.0, move) for n, move in enumerate(moves)])
    assert found["camera_motion"] == "handheld"
    assert found["camera_shake"] == pytest.approx(0.1 * math.sqrt(2), rel=0.25)


def test_to_and_fro_is_complex() -> None:
    assert label([(0.2, 0, 0, 0)] * 5 + [(-0.2, 0, 0, 0)] * 5, 0.01) == "complex"


@pytest.mark.parametrize("side", [1, 12, 40])
@pytest.mark.parametrize("style", ["black", "noise"])
def test_where_no_motion_fits_nothing_is_said(side: int, style: str) -> None:
    rng = np.random.default_rng(0)
    frames = [
        np.zeros((side, side), np.uint8) if style == "black"
        else rng.integers(0, 255, (side, side)).astype(np.uint8)
        for _ in range(2)
    ]  # fmt: skip
    found = camera([measure_pair(*frames, 1.0, GAP, camera=True)])
    if style == "noise" and side >= 16:  # by chance a motion may seem to fit a little
        assert found["camera_motion"] in (None, "complex")
    else:
        assert found["camera_motion"] == ("static" if side >= 16 else None)
    rates = [value for value in found.values() if isinstance(value, float)]
    assert all(math.isfinite(rate) for rate in rates)


def test_without_pairs_there_is_nothing_to_measure() -> None:
    assert set(camera([]).values()) == {None}


def test_a_picture_that_is_held_stands_still() -> None:
    assert camera(with_held([], [(0.0, 9.0)], camera=True))["camera_motion"] == "static"


def test_names_are_known_to_captions() -> None:
    for name in ("static", "pan_left", "roll", "handheld", "tilt_down"):
        assert with_motion("A dog.", name) == f"A dog. Camera motion: {name.replace('_', ' ')}."


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_move_is_told_as_it_is_displayed(rotation: int, mirrored: bool) -> None:
    rates = {"pan": 0.2, "tilt": 0.1, "roll": 10.0}
    displayed = [view(painting(5), rates, at, False) for at in (0.0, GAP)]
    unmirrored = [frame[:, ::-1] if mirrored else frame for frame in displayed]
    stored = [np.ascontiguousarray(np.rot90(frame, rotation // 90)) for frame in unmirrored]
    height, width = stored[0].shape
    shape = Geometry(width, height, Fraction(1), rotation, mirrored)
    found = measure_pair(*stored, GAP, GAP, camera=True).camera
    expected = measure_pair(*displayed, GAP, GAP, camera=True).camera
    assert found is not None and expected is not None
    told = found.as_displayed(shape)
    assert (told.pan, told.tilt) == pytest.approx((expected.pan, expected.tilt), abs=0.005)
    assert told.roll == pytest.approx(expected.roll, abs=0.6)


def test_upwards_counts_in_widths_of_what_is_displayed() -> None:
    wide = Geometry(320, 180, Fraction(2), 0)
    assert CameraMove(0.2, 0.1).as_displayed(wide) == CameraMove(0.2, 0.05)


def test_a_phone_held_upright_pans_to_the_side(tmp_path: Path) -> None:
    """Its pictures are stored lying, with a rotation beside them."""
    canvas = painting(3, (500, 400))
    frames = [cv2.cvtColor(canvas[:320, 4 * n : 4 * n + 180], cv2.COLOR_GRAY2RGB) for n in range(8)]
    lying = [np.ascontiguousarray(np.rot90(frame)) for frame in frames]
    path = write_video(tmp_path / "a.mp4", lying, replace(CLOSED, rotation=90))
    plan = SplitPlan(lengths=Lengths(0.0, None, "split", None), camera=True, flow_fps=24)
    with writing_samples(tmp_path, 1) as writer:
        split_video(str(path), plan, writer)
    found = camera(Samples.open(tmp_path, 1, 0).pairs)
    assert found["camera_motion"] == "pan_right"
    assert found["camera_pan"] == pytest.approx(4 * 24 / 180, rel=0.1)
