"""Which dataset sources belong to, its name, and what happens when two commands make it at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.configs.errors import PipelineChanged, UsageError
from curate.configs.texts import safe_name
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import make_engine
from curate.worker.session import enqueuing
from curate.worker.session.enqueuing import EnqueueRequest, base_name, choose, pipeline_for
from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Call


def names(home: Path) -> list[str]:
    return [d.name for d in all_datasets(make_engine(f"sqlite:///{home}/curate.db"))]


@pytest.mark.parametrize(
    "other_root", [False, True], ids=["same folder", "a folder of the same name"]
)
def test_a_dataset_that_another_process_made_in_the_meantime(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch, other_root: bool
) -> None:
    """Of two runs that start at once one is late: it saw no dataset, and cannot make its own."""
    again = videos.parent / "again" / "videos" if other_root else videos
    if other_root:
        shutil.copytree(videos, again)
    assert curate("enqueue", str(videos)).code == 0
    monkeypatch.setattr(enqueuing, "existing_database", lambda session: None)
    late = curate("enqueue", str(again))
    found = "1 new, 0 changed, 0 unchanged" if other_root else "0 new, 0 changed, 1 unchanged"
    assert (late.code, found in late.out) == (0, True), late.err
    assert names(home) == (["videos", "videos-2"] if other_root else ["videos"])


def test_a_dataset_made_in_the_meantime_with_another_pipeline(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert curate("enqueue", str(videos)).code == 0
    monkeypatch.setattr(enqueuing, "existing_database", lambda session: None)
    late = curate("enqueue", str(videos), "--set", "split.max_seconds=7")
    assert (late.code, "split.max_seconds" in late.err) == (3, True), late.err


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("/data/pets", "pets"),
        ("/data/my pets & co", "my-pets-co"),
        ("/data/list.csv", "list"),
        ("s3://bucket/deep/folder", "folder"),
        ("s3://bucket", "bucket"),
        ("/", "videos"),
        ("/data/🐈", "videos"),
        ("/data/.hidden", "hidden"),
    ],
)
def test_base_name(root: str, name: str) -> None:
    assert base_name(root) == name


@given(st.text(min_size=1))
def test_any_root_gives_a_safe_name(root: str) -> None:
    name = base_name(root)
    assert name
    assert safe_name(name) == name


def dataset(name: str, root: str) -> Dataset:
    return Dataset(1, name, root, "[]")


def test_options_that_stages_have_got_since_tell_no_pipelines_apart() -> None:
    asked = EnqueueRequest(["/v"], config=Path("scores.yaml"))
    steps = resolve(Path("scores.yaml")).pipeline.frozen()
    for step in steps:
        step.pop("transitions", None)  # of split, by default: keep
    old = Dataset(1, "v", "/v", json.dumps(steps))
    assert pipeline_for(old, asked).by_name["split"].options.transitions == "keep"
    with pytest.raises(PipelineChanged, match="max_seconds"):
        pipeline_for(old, replace(asked, sets=["split.max_seconds=7"]))


def test_the_same_root_is_the_same_dataset_another_gets_a_number() -> None:
    known = [dataset("pets", "/a/pets"), dataset("pets-2", "/b/pets")]
    assert choose(known, EnqueueRequest(["/b/pets"])) is known[1]
    assert choose(known, EnqueueRequest(["/c/pets"])) == "pets-3"
    assert choose([], EnqueueRequest(["/c/pets"])) == "pets"


def test_a_name_decides() -> None:
    known = [dataset("pets", "/a/pets")]
    assert choose(known, EnqueueRequest(["/elsewhere"], name="pets")) is known[0]
    assert choose(known, EnqueueRequest(["/a/pets"], name="fresh")) == "fresh"


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "x/y", "x" * 101, "ü"])
def test_a_name_must_be_safe(name: str) -> None:
    with pytest.raises(UsageError):
        choose([], EnqueueRequest(["/x"], name=name))
