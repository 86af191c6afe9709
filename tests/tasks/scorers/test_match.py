"""match: the score of a clip's own text, or of each of its captions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tasks.scorers.found import Found, reasons


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


def test_the_lowest_sentence_tells_what_one_false_sentence_hides(found: Found) -> None:
    long = found["match long"]
    assert long["lowest"] == pytest.approx(min(long["alone"]), abs=1e-4)
    assert long["lowest of a cut one"] is None


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
    assert some["none"]["scores"]["10"] == {"match": None, "match_lowest": None}


def test_the_caption_of_a_window_is_compared_with_frames_within_it_or_the_nearest(
    found: Found,
) -> None:
    some = found["match captions"]
    first, second = some["of frames"]
    assert first != pytest.approx(second, abs=1e-2)
    matches = [row["match"] for row in some["windows"]["tables"]["10"]]
    assert matches == pytest.approx([first, second, second], abs=1e-4)
    assert some["windows"]["scores"]["10"]["match"] == pytest.approx(max(first, second), abs=1e-4)


def test_match_and_option_match_agree_on_a_text(found: Found) -> None:
    match, option = found["match option_match"]
    assert match["scores"]["10"]["match"] == pytest.approx(
        option["scores"]["10"]["match_option"], abs=1e-4
    )
