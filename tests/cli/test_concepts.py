"""`curate concepts`: fitted, given to clips by a redo, listed; duplicates counted and dropped."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import insert, text

from curate.configs.settings import load_settings
from curate.db.schema import embeddings
from curate.worker.runner import Runner
from tests.cli.conftest import Call, Filled, finish_clips, give_pipeline, positions
from tests.embedded import rows_at

ANGLES = (0, 90, 1, 90.5, 2, 1.5, 91)


@pytest.fixture
def embedded(filled: Filled) -> Filled:
    """The dataset `pets`, done, its seven clips in two groups, made without concepts."""
    give_pipeline(filled, ["probe", "split", "clip_embed", "motion"])
    finish_clips(
        filled,
        "UPDATE clips SET stage = 'done', status = 'kept', reason = NULL, owner = NULL,"
        " lease_until = 0, text = 'a dog'",
        "UPDATE clips SET text = 'a car' WHERE id IN (2, 4, 7)",
    )
    with filled.engine.begin() as connection:
        rows = [{"clip_id": n, **row} for n, a in enumerate(ANGLES, 1) for row in rows_at(a)]
        connection.execute(insert(embeddings), rows)
    return filled


def run(filled: Filled, *stages: str) -> None:
    """Let this process do what waits at stages."""
    runner = Runner(load_settings(), filled.engine)
    for stage in stages:
        while runner.run_one(stage):
            pass


def rows(filled: Filled, columns: str) -> Sequence[tuple[object, ...]]:
    with filled.engine.connect() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM clips ORDER BY id"))
        return [tuple(row) for row in found]


def test_concepts_of_a_finished_dataset_are_fitted_filled_and_listed(
    curate: Call, embedded: Filled
) -> None:
    result = curate("concepts", "fit", "pets", "-k", "2")
    assert result.code == 0, result.err
    assert result.out == "dataset pets: fit 1, 2 concepts on 7 clips of 7, embedded by m\n"
    assert "the stage concept joins the pipeline of pets" in result.err
    assert "Next: curate redo concept pets" in result.err
    none = curate("concepts", "list", "pets")
    assert (none.code, "redo concept pets" in none.err) == (2, True), none.err
    assert curate("redo", "concept", "pets").out == "dataset pets: 7 clips back to concept\n"
    run(embedded, "concept")
    assert rows(embedded, "concept, status, stage") == [
        (int(angle > 45), "kept", "done") for angle in ANGLES
    ]
    listed = curate("concepts", "list", "pets", "--json").json
    assert [(r["concept"], r["name"], r["clips"], r["kept"], r["fit"]) for r in listed] == [
        (0, "dog", 4, 4, 1), (1, "car", 3, 3, 1),
    ]  # fmt: skip
    table = curate("concepts")
    assert table.out.splitlines()[0].split() == ["concept", "name", "clips", "kept", "distance"]
    assert "1 of 2 concepts" in curate("concepts", "list", "-n", "1").err


def test_the_same_seed_fits_the_same_and_a_new_fit_is_told(curate: Call, embedded: Filled) -> None:
    assert curate("concepts", "fit", "pets", "-k", "3").code == 0
    curate("redo", "concept")
    run(embedded, "concept")
    again = curate("concepts", "fit", "pets", "-k", "3", "--json").json
    assert (again["fit"], again["concepts"], again["model"]) == (2, 3, "m")
    with embedded.engine.connect() as connection:
        one, two = connection.execute(text("SELECT arrays FROM fits ORDER BY id")).scalars()
    assert bytes(one) == bytes(two)
    result = curate("concepts", "list", "pets")
    assert "7 clips with a concept of an earlier fit" in result.err
    assert "curate redo concept pets" in result.err


def test_rates_are_shown_and_duplicates_dropped(curate: Call, embedded: Filled) -> None:
    curate("concepts", "fit", "pets", "-k", "2")
    curate("redo", "concept")
    run(embedded, "concept")
    shown = curate("concepts", "rates", "--eps", "0.0001", "--eps", "0.1", "--json").json
    assert [(r["eps"], r["duplicates"], r["clips"]) for r in shown] == [(0.0001, 2, 7), (0.1, 5, 7)]
    assert "0.07" in curate("concepts", "rates").out
    result = curate("concepts", "dedup", "pets", "--eps", "0.1")
    assert result.out == "dataset pets: 7 clips back to semantic_dedup\n", result.err
    run(embedded, "semantic_dedup")
    # in the order of videos and their clips; clips 1 and 2 are of other videos
    assert (
        sorted(rows(embedded, "status, reason"))
        == [("dropped", "unlike")] * 5 + [("kept", None)] * 2
    )
    assert curate("concepts", "rates", "--eps", "0.1", "--json").json[0]["duplicates"] == 5
    result = curate("concepts", "dedup", "pets", "--eps", "0")
    assert positions(embedded) == [("semantic_dedup", "done", 7)], result.err
    run(embedded, "semantic_dedup")
    assert {row[0] for row in rows(embedded, "status")} == {"kept"}


def test_a_dataset_whose_clips_wait_goes_on_by_resume(curate: Call, filled: Filled) -> None:
    give_pipeline(filled, ["probe", "split", "clip_embed", "concept"])
    finish_clips(
        filled, "UPDATE clips SET stage = 'concept', status = 'active', owner = NULL, reason = NULL"
    )
    with filled.engine.begin() as connection:
        made = [{"clip_id": n, **row} for n in range(1, 8) for row in rows_at(10 * n)]
        connection.execute(insert(embeddings), made)
    assert "Next: curate resume pets" in curate("concepts", "fit", "pets").err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["fit", "pets", "-k", "8"], 2, "only 7 clips of pets are embedded"),
        (["fit", "pets", "--model", "x"], 2, "embedded by m"),
        (["list", "pets"], 4, "curate concepts fit pets"),
        (["rates", "pets"], 4, "curate concepts fit pets"),
        (["dedup", "pets"], 4, "curate concepts fit pets"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_cannot_be_is_told_with_what_to_type(
    curate: Call, embedded: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("concepts", *words)
    assert (result.code, says in result.err, result.out) == (code, True, ""), result.err


def test_of_two_embedders_the_one_of_most_clips_is_taken_and_the_other_on_request(
    curate: Call, embedded: Filled
) -> None:
    with embedded.engine.begin() as connection:
        other = [{"clip_id": n, **row} for n in (1, 2, 3) for row in rows_at(60 * n, model="other")]
        connection.execute(insert(embeddings), other)
    usual = curate("concepts", "fit", "pets", "-k", "2")
    assert "7 clips of 7, embedded by m\n" in usual.out
    assert "3 clips are embedded by other" in usual.err
    curate("redo", "concept")
    run(embedded, "concept")
    other_fit = curate("concepts", "fit", "pets", "-k", "3", "--model", "other")
    assert "3 clips of 3, embedded by other\n" in other_fit.out
    none = curate("concepts", "list", "pets")
    assert "Next: curate redo concept pets" in none.err
    rates = curate("concepts", "rates", "pets", "--eps", "0.1", "--json").json
    assert [(r["duplicates"], r["clips"]) for r in rates] == [(0, 3)], "before the redo"
    curate("redo", "concept")
    run(embedded, "concept")
    assert (
        sorted(rows(embedded, "status, reason, concept_fit"))
        == [("failed", "EmbeddingMissing", 1)] * 4 + [("kept", None, 2)] * 3
    )
    curate("concepts", "fit", "pets", "-k", "2", "--model", "m")
    assert curate("redo", "concept").out == "dataset pets: 7 clips back to concept\n"
    run(embedded, "concept")
    assert set(rows(embedded, "status, concept_fit")) == {("kept", 3)}


def test_without_embeddings_nothing_is_fitted(curate: Call, filled: Filled) -> None:
    """A pipeline that embeds no clip needs another one; else they are to be waited for."""
    for word in ("fit", "list", "rates", "dedup"):
        result = curate("concepts", word, "pets")
        assert (result.code, "--config quality.yaml --name NEW" in result.err) == (2, True)
    give_pipeline(filled, ["probe", "split", "clip_embed", "motion", "cut"])
    result = curate("concepts", "fit", "pets")
    assert (result.code, "curate status pets" in result.err) == (2, True), result.err


@pytest.fixture
def in_concepts(embedded: Filled, curate: Call) -> Filled:
    """The same, with concepts 0 (four clips) and 1 (three)."""
    curate("concepts", "fit", "pets", "-k", "2")
    curate("redo", "concept")
    run(embedded, "concept")
    return embedded


def test_an_export_is_balanced_by_concept_and_says_so(curate: Call, in_concepts: Filled) -> None:
    words = ("export", "--missing", "keep", "--columns", "concept", "--balance", "concept:0")
    sampled = curate(*words, "--sample", "4")
    assert sorted(sampled.out.split()[1:]) == ["0", "0", "1", "1"], sampled.err
    assert "the largest (0) has 57.1 % of 7 clips" in sampled.err
    assert "50.0 % of 4 clips" in sampled.err
    weighed = curate(*words)
    assert weighed.out.splitlines()[0] == "concept,balance_weight"
    assert "50.0 % by weight" in weighed.err


def test_concepts_are_held_out(curate: Call, in_concepts: Filled) -> None:
    words = ("export", "--missing", "keep", "--columns", "concept", "--hold-out", "concept=1")
    result = curate(*words)
    rows_written = {tuple(line.split(",")) for line in result.out.splitlines()[1:]}
    assert sorted(side for _, side in rows_written) == ["train", "val"], result.err
    assert "side val: " in result.err
    assert "of 1 group" in result.err
    assert curate(*words).out == result.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--balance", "concept"], 2, "concept:0.5"),
        (["--balance", "concept:2"], 2, "from 0 to 1"),
        (["--balance", "concpt:1"], 2, "concept"),
        (["--balance", "concept_distance:1"], 2, "no column of groups"),
        (["--balance", "concept:1", "--to", "two-files", "-o", "x"], 2, "--sample N"),
        (["--hold-out", "concept"], 2, "concept=5"),
        (["--hold-out", "concept=2"], 2, "there are 2 groups"),
        (["--hold-out", "concept=1", "--split", "train=1"], 2, "leave out --split"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_an_export_by_groups_refuses_what_cannot_be(
    curate: Call, in_concepts: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("export", *words)
    assert (result.code, says in result.err, result.out) == (code, True, ""), result.err
