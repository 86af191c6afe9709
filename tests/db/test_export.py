"""Export: which clips and columns, in which order."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import insert, text

from curate.configs.errors import FilterError, ServiceError, UsageError
from curate.db import datasets, export
from curate.db.schema import caption_fields, captions, clips
from curate.db.selection import Selection
from curate.export.formats import parquet
from curate.export.formats.csv import Csv
from curate.export.registry import table_format
from curate.export.tables import export_table
from curate.tasks.clean_text import CleanText
from curate.tasks.openai import Openai
from tests.pipelines import CATALOG, Found, Line, make_line, pipeline


@pytest.fixture
def line(database_url: str, home: Path) -> Iterator[Line]:
    """Five kept clips of two videos, the second enqueued with other columns; and one that was
    dropped.
    """
    made = make_line(database_url, home, ["score", "inorder"])
    found = [
        Found("/v/a.mp4", extra={"text": "a cat", "license": "CC0", "tags": ["x", "ü"]}),
        Found("/v/b%FF.mp4"),
    ]
    datasets.enqueue(made.engine, made.dataset, found, made.pipeline)
    insert = text(
        "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, "
        "start_seconds, end_seconds, stage,"
        " status, path, text, score) VALUES (1, :v, :i, 0, 1, 0, 1.5, 'done', :t, :p, :x, :s)"
    )
    clips = [
        {"v": 2, "i": 0, "t": "kept", "p": None, "x": None, "s": 0.5},
        {"v": 1, "i": 1, "t": "kept", "p": "/c/a_1.mp4", "x": 'said "hi",\nthen left', "s": None},
        {"v": 1, "i": 0, "t": "kept", "p": "/c/ä 100%25.mp4", "x": "a cat", "s": 2.0},
        {"v": 1, "i": 2, "t": "dropped", "p": None, "x": "", "s": -1.0},
        {"v": 1, "i": 10, "t": "kept", "p": None, "x": "", "s": 0.1},
    ]
    with made.engine.begin() as connection:
        for values in clips:
            connection.execute(insert, values)
    yield made
    made.engine.dispose()


def write(line: Line, target: Path, selection: Selection | None = None) -> export.Exported:
    planned = export.plan(line.engine, line.dataset.id, line.pipeline, selection or Selection())
    return export_table(line.engine, planned, target, table_format(str(target)))


def rows(line: Line, tmp_path: Path, **selection: Any) -> list[dict[str, str]]:
    target = tmp_path / "x.csv"
    write(line, target, Selection(**selection))
    with target.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_seeds_columns_come_first_and_the_input_tables_last(line: Line, tmp_path: Path) -> None:
    written = write(line, tmp_path / "x.csv")
    assert list(written.columns) == [
        "path", "text", "num_frames", "fps", "height", "width", "aspect_ratio", "resolution",
        "text_len",
        "score", "duplicate", "source", "start_seconds", "end_seconds", "clip_id", "license",
        "tags",
    ]  # fmt: skip
    assert (written.rows, written.not_utf8) == (4, 1)


def test_rows_come_video_by_video_in_time(line: Line, tmp_path: Path) -> None:
    assert [r["clip_id"] for r in rows(line, tmp_path)] == ["3", "2", "5", "1"]


def test_paths_are_those_on_disk(line: Line, tmp_path: Path) -> None:
    found = rows(line, tmp_path)
    assert found[0]["path"] == "/c/ä 100%.mp4"
    assert found[2]["path"] == found[2]["source"] == "/v/a.mp4"  # not cut
    assert found[3]["source"] == "/v/b%FF.mp4"  # not UTF-8 on disk: as it is stored


def test_columns_of_the_input_table_are_kept(line: Line, tmp_path: Path) -> None:
    found = rows(line, tmp_path)
    assert (found[0]["license"], found[0]["tags"]) == ("CC0", '["x", "ü"]')
    assert found[3]["license"] == ""


def test_text_comes_back_from_csv_as_it_was(line: Line, tmp_path: Path) -> None:
    write(line, tmp_path / "x.csv")
    frame = pd.read_csv(tmp_path / "x.csv")
    assert frame["text"][1] == 'said "hi",\nthen left'
    assert frame["score"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ({"where": "score > 0.2"}, ["3", "1"]),
        ({"where": "path LIKE '/c/%'"}, ["3", "2"]),
        ({"where": "source LIKE '%b%'"}, ["1"]),
        ({"sort": "score desc"}, ["3", "1", "5", "2"]),
        ({"sort": "path"}, ["2", "3", "5", "1"]),
        ({"sort": "start_seconds, clip_id desc"}, ["5", "3", "2", "1"]),
        ({"statuses": ("dropped",)}, ["4"]),
    ],
    ids=str,
)
def test_where_and_sort(
    line: Line, tmp_path: Path, selection: dict[str, Any], ids: list[str]
) -> None:
    assert [r["clip_id"] for r in rows(line, tmp_path, **selection)] == ids


def test_columns_can_be_chosen(line: Line, tmp_path: Path) -> None:
    found = rows(line, tmp_path, columns=("license", "start_pts", "path"))
    assert list(found[0]) == ["license", "start_pts", "path"]


@pytest.mark.parametrize(
    ("selection", "error"),
    [
        (Selection(columns=("owner",)), UsageError),
        (Selection(columns=("path", "path")), UsageError),
        (Selection(sort="license"), UsageError),
        (Selection(where="owner = 'x'"), FilterError),
        (Selection(where="1 = 1; DROP TABLE clips"), FilterError),
    ],
)
def test_what_is_not_a_column_is_refused(
    line: Line, selection: Selection, error: type[Exception]
) -> None:
    with pytest.raises(error):
        export.plan(line.engine, line.dataset.id, line.pipeline, selection)


def test_parquet_has_types(line: Line, tmp_path: Path) -> None:
    write(line, tmp_path / "x.parquet")
    frame = pd.read_parquet(tmp_path / "x.parquet", dtype_backend="pyarrow")
    types = [str(frame[c].dtype) for c in ("score", "duplicate", "clip_id")]
    assert types == ["double[pyarrow]", "int64[pyarrow]", "int64[pyarrow]"]
    assert frame["path"].tolist()[:2] == ["/c/ä 100%.mp4", "/c/a_1.mp4"]


def test_nothing_kept_is_a_table_without_rows(line: Line, tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        assert write(line, tmp_path / name, Selection(where="score > 99")).rows == 0
    assert len(pd.read_csv(tmp_path / "x.csv")) == len(pd.read_parquet(tmp_path / "x.parquet")) == 0


def test_more_rows_than_a_chunk(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 2)
    monkeypatch.setattr(parquet, "ROWS", 2)
    for name in ("x.csv", "x.parquet"):
        assert write(line, tmp_path / name).rows == 4
    assert pd.read_parquet(tmp_path / "x.parquet")["clip_id"].tolist() == [3, 2, 5, 1]


def test_safe_cells_hold_no_formula_and_keep_numbers(line: Line, tmp_path: Path) -> None:
    extra = {"=cmd|' /C calc'!A0": "@x", "delta": -1, "plain": "-"}
    datasets.enqueue(
        line.engine, line.dataset, [Found("/v/a.mp4", "2", extra=extra)], line.pipeline
    )
    clip = {"dataset_id": 1, "video_id": 1, "clip_index": 0, "start_pts": 0, "end_pts": 1}
    clip |= {"start_seconds": 0, "end_seconds": 1, "stage": "done", "status": "kept"}
    with line.engine.begin() as connection:
        connection.execute(insert(clips), clip | {"text": "=1+1", "path": "/c/a.mp4"})
        connection.execute(text("UPDATE clips SET score = -0.5 WHERE video_id = 1"))
    planned = export.plan(line.engine, line.dataset.id, line.pipeline, Selection())
    target = tmp_path / "x.csv"
    export_table(line.engine, planned, target, table_format("x.csv"), safe_cells=True)
    with target.open(newline="") as stream:
        found = next(r for r in csv.DictReader(stream) if r["text"])
    assert (found["text"], found["score"], found["path"]) == ("'=1+1", "-0.5", "/c/a.mp4")
    assert (found["'=cmd|' /C calc'!A0"], found["delta"], found["plain"]) == ("'@x", "'-1", "'-")


def test_a_file_that_cannot_be_written_after_all_is_a_service_that_is_missing(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a disk that is full."""

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Csv, "write", fill)
    with pytest.raises(ServiceError, match=r"x\.csv.*No space left"):
        write(line, tmp_path / "x.csv")
    assert not list(tmp_path.glob("*.tmp"))


@pytest.fixture
def many(line: Line) -> Line:
    """200 kept clips more, of one video."""
    line.put_clips(200, "done", "/v/many.mp4", "kept")
    return line


def ids(line: Line, **selection: Any) -> list[int]:
    """The ids of the clips of a selection, in order."""
    planned = export.plan(line.engine, 1, line.pipeline, Selection(**selection))
    exported = export.Exported(planned.names)
    with export.rows_of(line.engine, planned, str, exported) as found:
        return [row.values[planned.names.index("clip_id")] for row in found]


def test_a_shuffle_is_the_same_for_its_seed_on_both_engines(many: Line) -> None:
    plain, first, second = ids(many), ids(many, shuffle=True, seed=1), ids(many, shuffle=True)
    assert sorted(first) == sorted(second) == sorted(plain)
    assert first == ids(many, shuffle=True, seed=1) != second != plain
    by_hash = sorted(
        range(200), key=lambda i: md5(f"order/1/set/many.mp4/{i}".encode()).hexdigest()
    )
    start = min(i for i in plain if i > 5)
    assert [i for i in first if i >= start] == [start + n for n in by_hash]


def test_a_sample_is_that_many_in_the_usual_order(many: Line) -> None:
    found = ids(many, sample=30)
    assert len(found) == 30 and found == [i for i in ids(many) if i in found]
    assert found != ids(many, sample=30, seed=2)


def test_a_share_is_about_that_many_and_keeps_its_clips_when_others_join(many: Line) -> None:
    before = ids(many, share=0.3)
    assert 35 < len(before) < 90
    many.put_clips(100, "done", "/v/more.mp4", "kept")
    assert [i for i in ids(many, share=0.3) if i <= max(ids(many)[:-1]) and i in before] == before
    assert ids(many, share=1.0) == ids(many) and ids(many, share=0.0) == []


def test_a_limit_counts_what_is_written(many: Line) -> None:
    assert ids(many, limit=3) == ids(many)[:3]
    assert ids(many, limit=0) == []
    assert export.totals(many.engine, export.plan(many.engine, 1, many.pipeline, Selection())) == (
        204,
        0,
    )
    limited = export.plan(many.engine, 1, many.pipeline, Selection(limit=5))
    assert export.totals(many.engine, limited)[0] == 5


def test_datasets_come_one_after_the_other_each_with_its_name(line: Line) -> None:
    other = datasets.create(line.engine, "second", "/v", pipeline("score"))
    datasets.enqueue(line.engine, other, [Found("/v/z.mp4", extra={"more": "1"})], line.pipeline)
    clip = "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage, status)"
    with line.engine.begin() as connection:
        found = connection.execute(text("SELECT max(id) FROM videos")).scalar_one()
        values = " VALUES (:d, :v, 0, 0, 1, 'done', 'kept')"
        connection.execute(text(clip + values), {"d": other.id, "v": found})
    chosen = [(other.id, pipeline("score")), (line.dataset.id, line.pipeline)]
    planned = export.plan_several(line.engine, chosen, Selection())
    exported = export.Exported(planned.names)
    with export.rows_of(line.engine, planned, str, exported) as rows_:
        names = [row.values[planned.names.index("dataset")] for row in rows_]
    assert names == ["second", "set", "set", "set", "set"]
    assert planned.names[-3:] == ["more", "license", "tags"]
    with pytest.raises(UsageError, match="dataset"):
        export.plan(line.engine, 1, line.pipeline, Selection(columns=("dataset",)))


def test_a_sample_and_a_limit_are_of_all_sides(many: Line) -> None:
    with many.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET side = CASE WHEN id % 3 = 0 THEN 'a' ELSE 'b' END")
        )
        connection.execute(text("UPDATE clips SET side = NULL WHERE id = 9"))
    every = ids(many, split=True)
    assert 9 not in every and len(every) == 203
    for how in ({"sample": 50}, {"limit": 20}, {"limit": 20, "shuffle": True}, {"share": 0.5}):
        sides = [ids(many, split=True, side=name, **how) for name in "ab"]
        assert sorted([*sides[0], *sides[1]]) == sorted(ids(many, split=True, **how))
        assert all(i % 3 == 0 for i in sides[0]) and len(sides[1]) > len(sides[0]) > 0


def put_caption(line: Line, clip: int, model: str, **fields: str) -> None:
    """A caption of a clip by a model, in fields."""
    with line.engine.begin() as connection:
        row = {"clip_id": clip, "model": model, "revision": "", "prompt": ""}
        made = insert(captions).values(**row, text_raw="it", created_at=1.0)
        number = connection.execute(made.returning(captions.c.id)).scalar_one()
        for name, value in fields.items():
            field = {"caption_id": number, "field": name, "text": value}
            connection.execute(insert(caption_fields).values(**field))


def test_the_fields_of_the_caption_that_is_the_text_are_json(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = 'A "dög"\n\t\\ {\u2028}\x01'
    put_caption(line, 3, "a", subject=odd, action="runs")
    put_caption(line, 3, "b", subject="a cat")
    put_caption(line, 2, "c")
    wanted = {"columns": ("clip_id", "caption_fields"), "sort": "clip_id"}

    def found(**more: Any) -> list[tuple[str, str]]:
        return [(r["clip_id"], r["caption_fields"]) for r in rows(line, tmp_path, **wanted | more)]

    newest = ("3", '{"subject": "a cat"}')
    assert found() == [("1", ""), ("2", ""), newest, ("5", "")]
    assert found(where="caption_fields LIKE '%cat%'") == [newest]
    assert "caption_fields" not in write(line, tmp_path / "usual.csv").columns
    for stage in (CleanText, Openai):
        monkeypatch.setitem(CATALOG, stage.name, stage)
    asking = {"stage": "openai", "model": "a", "fields": ["short"]}
    line.pipeline = pipeline("score", "inorder", asking, "clean_text")
    datasets.create(line.engine, "other", "/v", line.pipeline)  # its columns
    assert found()[2] == newest
    for writer in ("rewriter", "a"):  # a text that was rewritten has the fields of its notes
        assert found()[2] == newest
        with line.engine.begin() as connection:
            put = text("UPDATE clips SET text_model = :w WHERE id = 3")
            connection.execute(put, {"w": writer})
    assert found()[2] == ("3", json.dumps({"action": "runs", "subject": odd}, ensure_ascii=False))
    for name in ("x.jsonl", "x.parquet", "x.csv"):
        assert "caption_fields" in write(line, tmp_path / name).columns
    lines = (tmp_path / "x.jsonl").read_text().split("\n")[:-1]
    objects = [json.loads(one)["caption_fields"] for one in lines]
    assert [one for one in objects if one] == [{"action": "runs", "subject": odd}]
    table = pd.read_parquet(tmp_path / "x.parquet")["caption_fields"]
    assert [None if pd.isna(cell) else json.loads(cell) for cell in table] == objects
