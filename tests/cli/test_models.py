"""`curate models`, and what a pipeline is told whose weights are missing or wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sqlalchemy import insert, text

from curate.cli.shared.session import Session
from curate.configs.errors import ModelsMissing
from curate.configs.settings import Settings
from curate.db.engine import make_engine, writing
from curate.db.schema import clips
from curate.tasks import registry
from curate.tasks.models import device
from curate.tasks.models.catalog import CATALOG
from curate.tasks.models.trial_process import try_model
from curate.tasks.stage import Clip, Column, Need, Scorer, Scores, StageOptions
from curate.worker.session.database import open_dataset
from curate.worker.session.follow import Watcher
from curate.worker.session.running import check_models_left
from tests import tiny
from tests import torch_files as tf
from tests.cli.conftest import CLIP, Call, Filled


class HeadOptions(StageOptions):
    """Which head."""

    model: str = tiny.NSFW


class Head(Scorer[HeadOptions]):
    """Needs two models."""

    name = "head"
    columns = {"head": Column("float", "nothing", 0, 1)}
    Options = HeadOptions

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        return (Need("nsfw", options.model), Need("aesthetic", tiny.AESTHETIC))

    def score(self, clip: Clip) -> Scores:
        raise AssertionError("never runs here")


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages that there are, without those that need models by default, and Head."""
    stages = registry.stages()  # one dict for all who ask
    for name, stage in list(stages.items()):
        if stage.models(stage.Options()):
            monkeypatch.delitem(stages, name)
    monkeypatch.setitem(stages, "head", Head)


@pytest.fixture
def models(home: Path) -> Path:
    """Both models of Head, tiny, where curate looks for them."""
    folder = home / "models"
    tiny.write_nsfw(folder / tiny.NSFW)
    tiny.write_aesthetic(folder / tiny.AESTHETIC)
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> str:
    """A pipeline file with Head."""
    file = tmp_path / "head.yaml"
    file.write_text("pipeline: [probe, split, head]")
    return str(file)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    return folder


def truncate(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def lose_a_tensor(file: Path, _: Path) -> None:
    save_file({n: a for n, a in load_file(file).items() if n != "linear_2.bias"}, file)


def add_a_tensor(file: Path, _: Path) -> None:
    save_file(load_file(file) | {"linear_5.bias": np.zeros(1, np.float32)}, file)


def take_another_size(file: Path, _: Path) -> None:
    save_file(load_file(file) | {"norm.mean": np.zeros(512, np.float32)}, file)


def disguise_a_pickle(file: Path, marker: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {marker}",)

    file.write_bytes(pickle.dumps(Evil()))


def empty_the_folder(file: Path, _: Path) -> None:
    file.unlink()


def remove_the_folder(file: Path, _: Path) -> None:
    file.unlink()
    file.parent.rmdir()


SPOILT: list[tuple[Callable[[Path, Path], None], str]] = [
    (truncate, "it is truncated"),
    (lose_a_tensor, "1 of 10 tensors missing: linear_2.bias"),
    (add_a_tensor, "left over: linear_5.bias"),
    (take_another_size, "norm.mean [512] instead of [768]"),
    (disguise_a_pickle, "it is a pickle, not safetensors"),
    (empty_the_folder, "it holds no model.safetensors"),
    (remove_the_folder, "there is no folder"),
]


def everything(filled: Filled) -> list[Any]:
    """All rows of the database."""
    with filled.engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT * FROM {table}")).fetchall()
            for table in ("datasets", "videos", "clips", "batches")
        ]


@pytest.mark.parametrize(("spoil", "reason"), SPOILT, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("command", ["enqueue", "dry-run", "run"])
def test_wrong_weights_are_refused_at_enqueue_and_nothing_changes(
    curate: Call, filled: Filled, models: Path, pipeline: str, videos: Path, command: str,
    spoil: Callable[[Path, Path], None], reason: str,
) -> None:  # fmt: skip
    marker = videos.parent / "executed"
    spoil(models / tiny.NSFW / "model.safetensors", marker)
    before = everything(filled)
    words = {
        "enqueue": ["enqueue"],
        "dry-run": ["enqueue", "--dry-run"],
        "run": ["run", "-o", "c.csv"],
    }[command]
    result = curate(*words, str(videos), "--config", pipeline)
    assert result.code == 4
    assert reason in result.err
    assert f"curate models fetch {tiny.NSFW}" in result.err
    assert everything(filled) == before
    assert not marker.exists()


def test_all_missing_weights_are_named_at_once(
    curate: Call, home: Path, pipeline: str, videos: Path
) -> None:
    result = curate("enqueue", str(videos), "--config", pipeline, "--set", "head.model=mine")
    assert result.code == 4
    assert all(part in result.err for part in ("mine: ", tiny.AESTHETIC, "curate models list"))
    assert not (home / "curate.db").exists()


def test_right_weights_are_enqueued_and_later_ones_are_checked_again(
    curate: Call, models: Path, pipeline: str, videos: Path
) -> None:
    """A dataset goes on with its own pipeline, which is then checked too."""
    assert curate("enqueue", str(videos), "--config", pipeline).code == 0
    assert curate("enqueue", str(videos)).code == 0
    truncate(models / tiny.AESTHETIC / "model.safetensors", models)
    (videos / "b.mp4").write_bytes(b"y")
    result = curate("enqueue", str(videos))
    assert (result.code, "truncated" in result.err) == (4, True)
    assert curate("sql", "SELECT relpath FROM videos", "--json").json == [{"relpath": "a.mp4"}]


def test_a_disabled_stage_needs_no_weights(curate: Call, pipeline: str, videos: Path) -> None:
    assert (
        curate("enqueue", str(videos), "--config", pipeline, "--set", "head.enabled=false").code
        == 0
    )


def test_list_shows_each_model_where_it_is_and_how_to_get_it(curate: Call, models: Path) -> None:
    truncate(models / tiny.AESTHETIC / "model.safetensors", models)
    found = {m["model"]: m for m in curate("models", "list", "--json").json}
    assert found.keys() == CATALOG.keys()
    assert found[tiny.NSFW]["state"] == "present"
    assert found[tiny.NSFW]["stages"] == "head"
    assert found[tiny.NSFW]["path"] == str(models / tiny.NSFW)
    assert found[tiny.NSFW]["size_mb"] == 0.9
    assert found[tiny.AESTHETIC]["state"].startswith("wrong: model.safetensors: it is truncated")
    assert found[tiny.CLIP]["state"] == "missing"
    assert found[tiny.CLIP]["get"] == f"curate models fetch {tiny.CLIP}"
    assert found[tiny.CLIP]["licence"] == "MIT"
    listed = curate("models", "list")
    assert tiny.CLIP in listed.out
    first = next(n for n, m in found.items() if m["get"] and m["pip"])  # which pip can bring
    assert f"Next: curate models fetch {first}\n" in listed.err


def test_list_shows_what_datasets_and_files_name(
    curate: Call, models: Path, pipeline: str, videos: Path, tmp_path: Path
) -> None:
    (models / tiny.NSFW).rename(models / "mine")
    assert (
        curate("enqueue", str(videos), "--config", pipeline, "--set", "head.model=mine").code == 0
    )
    found = {m["model"]: m for m in curate("models", "list", "--json").json}
    assert found["mine"]["state"] == "present"
    elsewhere = str(tmp_path / "head")
    wanted = curate(
        "models", "list", "--json", "--config", pipeline, "--set", f"head.model={elsewhere}"
    ).json
    (one,) = [m for m in wanted if m["model"] == elsewhere]
    assert (one["path"], one["state"], one["stages"]) == (elsewhere, "missing", "head")


def test_list_works_without_the_database(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x")
    result = curate("models", "list", "--json")
    assert (result.code, len(result.json), "secret" in result.err) == (0, len(CATALOG), False)
    assert "warning: " in result.err


def test_the_folder_of_models_can_be_elsewhere(
    curate: Call, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.rename(tmp_path / "weights")
    monkeypatch.setenv("CURATE_MODELS", str(tmp_path / "weights"))
    assert {m["model"]: m["state"] for m in curate("models", "list", "--json").json}[
        tiny.NSFW
    ] == "present"


def test_check_tells_wrong_from_missing(curate: Call, models: Path) -> None:
    for name in (tiny.NSFW, tiny.AESTHETIC):
        truncate(models / name / "model.safetensors", models)
    result = curate("models", "check", "--json")
    found = {m["model"]: m["result"] for m in result.json}
    assert (result.code, found[tiny.NSFW], found[tiny.CLIP]) == (4, "wrong", "missing")
    assert curate("models", "check", tiny.CLIP).code == 4
    misspelt = curate("models", "check", "nsfw-l41")
    assert (misspelt.code, "did you mean nsfw-l14?" in misspelt.err) == (2, True)


def test_check_without_any_model_says_that_none_can_be_used(curate: Call) -> None:
    result = curate("models", "check", "--json")
    assert (result.code, {m["result"] for m in result.json}) == (4, {"missing"})
    assert "curate models list" in result.err


def test_check_loads_a_model_in_a_process_of_its_own(curate: Call, models: Path) -> None:
    pytest.importorskip("curate.tasks.models.trial")
    (found,) = curate("models", "check", tiny.NSFW, "--json").json
    assert found["result"] == "ok", found["detail"]
    assert found["memory_mb"] > 10
    assert found["seconds"] >= 0


def test_a_model_that_cannot_be_loaded_is_wrong(home: Path, tmp_path: Path) -> None:
    """The child's own error is the answer; here the folder is gone after the look at its header."""
    found = try_model(Need("nsfw", str(tmp_path / "gone")), Settings(home=home))
    assert found["result"] == "wrong"
    assert found["detail"]


def test_convert_makes_a_model_that_is_there_then(curate: Call, home: Path, tmp_path: Path) -> None:
    head = load_file(tiny.write_aesthetic(tmp_path / "tiny") / "model.safetensors")
    source = tf.save(tmp_path / "head.pth", head)
    result = curate("models", "convert", str(source))
    assert (result.code, result.out) == (
        0,
        f"{home / 'models' / tiny.AESTHETIC}: model of kind aesthetic\n",
    )
    assert {m["model"]: m["state"] for m in curate("models", "list", "--json").json}[
        tiny.AESTHETIC
    ] == "present"
    again = curate("models", "convert", str(source))
    assert (again.code, "--force" in again.err) == (2, True)
    assert curate("models", "convert", str(source), "--force").code == 0
    assert curate("models", "convert", str(source), "--to", "mine").code == 0


def test_convert_runs_no_pickle(curate: Call, tmp_path: Path) -> None:
    disguise_a_pickle(tmp_path / "evil.pth", tmp_path / "executed")
    tf.archive(tmp_path / "zip.pth", (tmp_path / "evil.pth").read_bytes()[2:-1], {})
    for name, reason in (("zip.pth", "posix.system"), ("evil.pth", "posix.system")):
        result = curate("models", "convert", str(tmp_path / name))
        assert (result.code, reason in result.err) == (4, True), result.err
    assert not (tmp_path / "executed").exists()


def test_fetch_without_a_network_says_so(
    curate: Call, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """A name that is reserved to never exist stands in for the hub."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    result = curate("models", "fetch", tiny.CLIP)
    assert result.code == 4
    assert "http://hub.invalid/openai/clip-vit-large-patch14/" in result.err
    assert "--from URL" in result.err
    assert not list((home / "models").iterdir())
    assert curate("models", "fetch", "nothing").code == 2


@pytest.mark.parametrize("installed", [True, False])
def test_resume_tells_at_once_what_models_are_missing(
    curate: Call, models: Path, pipeline: str, videos: Path, home: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
) -> None:  # fmt: skip
    """Before a worker starts: they would take half a minute to say it."""
    assert curate("enqueue", str(videos), "--config", pipeline).code == 0
    if installed:
        truncate(models / tiny.NSFW / "model.safetensors", models)
    else:
        real = importlib.util.find_spec
        gone = lambda name, *rest: None if name == "mindspore" else real(name, *rest)  # noqa: E731
        monkeypatch.setattr(importlib.util, "find_spec", gone)
        opened = open_dataset(Session(home=home), None)
        view = Watcher(opened, Settings(home=home)).look()
        check_models_left(Session(home=home), opened, view)  # the queue cpu needs no MindSpore
        file = Path(pipeline)
        file.write_text("pipeline: [probe, split, {stage: head, queue: ascend}]")
        assert curate("enqueue", str(videos), "--config", pipeline, "--name", "npu").code == 0
    result = curate("resume", *([] if installed else ["npu"]))
    told = "truncated" if installed else "pip install 'mindspore>="
    assert (result.code, told in result.err) == (4, True), result.err
    assert not (home / "logs").exists()


def test_resume_asks_for_no_model_that_the_rest_does_not_need(
    curate: Call, models: Path, pipeline: str, videos: Path, home: Path
) -> None:
    """All rows are behind the stage that needs it."""
    file = Path(pipeline)
    file.write_text("pipeline: [probe, split, head, cut]")
    assert curate("enqueue", str(videos), "--config", pipeline).code == 0
    engine = make_engine(f"sqlite:///{home / 'curate.db'}")
    session = Session(home=home)
    opened = open_dataset(session, None)
    truncate(models / tiny.NSFW / "model.safetensors", models)
    with pytest.raises(ModelsMissing):
        check_models_left(session, opened, Watcher(opened, session.settings).look())
    with writing(engine) as connection:
        connection.execute(text("UPDATE videos SET stage = 'done', status = 'kept'"))
        row = {
            **CLIP,
            "dataset_id": opened.dataset.id,
            "video_id": 1,
            "clip_index": 0,
            "stage": "cut",
            "status": "active",
        }
        connection.execute(insert(clips).values(row))
    check_models_left(session, opened, Watcher(opened, session.settings).look())


def test_check_takes_any_folder_and_convert_names_it(curate: Call, tmp_path: Path) -> None:
    head = load_file(tiny.write_nsfw(tmp_path / "tiny") / "model.safetensors")
    source = str(tf.save(tmp_path / "head.pth", head))
    place = tmp_path / "my heads" / "precious"
    for to in (str(place), "mine"):
        made = curate("models", "convert", source, "--to", to)
        words = shlex.split(made.err.partition("Next: ")[2])
        assert (made.code, words) == (0, ["curate", "models", "check", to])
        assert curate(*words[1:], "--json").json[0]["result"] == "ok"
    truncate(place / "model.safetensors", place)
    assert (
        curate("models", "check", str(place)).code,
        curate("models", "check", str(tmp_path)).code,
    ) == (4, 4)
    assert curate("models", "check", str(tmp_path / "none")).code == 2


def test_what_commands_a_terminal_is_shown_and_not_sent(curate: Call, tmp_path: Path) -> None:
    """Names of tensors and of what a pickle asks for come from anywhere."""
    save_file({"\x1b]0;pwned\x07": np.zeros(1, np.float32)}, tmp_path / "x.safetensors")
    tf.archive(tmp_path / "x.pth", tf.text("\x1b[2Jos") + tf.text("\x9bsystem") + b"\x93", {})
    for name in ("x.safetensors", "x.pth"):
        for before in ((), ("--verbose",)):
            result = curate(*before, "models", "convert", str(tmp_path / name))
            assert (result.code, "\\x1b" in result.err) == (4, True), result.err
            assert not set("\x1b\x07\x9b") & set(result.err)


def test_doctor_wants_the_one_version_of_mindone(
    curate: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> Any:
        return {c["name"]: c for c in curate("doctor", "--json").json}["mindone"]

    monkeypatch.setattr("curate.cli.doctor.version", lambda name: device.MINDONE)
    assert found()["result"] == "OK"
    monkeypatch.setattr("curate.cli.doctor.version", lambda name: "0.6.0")
    assert (found()["result"], found()["fix"]) == (
        "FAIL",
        f"pip install --no-deps mindone=={device.MINDONE}",
    )


def test_doctor_counts_the_models(curate: Call, models: Path) -> None:
    def found() -> Any:
        return {c["name"]: c for c in curate("doctor", "--json").json}["models"]

    assert (found()["result"], found()["detail"]) == ("-", f"2 of {len(CATALOG)} in {models}")
    truncate(models / tiny.NSFW / "model.safetensors", models)
    assert (found()["result"], "truncated" in found()["detail"]) == ("FAIL", True)


def test_the_frozen_pipeline_names_the_model(curate: Call, models: Path, pipeline: str) -> None:
    """So that another model is another pipeline."""
    steps = json.loads(curate("config", "--config", pipeline, "--json").out)["pipeline"]
    assert ("head.model", tiny.NSFW) in {
        (s["option"], s["value"]) for s in steps if isinstance(s["value"], str)
    }
