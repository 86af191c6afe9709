"""What is known of the rows of a broken line: who wrote what, and what is there at the end.

Triggers in the database write an audit: each change of anything but a row's position (a score, a
clip made or deleted), and each move to another stage, with the owner that the row had at that
moment, and the transaction. The batch's log row is written in the same transaction and names the
process that saves. So a save to a row that was given to another owner in the meantime, or to
nobody, shows as an owner that is not the writer: a stale write. On SQLite, where only one
transaction writes at a time, what was noted since the last log row belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from curate.db.engine import is_sqlite, reading, writing
from curate.tasks.inputs.paths import to_path
from curate.tasks.storage.clip_paths import archive

POSITION = (
    *("stage", "status", "reason", "error", "owner"),
    *("lease_until", "claim_size", "attempts", "return_to"),
)
# columns that differ from run to run: ids, and where the dataset's files lie
_OWN = {"id", "dataset_id", "video_id", "duplicate_of", "path", "duplicate_of_key", "relpath"}

_TABLE = """CREATE TABLE fault_audit (
    seq {serial} PRIMARY KEY, tx BIGINT, what TEXT, dataset_id BIGINT, level TEXT, row_id BIGINT,
    stage TEXT, owner TEXT, late INTEGER, worker TEXT)"""

_POSTGRES = """
CREATE FUNCTION fault_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  position_columns text[] := ARRAY[{position}];
  late integer := (OLD.lease_until < extract(epoch FROM clock_timestamp()))::integer;
BEGIN
  IF to_jsonb(OLD) - position_columns IS DISTINCT FROM to_jsonb(NEW) - position_columns THEN
    INSERT INTO fault_audit (tx, what, dataset_id, level, row_id, stage, owner, late)
    VALUES (txid_current(), 'score', OLD.dataset_id, TG_TABLE_NAME, OLD.id, OLD.stage, OLD.owner,
      late);
  END IF;
  IF OLD.stage <> NEW.stage THEN
    INSERT INTO fault_audit (tx, what, dataset_id, level, row_id, stage, owner, late)
    VALUES (txid_current(), 'moved', OLD.dataset_id, TG_TABLE_NAME, OLD.id, OLD.stage, OLD.owner,
      late);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION fault_note_clip() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE clip clips := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
  INSERT INTO fault_audit (tx, what, dataset_id, level, row_id, stage, owner, late)
  SELECT txid_current(), CASE TG_OP WHEN 'INSERT' THEN 'made' ELSE 'gone' END, dataset_id, 'clips',
    clip.id, stage, owner, 0 FROM videos WHERE id = clip.video_id;
  RETURN NULL;
END $$;
CREATE FUNCTION fault_note_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO fault_audit (tx, what, dataset_id, stage, worker)
  VALUES (txid_current(), 'batch', NEW.dataset_id, NEW.stage, NEW.worker);
  RETURN NULL;
END $$;
CREATE TRIGGER fault_clips AFTER UPDATE ON clips
FOR EACH ROW EXECUTE FUNCTION fault_note();
CREATE TRIGGER fault_videos AFTER UPDATE ON videos
FOR EACH ROW EXECUTE FUNCTION fault_note();
CREATE TRIGGER fault_made AFTER INSERT OR DELETE ON clips
FOR EACH ROW EXECUTE FUNCTION fault_note_clip();
CREATE TRIGGER fault_batches AFTER INSERT ON batches
FOR EACH ROW EXECUTE FUNCTION fault_note_batch();
"""

_CLIPS = """
SELECT c.*, v.relpath, ov.relpath || ' ' || o.clip_index AS duplicate_of_key
FROM clips c JOIN videos v ON v.id = c.video_id
LEFT JOIN clips o ON o.id = c.duplicate_of LEFT JOIN videos ov ON ov.id = o.video_id
WHERE c.dataset_id = :d
"""

_INTO = "INSERT INTO fault_audit (what, dataset_id, level, row_id, stage, owner, late)"
_LATE = "OLD.lease_until < (julianday('now') - 2440587.5) * 86400.0"


def install(engine: Engine) -> None:
    """Start the audit. The first dataset must be there, so that its score columns are."""
    with writing(engine) as connection:
        if is_sqlite(engine):
            statements = _sqlite_statements(connection)
        else:
            position = ", ".join(f"'{column}'" for column in POSITION)
            script = _POSTGRES.replace("{position}", position)
            statements = [
                _TABLE.format(serial="BIGSERIAL"),
                *re.split(r"\n(?=CREATE )", script.strip()),
            ]
        for statement in statements:
            connection.exec_driver_sql(statement)


def _sqlite_statements(connection: Connection) -> Iterable[str]:
    yield _TABLE.format(serial="INTEGER")
    for table in ("videos", "clips"):
        columns = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
        changed = " OR ".join(f'OLD."{c}" IS NOT NEW."{c}"' for c in columns if c not in POSITION)
        for what, when in (("score", changed), ("moved", "OLD.stage <> NEW.stage")):
            values = f"'{what}', OLD.dataset_id, '{table}', OLD.id, OLD.stage, OLD.owner, {_LATE}"
            yield (
                f"CREATE TRIGGER fault_{table}_{what} AFTER UPDATE ON {table} WHEN {when} "
                f"BEGIN {_INTO} VALUES ({values}); END"
            )
    for what, event, row in (("made", "INSERT", "NEW"), ("gone", "DELETE", "OLD")):
        holder = (
            f"SELECT '{what}', dataset_id, 'clips', {row}.id, stage, owner, 0 "
            f"FROM videos WHERE id = {row}.video_id"
        )
        yield f"CREATE TRIGGER fault_{what} AFTER {event} ON clips BEGIN {_INTO} {holder}; END"
    yield (
        "CREATE TRIGGER fault_batches AFTER INSERT ON batches BEGIN "
        "UPDATE fault_audit SET tx = NEW.id WHERE tx IS NULL; "
        "INSERT INTO fault_audit (tx, what, dataset_id, stage, worker) "
        "VALUES (NEW.id, 'batch', NEW.dataset_id, NEW.stage, NEW.worker); END"
    )


@dataclass
class Verdict:
    """What is wrong with the rows of a dataset.

    `late` is no fault: the owner saved after its lease had ended, but nobody else had the row.
    """

    lost: int = 0
    doubled: int = 0
    stale_writes: int = 0
    late: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the rows and files are those of the undisturbed run."""
        return not self.differences


# by the path of the video and the clip's index, which is -1 for the video itself
Key = tuple[str, int]
Rows = Mapping[Key, Mapping[str, Any]]
Note = Mapping[str, Any]


def judge(engine: Engine, dataset_id: int, rows: Rows, expected: Rows) -> Verdict:
    """Compare rows with those of the undisturbed run, and look for forbidden writes."""
    with reading(engine) as connection:
        query = text("SELECT * FROM fault_audit WHERE dataset_id = :d ORDER BY seq")
        notes = [dict(row) for row in connection.execute(query, {"d": dataset_id}).mappings()]
        count = text("SELECT count(*) FROM clips WHERE dataset_id = :d")
        clips = int(connection.execute(count, {"d": dataset_id}).scalar_one())
    stale = stale_writes(notes)
    moves = Counter((n["level"], n["row_id"], n["stage"]) for n in notes if n["what"] == "moved")
    moved_again = sum(moves.values()) - len(moves)
    same_key = clips - sum(index >= 0 for _, index in rows)
    return Verdict(
        lost=sum(key not in rows or rows[key]["status"] == "active" for key in expected),
        doubled=same_key + sum(key not in expected for key in rows) + moved_again,
        stale_writes=len(stale),
        late=sum(n["what"] == "score" and bool(n["late"]) and n not in stale for n in notes),
        differences=[*_differences(rows, expected)],
    )


def stale_writes(notes: Sequence[Note]) -> list[Note]:
    """The notes of writes to rows that the writer did not hold."""
    writers = {note["tx"]: note["worker"] for note in notes if note["what"] == "batch"}
    return [
        n
        for n in notes
        if n["what"] != "batch" and (not n["owner"] or _process(n["owner"]) != writers.get(n["tx"]))
    ]


def _process(owner: str) -> str:
    """pid@host of an owner (curate.worker.owner), as the log of batches names a worker."""
    parts = owner.split("|")
    return f"{parts[2]}@{parts[0]}" if len(parts) > 2 else owner


def _differences(rows: Rows, expected: Rows) -> Iterable[str]:
    for key in sorted(expected.keys() & rows.keys()):
        for column, value in expected[key].items():
            if rows[key].get(column) != value:
                yield f"{key[0]} {key[1]}: {column} is {rows[key].get(column)!r}, was {value!r}"
    for key in sorted(expected.keys() ^ rows.keys()):
        yield f"{key[0]} {key[1]}: is {'missing' if key in expected else 'new'}"


def final_rows(engine: Engine, dataset_id: int, home: Path) -> dict[Key, dict[str, Any]]:
    """Every column that two runs must agree on, and the digest of each file."""
    with reading(engine) as connection:
        videos = _all(connection, "SELECT * FROM videos WHERE dataset_id = :d", dataset_id)
        clips = _all(connection, _CLIPS, dataset_id)
    rows: dict[Key, dict[str, Any]] = {}
    for video in videos:
        samples = _digest(archive(home / "samples", video["id"]))
        rows[video["relpath"], -1] = _comparable(video) | {"samples": samples}
    for clip in clips:
        file = _digest(Path(to_path(clip["path"]))) if clip["path"] else None
        others = {"file": file, "of": clip["duplicate_of_key"]}
        rows[clip["relpath"], clip["clip_index"]] = _comparable(clip) | others
    return rows


def _all(connection: Connection, query: str, dataset_id: int) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), {"d": dataset_id}).mappings()]


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name not in _OWN}
    return dict(json.loads(json.dumps(values, default=str)))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        return f"{type(error).__name__}"
