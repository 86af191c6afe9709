"""Claims: exclusive, in constant time, given back when a worker dies, and halved when a batch
crashes.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from curate.configs.errors import ServiceError
from curate.db import datasets
from curate.db.engine import make_engine
from curate.db.queue import claim as claims
from curate.db.queue.claim import claim
from curate.db.queue.leases import forget_columns
from tests.pipelines import Line, make_line, pipeline


def test_a_claim_takes_whole_rows_and_holds_them(line: Line) -> None:
    line.enqueue("a3.mp4", "b.mp4")
    held = line.claim("probe")
    assert held is not None
    assert [r["path"] for r in held.rows] == ["/v/a3.mp4", "/v/b.mp4"]
    assert line.claim("probe", "other") is None


def test_no_more_than_the_batch_size(database_url: str, home: object) -> None:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 2}])
    line.put_clips(5, "score")
    sizes = [len(c.rows) if (c := line.claim("score", f"o{i}")) else 0 for i in range(4)]
    assert sizes == [2, 2, 1, 0]


def test_clips_come_with_their_videos(line: Line) -> None:
    line.put_clips(2, "score", "/v/x.mp4")
    held = line.claim("score")
    assert held is not None
    assert [held.videos[r["video_id"]]["path"] for r in held.rows] == ["/v/x.mp4"] * 2


def test_two_threads_never_hold_the_same_row(database_url: str, home: object) -> None:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 3}])
    ids = line.put_clips(60, "score")
    taken: list[int] = []

    def take(owner: str) -> None:
        while held := line.claim("score", owner):
            taken.extend(held.ids)

    threads = [threading.Thread(target=take, args=(f"o{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == ids


def test_processes_share_what_waits_where_it_is_less_than_a_batch_for_each(line: Line) -> None:
    """Guided self-scheduling: full batches first, single rows at the end."""
    line.put_clips(40, "score")
    sizes: list[int] = []
    while held := claim(line.engine, line.request("score", f"o{len(sizes)}"), sharers=4):
        sizes.append(len(held.rows))
    assert line.pipeline.by_name["score"].options.batch_size > 10
    assert sizes == [10, 7, 5, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_long_videos_are_split_first_and_each_once(line: Line) -> None:
    """Others keep their order, in which `inorder` waits for them."""
    line.enqueue(*(f"{n:02}.mp4" for n in range(40)))
    [(first,)] = line.rows("SELECT min(id) FROM videos")
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE videos SET stage = 'split', duration = CASE id - :first WHEN 20 THEN 500"
                " WHEN 39 THEN 1000 WHEN 0 THEN NULL ELSE 10 END"
            ),
            {"first": first},
        )
    request = line.request("split")
    options = request.step.options.model_copy(update={"batch_size": 1})
    step = replace(request.step, options=options)
    taken: list[int] = []

    def take(owner: str, most: int) -> None:
        for n in range(most):
            if held := claim(line.engine, replace(request, step=step, owner=f"{owner}{n}")):
                taken.extend(held.ids)

    take("alone", 4)
    assert [i - first for i in taken] == [39, 20, 0, 1]
    threads = [threading.Thread(target=take, args=(f"t{i}", 40)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(first, first + 40))


def test_a_short_video_does_not_wait_for_long_ones_without_end(line: Line) -> None:
    line.enqueue(*(f"{n:03}.mp4" for n in range(140)))
    [(first,)] = line.rows("SELECT min(id) FROM videos")
    with line.engine.begin() as connection:
        change = "UPDATE videos SET stage = 'split', duration = CASE WHEN id < :long THEN 10"
        connection.execute(text(f"{change} ELSE 1000 END"), {"long": first + 97})
    request = line.request("split")
    taken: list[list[int]] = []
    for size in (31, 1):
        options = request.step.options.model_copy(update={"batch_size": size})
        step = replace(request.step, options=options)
        held = claim(line.engine, replace(request, step=step, owner=f"by {size}"))
        taken.append([i - first for i in held.ids] if held else [])
    assert taken == [[*range(97, 128)], [0]]


def test_an_expired_lease_goes_to_another_in_halves(line: Line) -> None:
    line.put_clips(8, "score")
    first = line.claim("score", "dead")
    assert first is not None
    line.expire("dead")
    sizes = []
    for n in range(4):
        held = line.claim("score", f"o{n}")
        sizes.append(len(held.rows) if held else 0)
    assert sizes == [4, 4, 0, 0]


def test_a_row_that_kills_its_worker_ends_alone_and_fails(database_url: str, home: object) -> None:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 16}])
    ids = line.put_clips(16, "score")
    poison, survivors, rounds = ids[5], set[int](), 0
    while held := line.claim("score", f"o{rounds}"):
        rounds += 1
        if poison in held.ids:
            line.expire(held.request.owner)
        else:
            survivors |= set(held.ids)
            done = text("UPDATE clips SET status='kept', owner=NULL, lease_until=0 WHERE owner=:o")
            with line.engine.begin() as connection:
                connection.execute(done, {"o": f"o{rounds - 1}"})
    assert survivors == set(ids) - {poison}
    assert line.rows("SELECT id, reason FROM clips WHERE status='failed'") == [
        (poison, "WorkerCrashed")
    ]
    assert rounds < 20


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=st.integers(1, 16), crashes=st.lists(st.booleans(), max_size=30))
def test_whatever_crashes_every_row_is_held_by_at_most_one(
    tmp_path_factory: pytest.TempPathFactory, batch: int, crashes: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("claims")
    line = make_line(f"sqlite:///{folder}/x.db", folder, [{"stage": "score", "batch_size": batch}])
    ids = line.put_clips(12, "score")
    live: dict[str, set[int]] = {}
    for n, crash in enumerate(crashes):
        held = line.claim("score", f"o{n}")
        if held is None:
            break
        assert not any(set(held.ids) & other for other in live.values())
        if crash:
            line.expire(held.request.owner)
        else:
            live[f"o{n}"] = set(held.ids)
    assert set().union(*live.values()) <= set(ids)


def test_a_claim_does_not_sort(line: Line) -> None:
    from sqlalchemy.dialects import postgresql

    query = str(claims.fresh_statement("clip").compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "ORDER BY" not in query
    assert "SKIP LOCKED" in query
    assert claim(line.engine, line.request("score")) is None


def test_a_column_added_meanwhile_comes_with_claims_of_its_pipeline(
    database_url: str, home: object
) -> None:
    """Also where Postgres has prepared the statement that does not name it, and the look-up."""
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 1}])
    line.put_clips(20, "score")
    for n in range(8):  # psycopg prepares what it has seen five times
        forget_columns(line.engine)  # as a pipeline with new columns makes it
        assert "other" not in line.held("score", f"o{n}").rows[0]
    other = make_engine(database_url)
    with_other = pipeline("score", "second")
    assert datasets.add_columns(other, with_other.columns()) == ["other"]
    other.dispose()
    assert line.claim("score", "old") is not None
    held = replace(line, pipeline=with_other).held("score", "new")
    assert "other" in held.rows[0]


def test_columns_are_looked_up_again_after_a_claim_that_failed(line: Line) -> None:
    """The database may have been put back as it was before a column was added."""
    line.put_clips(2, "score")
    assert "score" in line.held("score", "before").rows[0]
    line.release("before")
    with line.engine.begin() as connection:
        connection.execute(text("ALTER TABLE clips RENAME COLUMN score TO lost"))
    with pytest.raises(ServiceError, match="score"):
        line.claim("score", "failed")
    assert "lost" in line.held("score", "after").rows[0]
