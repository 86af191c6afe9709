"""Filters in a pipeline: each may name the columns written before it; a wrong place is refused with
the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from curate.configs.errors import FilterError
from curate.configs.pipeline import Pipeline, parse
from curate.configs.schema import Column, Level, Order, StageOptions
from curate.db.filters.check import check_pipeline, condition_of


class _Spec:
    name = ""
    level: Level = "clip"
    makes: Level | None = None
    comes_first = comes_last = False
    columns: Mapping[str, Column] = {}
    own_columns: Mapping[str, Column] = {}
    Options = StageOptions

    @classmethod
    def order(cls, options: StageOptions) -> Order | None:
        return None


def _spec(stage: str, at: Level, **kinds: str) -> Any:
    written = {n: Column(k, "") for n, k in kinds.items()}  # type: ignore[arg-type]
    first = at == "video"
    makes = "clip" if stage == "split" else None
    attributes = {"name": stage, "level": at, "columns": written}
    return type(stage, (_Spec,), {**attributes, "comes_first": first, "makes": makes})


CATALOG = {
    "probe": _spec("probe", "video", fps_guessed="float", codec="text"),
    "split": _spec("split", "video", seconds="float"),
    "motion": _spec("motion", "clip", flow="float"),
    "ocr": _spec("ocr", "clip", num_boxes="int"),
}


def _pipeline(*steps: str | tuple[str, str]) -> Pipeline:
    raw = [{"stage": s} if isinstance(s, str) else {"filter": s[0], "where": s[1]} for s in steps]
    return parse(raw, CATALOG, "test")


@pytest.mark.parametrize(
    "steps",
    [
        ("probe", ("f", "codec = 'h264' AND path LIKE '%.mp4'"), "split"),
        ("probe", "split", ("f", "seconds > 2 AND clip_index < 9")),
        ("probe", "split", "motion", "ocr", ("f", "flow > 1 AND num_boxes = 0 AND seconds > 2")),
    ],
)
def test_a_filter_may_use_what_was_written_before_it(
    steps: tuple[str | tuple[str, str], ...],
) -> None:
    check_pipeline(_pipeline(*steps), CATALOG)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            ("probe", "split", ("f", "flow > 1"), "motion"),
            "motion, which comes later; put the filter behind",
        ),
        (("probe", "split", ("f", "flow > 1")), "motion, which is not enabled"),
        (("probe", "split", ("f", "flow > 1")), "--set motion.enabled=true"),
        (
            ("probe", ("f", "flow > 1"), "split", "motion"),
            "a column of clips; put the filter behind split",
        ),
        (
            ("probe", ("f", "seconds > 1"), "split"),
            "a column of clips; put the filter behind split",
        ),
        (
            ("probe", "split", ("f", "fps_guessed > 1")),
            "a column of videos; put the filter before split",
        ),
        (("probe", "split", "motion", ("f", "flwo > 1")), "did you mean flow?"),
        (("probe", "split", "motion", ("f", "status = 'kept'")), "there is no column status"),
        (("probe", "split", "motion", ("f", "flow > 'x'")), "'x' is text"),
    ],
)
def test_a_column_that_is_not_there_yet_is_refused(
    steps: tuple[str | tuple[str, str], ...], why: str
) -> None:
    with pytest.raises(FilterError) as caught:
        check_pipeline(_pipeline(*steps), CATALOG)
    assert why in str(caught.value)


def test_an_empty_where_is_true_and_a_wrong_one_is_refused() -> None:
    columns = {"flow": Column("float", "")}
    assert str(condition_of("", columns, "sqlite")) == "true"
    assert str(condition_of("flow > 1", columns, "sqlite")) == "(([flow] > 1))"
    with pytest.raises(FilterError, match="Filter --where is refused: there is no column flwo"):
        condition_of("flwo > 1", columns, "sqlite")
