"""Predicates as SQL: what is let in, and that both engines let the same rows pass."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, case, literal_column, null, select

from curate.configs.errors import FilterError
from curate.db.filters.check import check
from curate.db.filters.sql import to_sql
from tests.db.filters.rows import COLUMNS, rows


def passing(engine: Engine, where: str) -> list[int]:
    check(where, "f", COLUMNS)
    sql = to_sql(where, engine.dialect.name)
    # as deep inside of a statement as it is when rows are saved
    verdict = case((literal_column(f"COALESCE(({sql}), FALSE) = FALSE"), "f"), else_=null())
    query = select(rows.c.id).where(rows.c.id.in_([1, 2, 3, 4, 5]), verdict.is_(None))
    with engine.connect() as connection:
        return sorted(connection.execute(query).scalars())


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("flow >= 0.3", [1, 4, 5]),
        ("FLOW >= 0.3 AND \"flow\" < 1", [1, 5]),
        ("flow == 0.5 or flow != flow", [1]),
        ("NOT flow < 0.3", [1, 4, 5]),  # NULL does not pass, negated or not
        ("flow between 0.3 and 0.5", [1, 5]),
        ("flow not between 0.3 and 0.5", [2, 4]),
        ("width in (3, 1920.0)", [1, 5]),
        ("width not in (3)", [2, 4, 5]),
        ("codec in ('h264', 'É')", [1, 4]),
        ("flow is null", [3]),
        ("flow is not null and codec is not null", [1, 2, 4, 5]),
        ("TRUE", [1, 2, 3, 4, 5]),
        ("false or width = 3", [1]),
        ("match > 0.1", [1, 4, 5]),
        ("match = -1.5", [2]),
        ("abs(match) >= 1", [2, 4]),
        ("-match > 1", [2]),
        # / is of real numbers; a zero divisor gives NULL, on both engines
        ("width / 2 = 1.5", [1]),
        ("width / resolution > 1", [1]),
        ("flow / width is null", [2, 3]),
        # 32-bit and 64-bit integers do not overflow
        ("width * width > 4e9", [4]),
        ("resolution * 1000000000 * 1000000000 > 1e15", [1, 4, 5]),
        ("width + 1 > 2147483647", [4]),
        # text
        ("codec = 'h264'", [1]),
        ("codec <> 'h264'", [2, 4, 5]),
        ("codec like 'h%'", [1]),
        ("codec not like 'h%'", [2, 4, 5]),
        ("codec ilike 'h%'", [1, 2]),
        ("codec ilike 'é'", []),  # case is that of A to Z only
        ("codec like '_'", [4]),  # a character, not a byte
        ("path like '%\\%'", [4]),  # a backslash is a backslash
        ("path = 'back\\slash'", [4]),
        ("path like '%[x]%'", [2]),
        ("path like '%*?.mp4'", [2]),
        ("path = 'it''s'", [5]),
        ("codec >= 'a'", [1, 4]),  # by bytes: H before a, É after z
        ("codec between 'A' and 'Z'", [2]),
        ("lower(codec) = 'h264'", [1, 2]),
        ("lower(codec) = 'é'", []),
        ("upper(codec) = 'H264'", [1, 2]),
        ("length(codec) = 1", [4]),
        ("length(codec) / 2 = 2", [1, 2]),
        ("coalesce(flow, 7) = 7", [3]),
        ("coalesce(codec, 'none') = 'none'", [3]),
        ("coalesce(codec, 'none') > 'h'", [1, 3, 4]),
        ("nullif(width, 0) is null", [2, 3]),
        ("min(width, flow) = 0.5", [1]),
        ("least(width, flow, 1) = 1", [4]),
        ("max(width, flow) = 3", [1]),
        ("greatest(width, 100) = 100", [1, 2]),  # NULL when one is NULL
        ("width = 3 or width = 0 and flow > 1", [1]),
        ("(width = 3 or width = 0) and not flow > 1", [1, 2]),
        ("1 - 2 - 3 = -4", [1, 2, 3, 4, 5]),
        ("8 / (4 / 2) = 4", [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_both_engines_let_these_rows_pass(where: str, ids: list[int], engine: Engine) -> None:
    assert passing(engine, where) == ids


_numbers = st.deferred(
    lambda: (
        st.sampled_from(
            ["flow", "match", "width", "resolution", "0", "1", "0.3", "2", "1920", "1e9"]
        )
        | st.builds("({} {} {})".format, _numbers, st.sampled_from("+-*/"), _numbers)
        | st.builds("abs({})".format, _numbers)
        | st.builds("coalesce({}, {})".format, _numbers, _numbers)
        | st.builds(
            "min({}, {})".format,
            st.sampled_from(["flow", "width"]),
            st.sampled_from(["match", "resolution"]),
        )
        | st.builds("length({})".format, _texts)
    )
)
_quoted = st.text("aBhH264éÉ_%*?[]\\' ", max_size=6).map(lambda s: "'" + s.replace("'", "''") + "'")
_texts = st.sampled_from(["codec", "path"]) | st.builds(
    "{}({})".format, st.sampled_from(["lower", "upper"]), _quoted
)
_signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
_predicates = st.deferred(
    lambda: (
        st.builds("{} {} {}".format, _numbers, _signs, _numbers)
        | st.builds("{} {} {}".format, _texts, _signs, _quoted)
        | st.builds(
            "{} {} {}".format, _texts, st.sampled_from(["like", "not like", "ilike"]), _quoted
        )
        | st.builds("{} between {} and {}".format, _numbers, _numbers, _numbers)
        | st.builds("{} is {}null".format, _numbers, st.sampled_from(["", "not "]))
        | st.builds("({}) {} ({})".format, _predicates, st.sampled_from(["and", "or"]), _predicates)
        | st.builds("not ({})".format, _predicates)
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=_predicates)
def test_the_engines_agree_on_any_predicate(
    where: str, sqlite_rows: Engine, postgres_rows: Engine
) -> None:
    try:
        check(where, "f", COLUMNS)
    except FilterError as error:  # the only limits that this grammar can meet
        assert any(
            why in str(error)
            for why in ("more than 8 times", "within min or max", "too deeply", "2000 are allowed")
        )
        return
    assert passing(sqlite_rows, where) == passing(postgres_rows, where)


@pytest.mark.parametrize(
    "nest",
    ["abs({})", "-({})", "(1 + {})", "(2 * (1 + {}))", "(1 / {})", "coalesce(flow, {})",
     "nullif({}, 2)",
     "min(1, {})",
     "max({}, 1, 2)", "length(lower('{}'))", "((({})))", "coalesce(1, {} + abs(1 - 2 * {}))"],
)  # fmt: skip
@pytest.mark.parametrize(
    "outer", ["{} > 1", "NOT ({} BETWEEN 1 AND 2 OR width > {})", "width = 0 AND 1 + 2 * {} > 3"]
)
def test_what_is_let_in_is_never_too_deep_for_the_engines(
    nest: str, outer: str, engine: Engine
) -> None:
    """SQLite's parser gives up at some depth; the check must come first."""
    inner = "flow"
    for _ in range(30):
        where = outer.replace("{}", inner)
        try:
            check(where, "f", COLUMNS)
        except FilterError:
            break
        passing(engine, where)
        inner = nest.replace("{}", inner)
    else:
        pytest.fail("nothing bounds the depth")


@pytest.mark.parametrize("word", ["AND", "OR"])
def test_a_long_chain_is_not_deep(word: str, engine: Engine) -> None:
    assert passing(engine, f" {word} ".join(["flow >= 0.3"] * 120)) == [1, 4, 5]
    assert passing(engine, " + ".join(["1"] * 400) + " = 400") == [1, 2, 3, 4, 5]


def test_what_is_read_is_never_what_is_run() -> None:
    assert (
        to_sql("flow>=.5 and  codec='a''b'", "sqlite") == "(([flow] >= 0.5) AND ([codec] = 'a''b'))"
    )
    assert to_sql("codec > 'a'", "postgresql") == '(("codec" COLLATE "C") > \'a\')'


def test_a_missing_column_is_an_error_and_not_a_text(sqlite_rows: Engine) -> None:
    """SQLite takes "flw" for the text flw where there is no such column: every row would pass."""
    with sqlite_rows.connect() as connection, pytest.raises(Exception, match="no such column: flw"):
        connection.execute(select(rows.c.id).where(literal_column(to_sql("flw > 0.5", "sqlite"))))
