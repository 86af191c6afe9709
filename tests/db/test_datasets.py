"""Datasets: enqueue is an upsert, refilter never scores again, retry and resume put rows back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from curate.configs.errors import NoDatasets, NoSuchDataset, UsageError
from curate.configs.pipeline import parse
from curate.configs.schema import Column
from curate.configs.texts import safe_name
from curate.db import datasets, migrate
from curate.db.datasets import Enqueued
from curate.db.engine import make_engine
from curate.db.redo import set_pipeline
from curate.db.refilter import replace_pipeline
from curate.db.reports.counts import count_unfinished
from curate.db.save.batch import Outcomes, save
from tests.pipelines import CATALOG, Found, Line, make_line, pipeline, writer


def test_enqueueing_again_does_nothing(line: Line) -> None:
    assert line.enqueue("a.mp4", "b.mp4") == Enqueued(new=2)
    assert line.enqueue("a.mp4", "b.mp4", "c.mp4") == Enqueued(new=1, unchanged=2)
    assert line.rows("SELECT path, stage, status FROM videos ORDER BY id") == [
        (f"/v/{n}.mp4", "probe", "active") for n in "abc"
    ]


def test_a_changed_file_starts_again_without_the_numbers_of_the_last(line: Line) -> None:
    line.put_clips(2, "score", "/v/a.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET num_frames = 20, width = 64, num_clips = 2"))
    again = [Found("/v/a.mp4", "2")]
    assert datasets.enqueue(line.engine, line.dataset, again, line.pipeline).changed == 1
    assert line.rows("SELECT stage, status, fingerprint FROM videos") == [("probe", "active", "2")]
    assert line.rows("SELECT num_frames, width, num_clips FROM videos") == [(None, None, None)]
    assert line.rows("SELECT * FROM clips") == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_input_that_is_only_known_joins_no_dataset(line: Line, dry_run: bool) -> None:
    """A row that is there from before stays, and starts again when its file changes."""
    line.enqueue("same.png", "other.png")
    found = [
        Found("/v/same.png", only_known=True),
        Found("/v/other.png", "2", only_known=True),
        Found("/v/new.png", only_known=True),
        Found("/v/a.mp4"),
    ]
    done = datasets.enqueue(line.engine, line.dataset, found, line.pipeline, dry_run)
    assert done == Enqueued(new=1, changed=1, unchanged=1, left_out=1)
    assert done.found == 3
    assert line.rows("SELECT count(*) FROM videos") == [(2 if dry_run else 3,)]


def test_copies_in_any_number_of_places_have_names_of_their_own(line: Line) -> None:
    """At once, and added one by one."""
    for chunk in (range(5), [5], [6]):
        found = [Found(f"/v{i}/a.mp4") for i in chunk]
        datasets.enqueue(line.engine, line.dataset, found, line.pipeline)
    stems = [stem for (stem,) in line.rows("SELECT clip_stem FROM videos ORDER BY id")]
    assert stems[:3] == ["a", "a.mp4", "a.mp4_1"]
    assert len(set(stems)) == 7


def test_a_dry_run_writes_nothing(line: Line) -> None:
    done = datasets.enqueue(
        line.engine, line.dataset, [Found("/v/a.mp4")], line.pipeline, dry_run=True
    )
    assert done.new == 1
    assert line.rows("SELECT * FROM videos") == []


def test_more_inputs_than_one_transaction_takes(line: Line) -> None:
    names = [f"{n:04}.mp4" for n in range(datasets.CHUNK + 7)]
    assert line.enqueue(*names).found == len(names)
    assert line.rows("SELECT count(*) FROM videos") == [(len(names),)]


def test_videos_of_one_stem_keep_their_clips_apart(line: Line) -> None:
    line.enqueue("a.mov", "a.mp4", "b.c.mp4")
    line.enqueue("a.avi", "b.mp4")
    stems = dict(line.rows("SELECT relpath, clip_stem FROM videos"))
    assert stems == {
        "a.mov": "a",
        "a.mp4": "a.mp4",
        "b.c.mp4": "b.c",
        "a.avi": "a.avi",
        "b.mp4": "b",
    }


def test_datasets_are_found_by_name_and_the_newest_without(line: Line) -> None:
    other = datasets.create(line.engine, "other", "/w", line.pipeline)
    assert datasets.pick(line.engine, None) == other
    assert datasets.pick(line.engine, "set").name == "set"
    with pytest.raises(NoSuchDataset, match="set, other"):
        datasets.pick(line.engine, "sett")


def test_no_dataset_at_all_names_the_first_command(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    with pytest.raises(NoDatasets, match="curate run"):
        datasets.pick(engine, None)


def test_a_missing_score_column_is_added_once(line: Line) -> None:
    wanted = {"aes": Column("float", ""), "label": Column("text", ""), "n": Column("int", "")}
    assert datasets.add_columns(line.engine, wanted) == ["aes", "label", "n"]
    assert datasets.add_columns(line.engine, wanted) == []
    line.put_clips(1, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET aes = 0.1, label = 'x', n = 5000000000"))
    assert line.rows("SELECT aes, label, n FROM clips") == [(0.1, "x", 5000000000)]


def scored(line: Line, scores: list[float]) -> list[int]:
    ids = line.put_clips(len(scores), "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 10"))
    claim = line.claim("score")
    assert claim is not None
    findings = Outcomes(scores={i: {"score": s} for i, s in zip(ids, scores, strict=True)})
    save(line.engine, claim, findings, writer())
    return ids


def statuses(line: Line) -> list[tuple[object, ...]]:
    return line.rows("SELECT stage, status, reason FROM clips ORDER BY id")


def test_refilter_revives_and_drops_and_keeps_places(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    scored(line, [1.0, 2.0, 3.0])
    looser = pipeline("score", "good: score >= 1")
    assert replace_pipeline(line.engine, line.dataset, looser) == {"revived": 1, "dropped": 0}
    assert statuses(line) == [("done", "kept", None)] * 3
    stricter = pipeline("score", "fine: score >= 3")
    again = datasets.pick(line.engine, None)
    assert replace_pipeline(line.engine, again, stricter) == {"revived": 0, "dropped": 2}
    assert statuses(line) == [("done", "dropped", "fine")] * 2 + [("done", "kept", None)]


def test_refilter_never_undoes_what_another_command_changed_meanwhile(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    scored(line, [1.0, 2.0])
    read_before = datasets.pick(line.engine, None)
    other = pipeline({"stage": "score", "time_limit": 99}, "good: score >= 2")
    set_pipeline(line.engine, datasets.pick(line.engine, None), other)
    before = statuses(line)
    with pytest.raises(UsageError, match="Try again"):
        replace_pipeline(line.engine, read_before, pipeline("score", "good: score >= 1"))
    assert datasets.pick(line.engine, None).frozen == other.frozen()
    assert statuses(line) == before


def test_a_revived_clip_goes_on_where_it_was(line: Line) -> None:
    scored(line, [0.0, 5.0])
    looser = pipeline("some: num_frames >= 5", "score", "inorder")
    assert replace_pipeline(line.engine, line.dataset, looser)["revived"] == 1
    assert statuses(line) == [("inorder", "active", None)] * 2


def test_refilter_leaves_failed_clips_and_clips_at_work_alone(line: Line) -> None:
    a, b = line.put_clips(2, "inorder")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET status='failed', reason='X' WHERE id=:a"), {"a": a}
        )
    line.claim("inorder")
    replace_pipeline(line.engine, line.dataset, line.pipeline)
    assert statuses(line) == [("inorder", "failed", "X"), ("inorder", "active", None)]
    assert b


def test_a_drop_by_a_stage_is_not_revived(line: Line) -> None:
    line.enqueue("a.mp4")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE videos SET status='dropped', reason='no_scene_long_enough', stage='split'")
        )
    replace_pipeline(line.engine, line.dataset, line.pipeline)
    assert line.rows("SELECT status, reason FROM videos") == [("dropped", "no_scene_long_enough")]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scores=st.lists(st.floats(-5, 5), min_size=1, max_size=8),
    thresholds=st.lists(st.integers(-50, 50).map(lambda n: n / 10), min_size=1, max_size=3),
)
def test_refiltering_equals_having_filtered_so_from_the_start(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float], thresholds: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("refilter")
    changed = make_line(f"sqlite:///{folder}/a.db", folder, ["score", "good: score >= 2"])
    scored(changed, scores)
    for threshold in thresholds:
        last = pipeline("score", f"good: score >= {threshold!r}")
        replace_pipeline(changed.engine, datasets.pick(changed.engine, None), last)
    direct = make_line(
        f"sqlite:///{folder}/b.db", folder, ["score", f"good: score >= {thresholds[-1]!r}"]
    )
    scored(direct, scores)
    assert statuses(changed) == statuses(direct)


def test_a_changed_filter_over_videos_takes_their_clips_along(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, ["score"])
    scored(line, [1.0, 2.0])
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET width = 64"))
    steps = [
        {"stage": "probe"},
        {"filter": "wide", "where": "width > 100"},
        {"stage": "split"},
        {"stage": "score"},
    ]
    stricter = parse(steps, CATALOG, "test")
    assert replace_pipeline(line.engine, line.dataset, stricter) == {"revived": 0, "dropped": 3}
    assert statuses(line) == [("done", "dropped", "wide")] * 2
    again = datasets.pick(line.engine, None)
    assert replace_pipeline(line.engine, again, line.pipeline) == {"revived": 3, "dropped": 0}
    assert statuses(line) == [("done", "kept", None)] * 2


def test_clips_that_were_duplicates_of_deleted_ones_are_judged_again(line: Line) -> None:
    (first,) = line.put_clips(1, "done", "/v/a.mp4", "kept")
    (second,) = line.put_clips(1, "inorder", "/v/b.mp4", "dropped")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET duplicate=1, duplicate_of=:f WHERE id=:s"),
            {"f": first, "s": second},
        )
    compared = pipeline("score", "dedup")
    datasets.enqueue(line.engine, line.dataset, [Found("/v/a.mp4", "2")], compared)
    assert line.rows("SELECT id, stage, status, duplicate FROM clips") == [
        (second, "dedup", "active", None)
    ]
    assert datasets.pick(line.engine, None).epoch == 1


def test_ids_are_never_used_again(line: Line) -> None:
    (first,) = line.put_clips(1, "score", "/v/a.mp4")
    datasets.enqueue(line.engine, line.dataset, [Found("/v/a.mp4", "2")], line.pipeline)
    assert line.put_clips(1, "score", "/v/b.mp4") > [first]


def test_retry_puts_failed_rows_back_to_their_stage(line: Line) -> None:
    a, b, c = line.put_clips(3, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status='failed', reason='A', error='e'"))
        connection.execute(text("UPDATE clips SET reason='B' WHERE id=:c"), {"c": c})
    assert datasets.retry(line.engine, line.dataset, line.pipeline, "probe", None) == 0
    assert datasets.retry(line.engine, line.dataset, line.pipeline, "score", "B") == 1
    assert datasets.retry(line.engine, line.dataset, line.pipeline) == 2
    assert line.rows("SELECT DISTINCT status, reason, error FROM clips") == [("active", None, None)]
    assert a < b


def test_retrying_a_clip_without_samples_splits_its_video_again(line: Line) -> None:
    line.put_clips(1, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status='failed', reason='SamplesMissing'"))
    datasets.retry(line.engine, line.dataset, line.pipeline, reason="SamplesMissing")
    assert line.rows("SELECT stage, status FROM videos") == [("split", "active")]


def test_resume_forgets_crashes_of_unfinished_rows(line: Line) -> None:
    line.put_clips(2, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET attempts = 2"))
    assert datasets.resume(line.engine, line.dataset) == 2
    assert count_unfinished(line.engine, line.dataset.id) == 2


# ---- the folder of a dataset's clips


def made(line: Line, *names: str) -> list[str]:
    """The folders of new datasets of these names."""
    return [datasets.create(line.engine, name, "/v", line.pipeline).folder for name in names]


def test_clips_lie_under_the_name_of_their_dataset(line: Line) -> None:
    assert made(line, "pets", "pets-2020.v1") == ["pets", "pets-2020.v1"]
    assert {d.name: d.folder for d in datasets.all_datasets(line.engine)}["pets"] == "pets"


def test_no_two_datasets_share_a_folder_also_where_case_is_ignored(line: Line) -> None:
    folders = made(
        line, "pets", "Pets", "pets/", "PETS!", "a b", "a-b", "a/b", "..", "🐈", "x" * 300
    )
    assert folders[:3] == ["pets", "Pets-2", "pets-3"]
    assert len({folder.lower() for folder in folders}) == len(folders)
    assert all(folder == safe_name(folder) and 0 < len(folder) <= 103 for folder in folders)


def test_no_dataset_takes_the_folder_of_samples_in_a_store(line: Line) -> None:
    assert made(line, "samples", "Samples") == ["samples-2", "Samples-3"]


def test_a_dataset_does_not_take_the_number_of_an_older_one(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE datasets SET folder = CAST(id AS TEXT)"))
    assert made(line, "1") == ["1-2"]
