"""Paths below the home are stored relative to it and shown absolute, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text

from curate.configs.pipeline import parse
from curate.configs.schema import LEVELS
from curate.db import migrate
from curate.db.datasets import all_datasets, create, enqueue, sources_below
from curate.db.engine import make_engine, reading, writing
from curate.db.export import Exported, plan, rows_of
from curate.db.home import shown_path, stored_path
from curate.db.ledger import ledger
from curate.db.queue.leases import load_rows
from curate.db.readonly.query import Scope, run_query
from curate.db.reports.one_row import row_values
from curate.db.schema import clips, videos
from curate.db.selection import Selection
from curate.tasks.inputs.files import Input
from tests.pipelines import CATALOG, pipeline

OLD, NEW = "/old/home", "/new/place's"


def fill(url: str) -> Engine:
    """A dataset with a video and a clip below the home, and one of each elsewhere."""
    engine = make_engine(url, home=OLD)
    migrate.ensure(engine)
    made = pipeline("score")
    dataset = create(engine, "set", f"{OLD}/videos", made)
    inputs = [Input(f"{OLD}/videos/a.mp4", "a.mp4", "1"), Input("/v/b.mp4", "b.mp4", "1")]
    enqueue(engine, dataset, inputs, made)
    paths = {1: f"{OLD}/clips/set/a_scene-0.mp4", 2: "s3://bucket/b_scene-0.mp4"}
    rows = [
        {"dataset_id": 1, "video_id": video, "clip_index": 0, "start_pts": 0, "end_pts": 9}
        | {"stage": "done", "status": "kept", "path": path}
        for video, path in paths.items()
    ]
    with writing(engine) as connection:
        connection.execute(insert(clips), rows)
    return engine


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/h/clips/a", "./clips/a"),
        ("/h", "/h"),
        ("/home/a", "/home/a"),
        ("/h/./a", "././a"),
        ("s3://h/a", "s3://h/a"),
    ],
)
def test_a_path_is_stored_relative_below_the_home_alone(path: str, stored: str) -> None:
    assert stored_path(path, "/h") == stored
    assert shown_path(stored, "/h") == path
    assert shown_path(stored_path(path, ""), "") == path


def test_the_database_holds_relative_paths_and_rows_show_the_home_of_now(database_url: str) -> None:
    fill(database_url)
    moved = make_engine(database_url, home=NEW)
    with reading(moved) as connection:
        raw = connection.execute(text("SELECT path FROM clips ORDER BY id")).scalars().all()
        assert raw == ["./clips/set/a_scene-0.mp4", "s3://bucket/b_scene-0.mp4"]
        found = connection.execute(select(videos.c.path).order_by(videos.c.id)).scalars().all()
        assert found == [f"{NEW}/videos/a.mp4", "/v/b.mp4"]
        chosen = select(clips.c.id).where(clips.c.path == f"{NEW}/clips/set/a_scene-0.mp4")
        assert connection.execute(chosen).scalars().all() == [1]
        whole = {level: load_rows(connection, level, [1], pipeline("score")) for level in LEVELS}
        assert whole["clip"][0]["path"] == f"{NEW}/clips/set/a_scene-0.mp4"
        assert whole["video"][0]["path"] == f"{NEW}/videos/a.mp4"
    assert all_datasets(moved)[0].root == f"{NEW}/videos"
    assert list(sources_below(moved, 1, [NEW], 0)) == [f"{NEW}/videos/a.mp4"]
    assert row_values(moved, 1, "clip", 1)["source"] == f"{NEW}/videos/a.mp4"  # type: ignore[index]
    assert row_values(moved, 1, "video", 1)["path"] == f"{NEW}/videos/a.mp4"  # type: ignore[index]


def test_a_source_of_a_moved_home_is_known_again(database_url: str) -> None:
    fill(database_url)
    moved = make_engine(database_url, home=NEW)
    same = [Input(f"{NEW}/videos/a.mp4", "a.mp4", "1"), Input("/v/b.mp4", "b.mp4", "1")]
    counts = enqueue(moved, all_datasets(moved)[0], same, pipeline("score"))
    assert (counts.new, counts.unchanged) == (0, 2)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("path LIKE '/new/place''s/%'", [1]),
        ("path LIKE '/old/%'", []),
        ("path LIKE './%'", []),
        ("path LIKE 's3://%'", [2]),
    ],
)
def test_predicates_are_about_absolute_paths(database_url: str, where: str, ids: list[int]) -> None:
    fill(database_url)
    moved = make_engine(database_url, home=NEW)
    how = plan(moved, 1, pipeline("score"), Selection(where, ("clip_id", "path", "source"), "path"))
    with rows_of(moved, how, str, Exported(how.names)) as rows:
        found = [row.values for row in rows]
    assert [clip for clip, *_ in found] == ids
    assert all(not path.startswith(".") for _, *paths in found for path in paths)


def test_a_filter_on_the_path_of_a_video_sees_it_absolute(database_url: str) -> None:
    fill(database_url)
    moved = make_engine(database_url, home=NEW)
    with writing(moved) as connection:
        connection.execute(text("UPDATE videos SET stage = 'done', status = 'kept'"))
    steps = [{"stage": "probe"}, {"filter": "here", "where": "path LIKE '/new/%'"}]
    filters = parse([*steps, {"stage": "split"}, {"stage": "score"}], CATALOG, "test")
    (line,) = ledger(moved, filters, "video", 1)
    assert line.verdict == "passes"


@pytest.mark.parametrize("scope", [False, True])
@pytest.mark.parametrize("table", ["clips", "clips_view"])
def test_sql_shows_paths_absolute(database_url: str, table: str, scope: bool) -> None:
    engine = fill(database_url)
    if engine.dialect.name == "postgresql":
        from curate.db.readonly.login import ensure_reader

        with writing(engine) as connection:
            assert ensure_reader(connection) == ""
    schema = "main" if engine.dialect.name == "sqlite" else "public"
    of_dataset = Scope(1, schema) if scope else None
    statement = f"SELECT path FROM {table} ORDER BY id"
    found = run_query(database_url, statement, 30, scope=of_dataset, home=NEW)
    expected = [[f"{NEW}/clips/set/a_scene-0.mp4"], ["s3://bucket/b_scene-0.mp4"]]
    assert found.rows == expected
    every = run_query(database_url, f"SELECT * FROM {table}", 30, scope=of_dataset, home=NEW)
    as_stored = run_query(database_url, f"SELECT * FROM {table}", 30, scope=of_dataset)
    assert every.columns == as_stored.columns
    assert as_stored.rows != every.rows


def test_an_old_home_is_migrated(empty_url: str, tmp_path: Path) -> None:
    """Rows of before 0011: of this home, of where it was before it was moved, and of elsewhere."""
    from alembic import command

    home = tmp_path / "now"
    (home / "clips/7").mkdir(parents=True)
    (home / "clips/7/b.mp4").touch()
    engine = make_engine(empty_url, home=str(home))
    with writing(engine) as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(
            text(
                "INSERT INTO datasets (id, name, root, pipeline, created_at, folder) "
                f"VALUES (7, 's', '{tmp_path}/before/videos', '[]', 0, '7')"
            )
        )
        (tmp_path / "before").mkdir()  # with a source that stayed behind, not with clips
        (tmp_path / "before/stayed.mp4").touch()
        names = [f"{home}/a.mp4", f"{tmp_path}/before/b.mp4", f"{home}2/c.mp4"]
        names += [f"{tmp_path}/before/stayed.mp4"]
        names += [f"{home}/again.mp4", f"{tmp_path}/before/again.mp4"]  # enqueued in both places
        for number, path in enumerate(names, 1):
            connection.execute(
                text(
                    "INSERT INTO videos (id, dataset_id, path, relpath, clip_stem, fingerprint, "
                    f"stage, status) VALUES ({number}, 7, '{path}', 'a', '{number}', '1', 'done', "
                    "'kept')"
                )
            )
        files = [f"{home}/clips/7/a.mp4", "/else/c.mp4", f"{tmp_path}/before/clips/7/b.mp4"]
        for number, path in enumerate(files, 1):
            connection.execute(
                text(
                    "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, "
                    f"stage, status, path) VALUES ({number}, 7, {number}, 0, 0, 1, 'done', 'kept', "
                    f"'{path}')"
                )
            )
    migrate.upgrade(engine)
    with reading(engine) as connection:
        found = connection.execute(text("SELECT path FROM clips ORDER BY id")).scalars().all()
        assert found == ["./clips/7/a.mp4", "/else/c.mp4", "./clips/7/b.mp4"]
        found = connection.execute(text("SELECT path FROM videos ORDER BY id")).scalars().all()
        assert found == ["./a.mp4", "./b.mp4", *names[2:4], "./again.mp4", names[5]]
        assert connection.execute(text("SELECT root FROM datasets")).scalars().all() == ["./videos"]
