"""option_match: the best text in the columns, all scores in the table."""

from __future__ import annotations

import pytest

from tests.tasks.scorers.found import Found


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
