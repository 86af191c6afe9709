"""Embeddings and option scores: replaced in the transaction that saves, read with a claim, gone
with the clip.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from curate.db.captions import drop
from curate.db.readonly.login import ensure_reader
from curate.db.readonly.query import run_query
from curate.db.save.batch import Outcomes, save
from curate.tasks.stage import Rows
from curate.tasks.text.captions import new_caption, rewritten
from tests.pipelines import Found, Line, embedding, make_line, writer

SCORES = {"model": "tiny", "revision": "r1", "prompt": "a photo of {}"}
VECTORS = "SELECT clip_id, model, frame, vector FROM embeddings ORDER BY 1, 2, 3"
ONE, TWO = b"\x00\x3c", b"\x00\x40"  # float16, little endian


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["embed", "heads"])


def write(line: Line, *parts: Rows, owner: str = "me") -> list[int]:
    """Claim the clips that wait for embed and save these rows for each; returns their ids."""
    held = line.claim("embed", owner)
    assert held is not None
    findings = Outcomes(scores={i: {} for i in held.ids}, tables=dict.fromkeys(held.ids, parts))
    save(line.engine, held, findings, writer())
    return list(held.ids)


def back(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'embed', status = 'active'"))


def test_rows_are_written_for_each_clip(line: Line) -> None:
    a, b = line.put_clips(2, "embed")
    write(line, embedding(1.0), Rows("option_scores", SCORES, [{"option": "a dog", "score": 21.5}]))
    found = [(i, "tiny", n, ONE) for i in (a, b) for n in (0, 1)]
    assert [(*r[:3], bytes(r[3])) for r in line.rows(VECTORS)] == found
    expected = [(i, "a dog", 21.5, "tiny", "r1", "a photo of {}") for i in (a, b)]
    query = "SELECT clip_id, option, score, model, revision, prompt FROM option_scores ORDER BY 1"
    assert line.rows(query) == expected


def test_rows_are_replaced_where_the_stage_says_and_others_stay(line: Line) -> None:
    (a,) = line.put_clips(1, "embed")
    write(line, embedding(1.0, frames=3), embedding(1.0, "other", frames=1))
    back(line)
    write(line, embedding(2.0, frames=1))
    assert [(*r[:3], bytes(r[3])) for r in line.rows(VECTORS)] == [
        (a, "other", 0, ONE),
        (a, "tiny", 0, TWO),
    ]


def test_no_rows_at_all_empties_what_was_there(line: Line) -> None:
    line.put_clips(1, "embed")
    write(line, embedding(1.0))
    back(line)
    write(line, Rows("embeddings", {}, []))
    assert line.rows(VECTORS) == []


def test_a_row_of_the_same_key_gives_way(line: Line) -> None:
    line.put_clips(1, "embed")
    row = {"option": "a dog", "score": 1.0}
    write(line, Rows("option_scores", SCORES, [row]))
    back(line)
    write(line, Rows("option_scores", SCORES | {"model": "newer"}, [row]))
    assert line.rows("SELECT option, model FROM option_scores") == [("a dog", "newer")]


def test_a_worker_that_lost_a_clip_writes_no_rows_for_it(line: Line) -> None:
    line.put_clips(2, "embed")
    slow = line.claim("embed", "slow")
    assert slow is not None
    line.expire("slow")
    fast = line.claim("embed", "fast")
    assert fast is not None
    (lost,) = fast.ids
    findings = Outcomes(
        scores={i: {} for i in slow.ids}, tables=dict.fromkeys(slow.ids, (embedding(1.0),))
    )
    assert save(line.engine, slow, findings, writer()).rows == 1
    assert {r[0] for r in line.rows(VECTORS)} == set(slow.ids) - {lost}


def test_a_claim_brings_the_rows_of_its_clips_in_the_order_of_the_key(line: Line) -> None:
    a, b = line.put_clips(2, "embed")
    write(line, embedding(1.0, "b"), embedding(1.0, "a"))
    with line.engine.begin() as connection:
        connection.execute(text("DELETE FROM embeddings WHERE clip_id = :b"), {"b": b})
    held = line.claim("heads", reads=("embeddings", "option_scores"))
    assert held is not None
    assert set(held.tables["embeddings"]) == {a}
    assert held.tables["option_scores"] == {}
    rows = held.tables["embeddings"][a]
    assert [(r["model"], r["frame"]) for r in rows] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert rows[0] == {
        "model": "a", "frame": 0, "revision": "r1", "position": 0.5, "vector": ONE,
    }  # fmt: skip


def test_a_claim_that_asks_for_no_table_brings_none(line: Line) -> None:
    line.put_clips(1, "heads")
    held = line.claim("heads")
    assert held is not None
    assert held.tables == {}


def test_the_rows_of_a_deleted_clip_go_with_it(line: Line) -> None:
    line.put_clips(1, "embed", "/v/a.mp4")
    write(line, embedding(1.0), Rows("option_scores", SCORES, [{"option": "a dog", "score": 1.0}]))
    datasets.enqueue(line.engine, line.dataset, [Found("/v/a.mp4", "2")], line.pipeline)
    assert line.rows("SELECT * FROM clips") == []
    assert line.rows(VECTORS) + line.rows("SELECT * FROM option_scores") == []


def test_curate_sql_reads_them(line: Line) -> None:
    with line.engine.begin() as connection:
        if connection.dialect.name != "sqlite":
            assert ensure_reader(connection) == ""
    (a,) = line.put_clips(1, "embed")
    write(line, embedding(1.0), Rows("option_scores", SCORES, [{"option": "a dog", "score": 21.5}]))
    statement = (
        "SELECT c.id, s.option, s.score, s.prompt, count(e.frame), length(min(e.vector)) "
        "FROM clips c"
        " JOIN option_scores s ON s.clip_id = c.id JOIN embeddings e ON e.clip_id = c.id "
        "GROUP BY 1, 2, 3, 4"
    )
    url = line.settings.database
    if url.startswith("postgresql"):
        statement = statement.replace("min(e.vector)", "min(e.vector::text)::bytea")
    assert run_query(url, statement, 10).rows == [[a, "a dog", 21.5, "a photo of {}", 2, 2]]


FIELDS = "SELECT clip_id, field, f.text FROM caption_fields f JOIN captions ON id = caption_id"
TOLD = {"subject": "a dog", "action": "it runs"}


def test_fields_come_and_go_with_their_captions(line: Line) -> None:
    a, b = line.put_clips(2, "embed")
    write(line, new_caption("one", "a dog", fields=TOLD), new_caption("two", "a cat"))
    found = [(i, field, TOLD[field]) for i in (a, b) for field in sorted(TOLD)]
    assert line.rows(f"{FIELDS} ORDER BY 1, 2") == found
    held = line.claim("heads", reads=("captions",))
    assert held is not None
    rows = held.tables["captions"]
    assert [(r["model"], r["fields"]) for r in rows[a]] == [("one", TOLD), ("two", {})]
    save(
        line.engine,
        held,
        Outcomes(
            scores={a: {}, b: {}},
            tables={
                a: [rewritten(row, text=row["text_raw"].upper()) for row in rows[a]],
                b: [new_caption("one", "a bird", fields={"subject": "a bird"})],
            },
        ),
        writer(),
    )
    assert line.rows(f"{FIELDS} ORDER BY 1, 2") == [*found[:2], (b, "subject", "a bird")]
    numbers = "SELECT id, text FROM captions WHERE clip_id = :a ORDER BY id"
    assert line.rows(numbers, a=a) == [(rows[a][0]["id"], "A DOG"), (rows[a][1]["id"], "A CAT")]
    assert drop(line.engine, [a], "one") == 1
    assert line.rows(FIELDS) == [(b, "subject", "a bird")]
