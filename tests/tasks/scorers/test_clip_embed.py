"""clip_embed: the vectors that reach the table, and what is said of clips that have none."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny
from tests.tasks.scorers.cases import LOST
from tests.tasks.scorers.found import Found, reasons, vectors


def test_a_clip_without_samples_fails_and_the_batch_goes_on(found: Found) -> None:
    whole = found["clip_embed"]
    assert reasons(whole) == {str(LOST): "SamplesMissing"}
    assert whole["tables"].keys() == {"10", "11", "12", "20", "30", "40"}
    assert reasons(found["clip_embed alone"]) == {str(LOST): "SamplesMissing"}, (
        "no picture at all is no error"
    )


def test_every_row_says_which_model_made_it_of_what(found: Found) -> None:
    whole = found["clip_embed"]
    rows = whole["tables"]["10"]
    assert [(row["frame"], row["position"]) for row in rows] == [(0, 0.1), (1, 0.5), (2, 0.9)]
    assert {(row["model"], row["revision"]) for row in rows} == {(tiny.CLIP, whole["revision"])}
    lengths = np.linalg.norm(vectors(rows), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)


def test_the_frames_asked_for_are_embedded(found: Found) -> None:
    by_frames = found["clip_embed points"]
    positions = {n: [position for position, _ in rows] for n, rows in by_frames.items()}
    assert positions == {"1": [0.5], "2": [0.25, 0.75], "3": [0.1, 0.5, 0.9]}
    assert by_frames["1"][0] == by_frames["3"][1], (
        "the middle is the middle, whatever is in the batch with it"
    )
    every = [vector for rows in by_frames.values() for _, vector in rows]
    assert len(set(every)) == 5, "the others are other pictures"


@pytest.mark.parametrize("clip", ["20", "30"], ids=["one pixel", "1 x 400"])
def test_points_that_fall_on_one_frame_are_embedded_once(clip: str, found: Found) -> None:
    (row,) = found["clip_embed"]["tables"][clip]
    assert (row["frame"], row["position"]) == (0, 0.1), "as the first of them"
    assert np.isfinite(vectors([row])).all()


def test_a_video_of_one_row_of_pixels_is_embedded(found: Found) -> None:
    rows = found["clip_embed"]["tables"]["40"]
    assert len(rows) == 3 and np.isfinite(vectors(rows)).all()


def test_a_picture_of_nan_fails_its_clip_and_moves_no_other(found: Found) -> None:
    """Others may differ in the last bit of float16: MindSpore takes another path beside NaN."""
    sound, broken = found["clip_embed nan"]["sound"], found["clip_embed nan"]["broken"]
    assert reasons(sound) == {} and reasons(broken) == {"11": "NotFinite"}
    assert "embeddings.vector" in broken["failed"]["11"][1]
    assert broken["tables"].keys() == {"10", "12"}
    for clip in ("10", "12"):
        np.testing.assert_allclose(
            vectors(broken["tables"][clip]), vectors(sound["tables"][clip]), atol=1e-4
        )
