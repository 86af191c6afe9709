"""What is asked often, or while a lock is held, is answered out of an index: by the plans of both
engines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, text

from curate.db.engine import make_engine
from curate.db.queue import claim as claims
from curate.db.queue import ready
from curate.db.reports.counts import count_unfinished
from curate.db.reports.overview import view_dataset
from tests.pipelines import Line, make_line

TIE = "clips.video_id ASC"


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """20,000 clips, one in ten of which waits for an ordered stage, and the engine's statistics."""
    line = make_line(database_url, home, ["score", "good: score >= 2", "inorder"])
    line.put_clips(1, "inorder")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
    with line.engine.begin() as connection:
        connection.execute(
            text(
                f"{numbers} INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, "
                f"end_pts, stage, status,"
                " reason) SELECT 1, (SELECT min(id) FROM videos), i, 0, 1,"
                " CASE WHEN i % 10 = 0 THEN 'inorder' ELSE 'done' END,"
                " CASE WHEN i % 10 = 0 THEN 'active' WHEN i % 10 < 4 THEN 'dropped' ELSE "
                "'kept' END,"
                " CASE WHEN i % 10 IN (1, 2, 3) THEN 'good' END FROM n"
            )
        )
    with line.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("ANALYZE" if line.engine.dialect.name == "sqlite" else "VACUUM ANALYZE")
        )
    return line


def plans(line: Line, work: Callable[[], object]) -> dict[str, str]:
    """The plan of each SELECT of clips that a piece of work runs."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if (
            statement.startswith("SELECT")
            and "FROM clips" in statement
            and "*" not in statement.replace("(*)", "")
        ):
            seen.append((statement, parameters))

    event.listen(line.engine, "before_cursor_execute", note)
    work()
    event.remove(line.engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if line.engine.dialect.name == "sqlite" else "EXPLAIN "
    found = {}
    with line.engine.connect() as connection:
        for statement, parameters in seen:
            rows = connection.exec_driver_sql(explain + statement, parameters)  # type: ignore[arg-type]
            found[statement] = "\n".join(str(row[-1]) for row in rows)
        connection.rollback()
    return found


def by_index(line: Line, plan: str) -> bool:
    """Whether an index is all that is read; on Postgres, which may look up a few rows of so short a
    table, its use.
    """
    if line.engine.dialect.name == "sqlite":
        return "COVERING INDEX" in plan
    return "ix_clips" in plan and "Seq Scan" not in plan


def test_status_reads_indexes_only(line: Line) -> None:
    found = plans(line, lambda: view_dataset(line.engine, line.dataset.id, line.pipeline))
    assert found
    for statement, plan in found.items():
        assert by_index(line, plan), statement + plan


def test_an_ordered_claim_reads_in_order_and_sorts_nothing(line: Line) -> None:
    found = plans(line, lambda: line.claim("inorder"))
    ordered = {s: p for s, p in found.items() if TIE in s}
    assert len(ordered) == 1
    for statement, plan in ordered.items():
        assert "ix_clips_claim" in plan, statement + plan
        assert "Sort" not in plan and "TEMP B-TREE" not in plan, statement + plan


def test_the_first_video_upstream_is_one_look_into_an_index(line: Line) -> None:
    found = plans(line, lambda: ready.has_ready(line.engine, line.dataset.id, *wanted(line)))
    upstream = {s: p for s, p in found.items() if "min(clips.video_id)" in s}
    assert len(upstream) == 1
    for plan in upstream.values():
        # the last lease of the stage; upstream, the first that is free and those that are held
        assert plan.count("ix_clips_claim") == 3, plan
        assert "Seq Scan on clips" not in plan and "SCAN clips" not in plan, plan


def wanted(line: Line) -> tuple[ready.StageStep, ready.Pipeline]:
    return line.pipeline.by_name["inorder"], line.pipeline


def test_unfinished_rows_are_counted_in_the_claim_index(line: Line) -> None:
    found = plans(line, lambda: count_unfinished(line.engine, line.dataset.id))
    assert found
    for statement, plan in found.items():
        assert by_index(line, plan), statement + plan


@pytest.mark.parametrize("prepared", ["auto", "force_generic_plan"])
def test_a_claim_reads_no_whole_table(line: Line, database_url: str, prepared: str) -> None:
    """Also while Postgres believes that all rows stand before the stage, and does not know how many
    are wanted.
    """
    engine = make_engine(database_url, few_rows=True)
    if engine.dialect.name == "sqlite":
        explain, first = "EXPLAIN QUERY PLAN ", "SELECT 1"
    else:
        explain, first = "EXPLAIN ", f"SET plan_cache_mode = {prepared}"
    values = {"of_dataset": 1, "of_stage": "done", "most": 64, "holder": "x", "until": 1.0}
    with engine.begin() as connection:
        connection.exec_driver_sql(first)
        plans = []
        for statement in (claims.fresh_statement("clip"), claims.longest_statement()):
            compiled = statement.compile(engine)
            asked = compiled.construct_params(values)
            given = (
                asked
                if not compiled.positional
                else tuple(asked[name] for name in compiled.positiontup or ())
            )
            rows = connection.exec_driver_sql(explain + str(compiled), given)
            plans.append("\n".join(str(row[-1]) for row in rows))
        connection.rollback()
    engine.dispose()
    for plan in plans:
        assert "lease_until" in plan, plan
        assert "Seq Scan" not in plan and "SCAN clips" not in plan, plan
        assert "SCAN videos" not in plan, plan
    assert "Hash" not in plans[0], plans[0]
