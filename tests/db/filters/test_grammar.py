"""Predicates as they are read: what is refused, and why."""

from __future__ import annotations

import pytest

from curate.configs.errors import FilterError
from curate.db.filters.check import check
from tests.db.filters.rows import COLUMNS


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("", "it is empty"),
        ("flow > 1; DROP TABLE rows", "cannot be read as SQL"),
        ("flow > 1 UNION SELECT 1", "cannot be read as SQL"),
        ("flow >", "cannot be read as SQL"),
        ("flow > 'x", "a quote or a comment is not closed"),
        ("1=1) OR (1=1", "must be one SQL expression"),
        ("flow > 1) GROUP BY (1", "must be one SQL expression"),
        ("flow > 1) LIMIT (1", "must be one SQL expression"),
        ("flow > (SELECT 1)", "a query inside of it"),
        ("EXISTS (SELECT 1)", "a query inside of it"),
        ("flow IN (SELECT 1)", "a query inside of it"),
        ("flow IN ()", "IN needs a list"),
        ("flow IN (1, NULL)", "IN needs a list"),
        ("flow IN (width)", "IN needs a list"),
        ("pg_sleep(9) = 1", "the functions are abs"),
        ("load_extension('x') = 1", "the functions are abs"),
        ("random() > 0.5", "the functions are abs"),
        ("round(flow) = 1", "the functions are abs"),
        ("count(*) > 1", "the functions are abs"),
        ("min(flow) > 1", "two or more values of one row"),
        ("min(DISTINCT flow, width) > 1", "two or more"),
        ("min(flow, 1) OVER () > 1", "not allowed"),
        ("min(max(flow, 1), 2) > 1", "within min or max"),
        ("CASE WHEN flow > 1 THEN TRUE END", "not allowed"),
        ("flow::int > 1", "not allowed"),
        ("flow || 'x' = 'y'", "not allowed"),
        ("width % 2 = 0", "not allowed"),
        ("flow > ?", "not allowed"),
        ("flow > :limit", "refused"),
        ("codec = E'\\n'", "not allowed"),
        ("codec = $$x$$", "not allowed"),
        ("width > 0x10", "not allowed"),
        ("codec LIKE 'a' ESCAPE 'b'", "not allowed"),
        ("flow BETWEEN SYMMETRIC 2 AND 1", "refused"),
        ("codec COLLATE \"C\" = 'a'", "not allowed"),
        ("current_user = 'x'", "not allowed"),
        ("(flow, width) = (1, 2)", "not allowed"),
        ("codec LIKE path", "a pattern in quotes"),
        ("flow IS TRUE", "IS NULL"),
        ("rows.flow > 1", "without a table: flow"),
        ("flow > 1 -- more", "comments"),
        ("flow /* less */ > 1", "comments"),
        ("flow", "not a condition"),
        ("NOT flow", "not a condition"),
        ("flow > 1 AND codec", "not a condition"),
        ("(flow > 1) = (flow > 2)", "true or false, where a value"),
        ("flow = NULL", "IS NULL"),
        ("flow = TRUE", "true or false"),
        ("flow >= 'abc'", "'abc' is text and flow is a number"),
        ("codec = 264", "codec is text and 264 is a number"),
        ("codec IN (1)", "is text and 1 is a number"),
        ("codec BETWEEN 1 AND 2", "is text and 1 is a number"),
        ("flow + codec > 1", "codec is text, where a number"),
        ("length(flow) > 1", "flow is a number, where text"),
        ("coalesce(flow, 'x') = 1", "'x' is text and flow is a number"),
        ("path < codec", "two text columns are ordered"),
        ("flow > 1e400", "out of range"),
        ("flow > 1e16", "out of range"),
        ("flow > 1e-16", "out of range"),
        ("*".join(["flow"] * 10) + " > 1", "more than 8 times"),
        ("flow > 1 AND\x00 TRUE", "control character"),
        ("codec = '\ud800'", "control character"),
        ('"flow > 1', "not closed"),
        ('"Flow" > 1', "did you mean flow"),
        ('"no way" > 1', "not the name of a column"),
        ("flw > 1", "did you mean flow"),
        ("resolutoin > 1", "did you mean resolution"),
        ("qqqq > 1", "the columns here are codec, flow"),
        ("(" * 900 + "flow > 1" + ")" * 900, "nested too deeply"),
        ("NOT " * 499 + "TRUE", "nested too deeply"),
        ("flow > 1 " + "OR flow > 1 " * 400, "at most 2000"),
    ],
)  # fmt: skip
def test_refused_with_the_reason(where: str, why: str) -> None:
    with pytest.raises(FilterError) as caught:
        check(where, "slow", COLUMNS)
    assert why in str(caught.value)
    assert str(caught.value).startswith("Filter slow is refused: ")
