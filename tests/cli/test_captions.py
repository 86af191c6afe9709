"""recaption, reclean and captions load from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, text

from curate.cli.shared.pipelines import resolve_steps
from curate.db import datasets
from curate.db.engine import writing
from curate.db.schema import captions
from tests import tiny
from tests.cli.conftest import Call, Filled

STEPS = """
pipeline:
  - probe
  - split
  - stage: openai
    model: m
  - clean_text
  - filter: told
    where: text_len > 2
  - text_language
"""


def give(filled: Filled, steps: list[Any]) -> None:
    """Give the dataset a pipeline of these steps."""
    pipeline = resolve_steps(
        [{"stage": s} if isinstance(s, str) else s for s in steps], (), "test", ready=False
    ).pipeline
    datasets.add_columns(filled.engine, pipeline.columns())
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE datasets SET pipeline = :p"), {"p": json.dumps(pipeline.frozen())}
        )


@pytest.fixture
def told(filled: Filled) -> Filled:
    """The dataset `pets` with captions in its line, each clip with one by `m` of four words."""
    give(filled, yaml.safe_load(STEPS)["pipeline"])
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE clips SET stage='done', status='kept', text='a', text_len=4, owner=NULL")
        )
        row = {
            "model": "m",
            "revision": "",
            "prompt": "p",
            "text_raw": "A dog runs here",
            "created_at": 1.0,
        }
        connection.execute(insert(captions), [{**row, "clip_id": n} for n in range(1, 8)])
    return filled


def waiting(told: Filled) -> list[tuple[object, ...]]:
    query = "SELECT stage, return_to, count(*) FROM clips GROUP BY 1, 2 ORDER BY 1, 2"
    with told.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def option(told: Filled, stage: str, name: str) -> object:
    frozen = datasets.pick(told.engine, "pets").frozen
    return next(s for s in frozen if s.get("stage") == stage)[name]


def test_reclean_puts_clips_back_to_clean_text_with_other_options(
    curate: Call, told: Filled
) -> None:
    result = curate(
        "reclean", "pets", "--set", "clean_text.clean=t5", "--set", "clean_text.refine=false"
    )
    assert (result.code, result.out) == (0, "dataset pets: 7 clips back to clean_text\n"), (
        result.err
    )
    assert waiting(told) == [("clean_text", "done", 7)]
    assert (option(told, "clean_text", "clean"), option(told, "clean_text", "refine")) == (
        "t5",
        False,
    )


def test_recaption_goes_through_cleaning_too(curate: Call, told: Filled) -> None:
    result = curate(
        "recaption", "--set", "openai.prompt=What is there?", "--where", "clip_index < 2"
    )
    assert (result.code, result.out) == (
        0,
        "dataset pets: 3 clips back to openai and clean_text\n",
    ), result.err
    assert waiting(told) == [("done", None, 4), ("openai", "clean_text>done", 3)]
    assert option(told, "openai", "prompt") == "What is there?"
    assert "curate redo clean_text" not in result.err


def test_recaption_cleans_what_its_predicate_meant_before_it_changed_it(
    curate: Call, told: Filled
) -> None:
    result = curate("recaption", "--where", "status = 'kept'")
    assert (result.code, result.out) == (
        0,
        "dataset pets: 7 clips back to openai and clean_text\n",
    ), result.err
    assert waiting(told) == [("openai", "clean_text>done", 7)]


@pytest.mark.parametrize(
    ("order", "way"),
    [
        (["openai", "clean_text", "match"], "clean_text>match>done"),
        (["openai", "match", "clean_text"], "match>clean_text>done"),
        (["match", "openai", "clean_text"], "clean_text>done"),
    ],
    ids=lambda v: v if isinstance(v, str) else " ".join(v),
)
def test_recaption_matches_the_new_captions_too(
    curate: Call, told: Filled, home: Path, order: list[str], way: str
) -> None:
    """Else the score of the text that is gone would stay, and the filters judge by it."""
    tiny.write_clip(home / "models" / tiny.CLIP)
    steps = [
        {"stage": "openai", "model": "m"} if name == "openai" else {"stage": name} for name in order
    ]
    give(told, [{"stage": "probe"}, {"stage": "split"}, {"stage": "clip_embed"}, *steps])
    result = curate("recaption")
    assert result.code == 0, result.err
    assert waiting(told) == [("openai", way, 7)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stage", "clean_text"], "choose with --stage openai"),
        (["--set", "clean_text.clean=t5"], "only options of openai"),
    ],
    ids=str,
)
def test_recaption_refuses_what_is_no_captioner(
    curate: Call, told: Filled, words: list[str], says: str
) -> None:
    result = curate("recaption", "pets", *words)
    assert (result.code > 1, says in result.err) == (True, True), result.err
    assert waiting(told) == [("done", None, 7)]


def test_without_a_captioner_it_says_what_there_is(curate: Call, filled: Filled) -> None:
    result = curate("recaption")
    assert (result.code, "has no captioner; it has probe, split" in result.err) == (2, True), (
        result.err
    )
    assert curate("reclean").code == 2


def test_captions_are_loaded_from_an_exported_table(
    curate: Call, told: Filled, tmp_path: Path
) -> None:
    table = tmp_path / "mended.csv"
    assert curate("export", "-o", str(table), "--where", "clip_index = 0").code == 0
    table.write_text(table.read_text().replace(",a,", ",A mended text,", 1) + "\n")
    result = curate("captions", "load", str(table), "pets")
    assert (result.code, result.out) == (0, "dataset pets: 1 caption loaded, 1 unchanged\n"), (
        result.err
    )
    assert "curate reclean pets" in result.err
    with told.engine.connect() as connection:
        found = connection.execute(
            text("SELECT model, text_raw FROM captions WHERE clip_id = 3 ORDER BY id")
        )
        assert [tuple(row) for row in found] == [
            ("m", "A dog runs here"),
            ("table", "A mended text"),
        ]
        assert (
            connection.execute(text("SELECT text FROM clips WHERE id = 3")).scalar()
            == "A mended text"
        )


def test_what_was_not_loaded_is_told(curate: Call, told: Filled, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,text\n/nowhere,a\n/c/b_scene-0.mp4,\n/c/a_scene-0.mp4,Mine\n")
    result = curate("captions", "load", str(table), "--json")
    assert result.json == {"dataset": "pets", "loaded": 1, "unchanged": 0, "empty": 1, "unknown": 1}
    assert ("1 row without a text" in result.err, "1 row about no clip" in result.err) == (
        True,
        True,
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("path,words\n/a,b\n", "no column text"),
        ("path,text,clip_id\n/a,b,x\n", "line 2: clip_id is 'x', not a whole number"),
        ("clip_id,text\n1.5,b\n", "clip_id is '1.5', not a whole number"),
        ("clip_id,text\n1e300,b\n", "not a whole number"),
        ("clip_id,text\ninf,b\n", "not a whole number"),
        ("name,text\na,b\n", "no column clip_id or path"),
        ("clip_id,text\n,b\n", "line 2: path is None"),
    ],
)
def test_a_table_that_is_none_is_refused(
    curate: Call, told: Filled, tmp_path: Path, content: str, says: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(content)
    result = curate("captions", "load", str(table))
    assert (result.code, says in result.err, "curate config" in result.err) == (3, True, False), (
        result.err
    )


def test_rows_may_name_clips_by_their_numbers_alone(
    curate: Call, told: Filled, tmp_path: Path
) -> None:
    """Also as pandas writes them after a merge, in which other rows had none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tmp_path / "t.csv"
    table.write_text("clip_id,text\n1.0,One\n2,Two\n")
    assert curate("captions", "load", str(table), "--json").json["loaded"] == 2
    columns = {"clip_id": [3.0, None], "path": [None, "/c/b_scene-0.mp4"], "text": ["Three", "B"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert curate("captions", "load", str(tmp_path / "t.parquet"), "--json").json["loaded"] == 2
    with told.engine.connect() as connection:
        found = connection.execute(
            text("SELECT text FROM clips WHERE id < 4 ORDER BY id")
        ).scalars()
        assert list(found) == ["B", "Two", "Three"]


def test_what_was_loaded_can_be_taken_back(curate: Call, told: Filled, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("clip_id,text\n1,One\n2,Two\n")
    assert curate("captions", "load", str(table)).code == 0
    result = curate("recaption")
    assert (
        "2 clips have a text by hand, which stays; to take it back: curate captions drop pets"
        in result.err
    )
    assert "1 clip has a text by hand" in curate("recaption", "--where", "text = 'One'").err
    result = curate("captions", "drop", "--where", "text = 'One'")
    assert (result.code, result.out) == (0, "dataset pets: 1 caption dropped\n"), result.err
    assert "curate reclean pets" in result.err
    assert curate("captions", "drop", "pets", "--json").json == {"dataset": "pets", "dropped": 1}
    result = curate("captions", "drop")
    assert (result.out, result.err) == ("dataset pets: 0 captions dropped\n", "")
    assert "by hand" not in curate("recaption").err
    assert curate("captions", "drop", "--where", "txt = 'One'").code == 3
