"""`curate sql` on Postgres, the first fence: only what is listed may be called."""

from __future__ import annotations

import pytest

from curate.configs.errors import SqlRefused
from curate.db.readonly.statement import check_statement


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT pg_logical_emit_message(false, 'a', 'b')", "pg_logical_emit_message"),
        ("SELECT pg_notify('a', 'b')", "pg_notify"),
        ("SELECT PG_NOTIFY ('a', 'b')", "pg_notify"),
        ("SELECT pg_notify/* a */('a', 'b')", "pg_notify"),
        ("SELECT \"pg_notify\"('a', 'b')", "pg_notify"),
        ("SELECT pg_catalog.pg_notify('a', 'b')", "pg_notify"),
        ("SELECT 1 WHERE pg_try_advisory_lock(1)", "pg_try_advisory_lock"),
        ("SELECT count(*) FROM clips ORDER BY pg_advisory_lock(1)", "pg_advisory_lock"),
        ("SELECT * FROM pg_export_snapshot()", "pg_export_snapshot"),
        ("SELECT * FROM LATERAL lo_create(0) AS lo", "lo_create"),
        ("SELECT * FROM ROWS FROM (txid_current()) AS t", "txid_current"),
        ("SELECT CASE WHEN true THEN set_config('role', 'none', true) END", "set_config"),
        ("WITH a AS (SELECT nextval('clips_id_seq')) SELECT * FROM a", "nextval"),
        ("SELECT 1 UNION SELECT pg_current_xact_id()::text::int", "pg_current_xact_id"),
        ("SELECT query_to_xml('SELECT 1', true, false, '')", "query_to_xml"),
        ("SELECT dblink('x', 'DELETE FROM clips')", "dblink"),
        ("SELECT U&\"pg\\005fnotify\"('a', 'b')", "pg\\005fnotify"),
        ("SELECT 1 + OPERATOR(pg_catalog.+) pg_notify('a', 'b')", ""),
        # the name of a table with columns covers no call of that name
        ("SELECT pg_notify('a', b) FROM clips AS pg_notify(a, b)", "pg_notify"),
        ("SELECT my_own(1)", "my_own"),
    ],
)
def test_a_function_that_is_not_listed_is_refused(statement: str, name: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check_statement(statement, "postgres")
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FILTER (WHERE flow > 1), avg(flow) OVER (PARTITION BY codec) FROM clips",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY flow) FROM clips",
        "SELECT * FROM clips WHERE id IN (1, 2) AND (flow > 1 OR NOT (codec LIKE ('a%')))",
        "SELECT DISTINCT ON (codec) * FROM clips JOIN videos USING (id)",
        "SELECT x::numeric(10, 2), CAST(y AS varchar(5)), ROW(1, 2), ARRAY(SELECT 1) FROM t",
        "WITH a(x, y) AS (VALUES (1, 2)), b AS MATERIALIZED (SELECT 1) SELECT * FROM a, b",
        "SELECT key, value FROM clips, jsonb_each_text('{}'::jsonb) AS j(key, value)",
        "SELECT * FROM jsonb_to_recordset('[]') AS r(a int, b numeric(3, 1))",
        "SELECT sum(n) FROM unnest(ARRAY[1, 2]) WITH ORDINALITY AS u(n, i)",
        "SELECT a, count(*) FROM t GROUP BY GROUPING SETS ((a), ()), CUBE (a), ROLLUP (a)",
        "SELECT CASE WHEN (a) THEN (1) ELSE (2) END FROM t ORDER BY (a) LIMIT (1) OFFSET (0)",
        "SELECT extract(epoch FROM now()), date_trunc('day', to_timestamp(seen_at)) FROM workers",
        "SELECT regexp_replace(path, '^.*/', ''), coalesce(text, ''), left(path, 3) FROM clips",
        "SELECT EXISTS (SELECT 1), flow = ANY (ARRAY[1]), (SELECT 1), t.* FROM t",
        "SELECT x FROM (VALUES (1), (2)) AS v(x) WHERE x BETWEEN (1) AND (2)",
        "SELECT 1 UNION ALL (SELECT 2) EXCEPT (SELECT 3) INTERSECT (SELECT 4)",
        "SELECT row_number() OVER w FROM t WINDOW w AS (ORDER BY a ROWS BETWEEN 1 PRECEDING AND "
        "CURRENT ROW)",
        "SELECT median(flow), quantile(flow, 0.9) FROM clips_view",
        "SELECT 'pg_notify(1)', \"pg_notify\" FROM t",
    ],
)
def test_an_ordinary_query_is_not(statement: str) -> None:
    check_statement(statement, "postgres")
