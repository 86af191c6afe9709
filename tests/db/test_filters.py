"""Filters: what is let in, what is refused and why, and that both engines let the same rows pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column as SqlColumn
from sqlalchemy import Engine, MetaData, Table, case, create_engine, literal_column, null, select
from sqlalchemy.types import BigInteger, Float, Integer, Text

from curate.configs.errors import FilterError, UsageError
from curate.db.filters import check as filters
from curate.db.schema import clips
from tests.servers import Postgres

rows = Table(
    "rows",
    MetaData(),
    SqlColumn("id", Integer, primary_key=True),
    SqlColumn("flow", Float(53)),
    SqlColumn("match", Float(53)),  # a keyword of SQLite
    SqlColumn("width", Integer),
    SqlColumn("resolution", BigInteger),
    SqlColumn("codec", Text),
    SqlColumn("path", Text),
)
COLUMNS = filters.columns_of(rows)
DATA: list[dict[str, Any]] = [
    {
        "id": 1,
        "flow": 0.5,
        "match": 0.2,
        "width": 3,
        "resolution": 2,
        "codec": "h264",
        "path": "a/B.mp4",
    },
    {
        "id": 2,
        "flow": 0.0,
        "match": -1.5,
        "width": 0,
        "resolution": 0,
        "codec": "H264",
        "path": "a/é_%[x]*?.mp4",
    },
    {
        "id": 3,
        "flow": None,
        "match": None,
        "width": None,
        "resolution": None,
        "codec": None,
        "path": None,
    },
    {
        "id": 4,
        "flow": 2e9,
        "match": 1,
        "width": 2**31 - 1,
        "resolution": 2**53,
        "codec": "É",
        "path": "back\\slash",
    },
    {
        "id": 5,
        "flow": 0.3,
        "match": 0.3,
        "width": 1920,
        "resolution": 2073600,
        "codec": "",
        "path": "it's",
    },
]


def _filled(url: str) -> Engine:
    engine = create_engine(url)
    rows.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), DATA)
    return engine


@pytest.fixture(scope="module")
def sqlite_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = _filled(f"sqlite:///{tmp_path_factory.mktemp('db') / 'rows.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgres_rows(postgres: Postgres) -> Iterator[Engine]:
    with postgres.database() as url:
        engine = _filled(url)
        yield engine
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found = request.getfixturevalue(f"{request.param}_rows")
    assert isinstance(found, Engine)
    return found


def passing(engine: Engine, where: str) -> list[int]:
    filters.check(where, "f", COLUMNS)
    sql = filters.to_sql(where, engine.dialect.name)
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
        filters.check(where, "f", COLUMNS)
    except FilterError as error:  # the only limits that this grammar can meet
        assert any(
            why in str(error)
            for why in ("more than 8 times", "within min or max", "too deeply", "2000 are allowed")
        )
        return
    assert passing(sqlite_rows, where) == passing(postgres_rows, where)


@pytest.mark.parametrize(
    "nest",
    ["abs({})", "-({})", "(1 + {})", "(2 * (1 + {}))", "(1 / {})", "coalesce(flow, {})", "nullif({}, 2)", "min(1, {})",
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
            filters.check(where, "f", COLUMNS)
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
        filters.check(where, "slow", COLUMNS)
    assert why in str(caught.value)
    assert str(caught.value).startswith("Filter slow is refused: ")


def test_what_is_read_is_never_what_is_run() -> None:
    assert (
        filters.to_sql("flow>=.5 and  codec='a''b'", "sqlite")
        == "(([flow] >= 0.5) AND ([codec] = 'a''b'))"
    )
    assert filters.to_sql("codec > 'a'", "postgresql") == '(("codec" COLLATE "C") > \'a\')'


def test_a_missing_column_is_an_error_and_not_a_text(sqlite_rows: Engine) -> None:
    """SQLite takes "flw" for the text flw when there is no such column, and every row would pass."""
    with sqlite_rows.connect() as connection, pytest.raises(Exception, match="no such column: flw"):
        connection.execute(
            select(rows.c.id).where(literal_column(filters.to_sql("flw > 0.5", "sqlite")))
        )


def test_the_columns_of_a_table_and_their_kinds() -> None:
    found = filters.columns_of(clips)
    kinds = {n: found[n].kind for n in ("path", "fps", "resolution", "status")}
    assert kinds == {"path": "text", "fps": "float", "resolution": "int", "status": "text"}


@pytest.mark.parametrize("name", sorted(filters.columns_of(clips)))
def test_every_column_can_be_named(name: str) -> None:
    """None of them is a word that the reader of predicates takes for something else."""
    filters.check_where(f"{name} IS NOT NULL AND {name} = {name}", filters.columns_of(clips))


def test_export_columns() -> None:
    assert filters.check_columns(["path", " flow "], COLUMNS) == ["path", "flow"]
    with pytest.raises(UsageError, match=r"--columns: there is no column pth \(did you mean path"):
        filters.check_columns(["pth"], COLUMNS)
    with pytest.raises(UsageError, match="path is there twice"):
        filters.check_columns(["path", "path"], COLUMNS)


@pytest.mark.parametrize(
    "sort",
    ["flow; DROP TABLE rows", "", "flow,", "flow sideways", "flow desc desc", "1", "flow + 1"],
)
def test_export_sort_is_refused(sort: str) -> None:
    with pytest.raises(UsageError, match="--sort"):
        filters.check_sort(sort, COLUMNS)


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("flow", [2, 5, 1, 4, 3]),
        ("flow desc, id", [4, 1, 5, 2, 3]),
        ("codec", [5, 2, 1, 4, 3]),
        ("path DESC", [5, 4, 2, 1, 3]),
    ],
)
def test_export_sorts_the_same_on_both_engines(sort: str, ids: list[int], engine: Engine) -> None:
    query = select(rows.c.id).order_by(*filters.order_by(sort, COLUMNS, engine.dialect.name))
    with engine.connect() as connection:
        assert list(connection.execute(query).scalars()) == ids
