"""verify: clips whose files are amiss, and sources that are gone or changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call
from tests.cli.own_files import SIZE, Owned, make_owned


@pytest.fixture
def owned(home: Path, tmp_path: Path) -> Owned:
    return make_owned(home, tmp_path / "videos")


def test_all_is_as_it_should_be(curate: Call, owned: Owned) -> None:
    done = curate("verify", "--quick")
    assert (done.code, done.out) == (0, "6 clips looked at: 6 fine\n3 sources looked at: 3 fine\n")


def test_each_problem_is_told_with_the_next_command(curate: Call, owned: Owned) -> None:
    (owned.clips / "a_scene-0.mp4").unlink()
    (owned.clips / "b_scene-0.mp4").write_bytes(bytes(SIZE + 1))
    (owned.sources / "b.mp4").unlink()
    (owned.sources / "c.mp4").write_bytes(bytes(SIZE + 1))
    done = curate("verify", "pets", "--quick", "--json")
    found = [(p["what"], p["problem"], p["id"]) for p in done.json["problems"]]
    assert found == [
        ("source", "gone", 2), ("source", "changed", 3),
        ("clip", "missing", 1), ("clip", "resized", 3),
    ]  # fmt: skip
    assert done.code == 1
    assert done.json["clips"] == {
        "looked_at": 6, "fine": 4, "missing": 1, "resized": 1, "damaged": 0
    }  # fmt: skip
    shown = curate("verify", "pets", "--quick")
    assert "6 clips looked at: 4 fine, 1 missing, 1 resized" in shown.out
    for command in ("verify pets --repair", "prune pets --gone", f"enqueue {owned.sources}"):
        assert f"curate {command}" in shown.err


def test_a_source_that_cannot_be_asked_is_not_called_gone(curate: Call, owned: Owned) -> None:
    (owned.sources / "loop").symlink_to("loop")
    paths = {1: f"{owned.sources}/loop/a.mp4", 2: "http://127.0.0.1:9/b.mp4"}
    with owned.engine.begin() as connection:
        for video, path in paths.items():
            changed = text("UPDATE videos SET path = :path WHERE id = :id")
            connection.execute(changed, {"id": video, "path": path})
    done = curate("verify", "pets", "--quick", "--json")
    found = [(p["problem"], p["id"]) for p in done.json["problems"]]
    assert found == [("unreachable", 1), ("unreachable", 2)]
    assert (done.json["sources"]["gone"], done.json["sources"]["unreachable"]) == (0, 2)
    assert "prune" not in done.err


def test_files_of_the_right_size_are_decoded(curate: Call, owned: Owned) -> None:
    done = curate("verify", "--json")
    assert (done.code, done.json["clips"]["damaged"]) == (1, 6)
    assert all(p["why"] for p in done.json["problems"])


def test_clips_that_are_dropped_or_being_cut_are_not_looked_at(curate: Call, owned: Owned) -> None:
    with owned.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status = 'dropped' WHERE id = 1"))
        connection.execute(text("UPDATE clips SET stage = 'cut', status = 'active' WHERE id = 2"))
    for name in ("a_scene-0.mp4", "a_scene-1.mp4"):
        (owned.clips / name).unlink()
    assert curate("verify", "--quick", "--json").json["clips"]["looked_at"] == 4


def workers_run(monkeypatch: pytest.MonkeyPatch, some: bool) -> None:
    """A broker answers; workers run, or were killed and left it behind."""
    monkeypatch.setattr("curate.cli.verify.notify_workers", lambda *_: True)
    if some:
        monkeypatch.setattr("curate.cli.verify.some_run", lambda _: True)


def test_a_repair_that_was_killed_is_finished_though_its_broker_is_still_there(
    curate: Call, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(monkeypatch, False)
    with owned.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'cut', status = 'active' WHERE id < 4"))

    def run_here(*_: object) -> None:
        with owned.engine.begin() as connection:
            connection.execute(
                text("UPDATE clips SET stage = 'done', status = 'kept' WHERE id < 3")
            )

    monkeypatch.setattr("curate.cli.verify.run_here", run_here)
    done = curate("verify", "--quick", "--repair")
    assert (done.code, "2 clips cut again, 1 put back before cut" in done.out) == (1, True)


def test_a_repair_puts_back_what_has_its_source(
    curate: Call, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(monkeypatch, True)
    for name in ("a_scene-0.mp4", "b_scene-0.mp4"):
        (owned.clips / name).unlink()
    (owned.sources / "b.mp4").unlink()
    done = curate("verify", "pets", "--quick", "--repair")
    assert (done.code, "0 clips cut again, 1 put back before cut" in done.out) == (1, True)
    assert owned.rows("SELECT id, status, return_to FROM clips WHERE stage = 'cut'") == [
        (1, "active", "done")
    ]
    assert "curate status pets --watch" in done.err


def test_clips_whose_rate_cut_changed_are_repaired_too(
    curate: Call, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(monkeypatch, True)
    (owned.clips / "a_scene-0.mp4").unlink()
    assert curate("set", "cut.batch_size=2", "pets").code == 0
    with owned.engine.begin() as connection:
        connection.execute(
            text("UPDATE datasets SET pipeline = replace(pipeline, :before, :behind)"),
            {"before": '"target_fps": null', "behind": '"target_fps": 12.0'},
        )
    done = curate("verify", "--quick", "--repair")
    assert "0 clips cut again, 1 put back before cut" in done.out, done.err


def test_a_dataset_without_clips(curate: Call, owned: Owned) -> None:
    with owned.engine.begin() as connection:
        connection.execute(text("DELETE FROM clips"))
    assert "0 clips looked at: none" in curate("verify").out
