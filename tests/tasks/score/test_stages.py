"""The stages that run networks: what reaches rows and tables of good clips, and what is said of bad
ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.children import found_by
from tests.tasks.score.cases import LOST

Found = Mapping[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of the cases found."""
    return found_by("tests.tasks.score.cases", tmp_path_factory.mktemp("stages"))


def vectors(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """The vectors of rows of `embeddings`, (rows, 768)."""
    return np.array(
        [np.frombuffer(bytes.fromhex(row["vector"]), "<f2") for row in rows], np.float32
    )


def reasons(found: Found) -> dict[str, str]:
    """The kinds of the errors of failed clips."""
    return {clip: kind for clip, (kind, _) in found["failed"].items()}


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


def test_another_text_costs_the_text_tower_only(found: Found) -> None:
    more = found["option_match more"]
    for clip, rows in more["first"]["tables"].items():
        before = {row["option"]: row["score"] for row in rows}
        after = {row["option"]: row["score"] for row in more["second"]["tables"][clip]}
        assert before.keys() == {"a dog", "a cat"} and after.keys() == {
            "a dog",
            "a cat",
            "a red bus",
        }
        assert {text: after[text] for text in before} == pytest.approx(before, abs=1e-4)


def test_the_best_text_is_the_column_and_all_are_in_the_table(found: Found) -> None:
    second = found["option_match more"]["second"]
    assert {scores["option"] for scores in second["scores"].values()} == {"a red bus", "a cat"}
    for clip, scores in second["scores"].items():
        rows = second["tables"][clip]
        assert [row["score"] for row in rows] == sorted(
            (row["score"] for row in rows), reverse=True
        )
        assert (rows[0]["option"], rows[0]["score"]) == (scores["option"], scores["match_option"])


def test_the_prompt_is_what_clip_is_asked_and_the_text_is_what_is_kept(found: Found) -> None:
    asked, written, bare = (
        found["option_match prompts"][name] for name in ("in prompt", "as text", "bare")
    )
    for clip in ("10", "11", "12"):
        score = asked["scores"][clip]["match_option"]
        assert score == pytest.approx(written["scores"][clip]["match_option"], abs=1e-4)
        assert abs(score - bare["scores"][clip]["match_option"]) > 0.1
        (row,) = asked["tables"][clip]
        assert (row["option"], row["prompt"]) == ("dog {x} {}", "a photo of {}")


def test_keep_keeps_the_best(found: Found) -> None:
    kept, whole = found["option_match keep"], found["option_match more"]["second"]
    assert kept["scores"] == whole["scores"]
    for clip, rows in kept["tables"].items():
        assert rows == whole["tables"][clip][:2]


@pytest.mark.parametrize("stage", ["option_match", "match"])
def test_embeddings_that_cannot_be_used_fail_their_clip_only(stage: str, found: Found) -> None:
    bad = found[f"{stage} bad"]
    assert reasons(bad) == {
        "1": "EmbeddingMissing",
        "2": "OtherEmbeddings",
        "3": "EmbeddingMissing",
        "4": "NotFinite",
    }
    assert bad["scores"].keys() == {"10"}
    assert all(stage in message for _, message in bad["failed"].values())
    assert all("curate redo clip_embed" in bad["failed"][clip][1] for clip in "123")


def test_without_a_text_match_is_null(found: Found) -> None:
    first, second = found["match texts"]["found"]
    assert reasons(first) == reasons(second) == {}
    assert [first["scores"][clip]["match"] for clip in "123"] == [None, None, None]
    assert [scores["match"] for scores in second["scores"].values()] == [None, None], (
        "also when nobody has one"
    )


def test_any_text_gives_a_score_and_equal_texts_are_embedded_once(found: Found) -> None:
    """500 words, other scripts, a lone surrogate; blanks around a text are none of it."""
    first, _ = found["match texts"]["found"]
    scores = [first["scores"][clip]["match"] for clip in "0456"]
    assert scores[0] == scores[1]
    assert np.isfinite(scores).all() and len({round(score, 3) for score in scores}) == 3
    assert found["match texts"]["texts embedded"] == [3, 0]


def test_a_long_text_is_cut_or_its_best_sentence_counts(found: Found) -> None:
    long = found["match long"]
    assert long["cut"] == pytest.approx(long["first"], abs=1e-4), (
        "what is behind 77 tokens does not count"
    )
    assert long["best"] == pytest.approx(max(long["alone"]), abs=1e-4)
    assert max(long["alone"]) > long["first"] or long["best"] == pytest.approx(
        long["first"], abs=1e-4
    )


def test_a_repaired_text_scores_as_the_plain_one(found: Found) -> None:
    long = found["match long"]
    assert long["repaired"] == pytest.approx(long["plain"], abs=1e-4)
    assert abs(long["curly"] - long["plain"]) > 1e-3


def test_each_caption_gets_a_score_of_its_own_and_the_best_one_counts(found: Found) -> None:
    some = found["match captions"]
    rows = some["found"]["tables"]["10"]
    assert [row["match"] for row in rows[:2]] == pytest.approx(some["alone"], abs=1e-4)
    assert [(row["id"], row["model"], row["text_raw"], row["text"]) for row in rows] == [
        (0, "m", "raw one", "a dog"), (1, "n", "the sea", None), (2, "o", " ", None),
    ]  # fmt: skip
    assert rows[2]["match"] is None
    assert some["found"]["scores"]["10"]["match"] == pytest.approx(max(some["alone"]), abs=1e-4)
    assert some["none"]["scores"]["10"] == {"match": None}


def test_match_and_option_match_agree_on_a_text(found: Found) -> None:
    match, option = found["match option_match"]
    assert match["scores"]["10"]["match"] == pytest.approx(
        option["scores"]["10"]["match_option"], abs=1e-4
    )


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


def test_weights_that_are_gone_are_the_fault_of_no_clip(found: Found) -> None:
    """BadModel is a ServiceError: the batch is given back."""
    assert [kind for kind, _ in found["wrong folder"]] == ["BadModel"] * 4
    assert all("/models/nowhere" in message for _, message in found["wrong folder"])


def test_where_stages_that_run_networks_are_queued() -> None:
    from curate.configs.errors import BadModel, ServiceError
    from curate.tasks.registry import stages

    assert issubclass(BadModel, ServiceError)
    queues = {name: cls.Options().queue for name, cls in stages().items()}
    ascend = {"clip_embed", "option_match", "match", "lpips"}
    assert {name for name in ascend if queues[name] == "ascend"} == ascend
    assert queues["aesthetic"] == queues["nsfw"] == "cpu"


def test_a_process_of_cases_that_fails_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="No module named"):
        found_by("tests.tasks.score.nothing", tmp_path)
