"""lpips: the distance of neighbouring frames, or why there is none."""

from __future__ import annotations

from tests.tasks.scorers.cases import LOST
from tests.tasks.scorers.found import Found, reasons


def test_lpips_is_null_with_a_reason_where_there_are_not_two_frames(found: Found) -> None:
    scores = found["lpips"]["scores"]
    for clip in ("20", "30"):
        assert scores[clip] == {
            "lpips": None,
            "lpips_reason": "one frame only: it is a still image",
        }
    for clip in ("10", "11", "12", "40"):
        assert scores[clip]["lpips"] > 0 and scores[clip]["lpips_reason"] is None


def test_lpips_of_a_clip_without_samples_fails_it_alone(found: Found) -> None:
    assert reasons(found["lpips"]) == {str(LOST): "SamplesMissing"}
    assert len(found["lpips"]["scores"]) == 6


def test_a_frame_goes_through_the_network_once(found: Found) -> None:
    assert found["lpips"]["passes"] == found["lpips"]["frames"] >= 3


def test_where_nothing_moves_lpips_is_0(found: Found) -> None:
    assert found["lpips still"]["scores"]["10"] == {"lpips": 0.0, "lpips_reason": None}


def test_a_distance_of_nan_fails_its_clip_only(found: Found) -> None:
    assert reasons(found["lpips nan"]) == {"10": "NotFinite"}
    assert found["lpips nan"]["scores"].keys() == {"11"}
