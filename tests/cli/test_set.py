"""set: options that change no score."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from curate.db import datasets
from curate.worker.session.pipelines import pipeline_of
from tests.cli.conftest import Call, Filled, give_pipeline, option_of, positions


def test_set_changes_an_option_and_no_row(curate: Call, filled: Filled) -> None:
    before = positions(filled)
    result = curate("set", "cut.time_limit=3600")
    assert (result.code, result.out.strip()) == (
        0,
        "dataset pets: cut.time_limit 1800.0 → 3600.0",
    ), result.err
    assert "curate retry pets --stage cut" in result.err
    assert option_of(filled, "cut", "time_limit") == 3600
    assert positions(filled) == before
    assert curate("set", "cut.time_limit=3600", "pets", "--json").json == {
        "dataset": "pets",
        "changed": [],
    }


def test_the_order_of_the_words_is_told(curate: Call, filled: Filled) -> None:
    result = curate("set", "pets", "cut.time_limit=9")
    assert result.code == 2
    assert "curate set cut.time_limit=9 pets" in result.err


@pytest.mark.parametrize(
    ("assignment", "code", "says"),
    [
        ("cut.crf=20", 2, "curate redo cut pets --set cut.crf=20"),
        (
            "cut.enabled=false",
            2,
            "what may change is queue, batch_size, pass_size, fill_seconds, time_limit, memory_mb",
        ),
        ("cutt.time_limit=3", 2, "no stage cutt (did you mean cut?)"),
        ("cut.time_limt=3", 2, "stage cut has no option time_limt (did you mean time_limit?)"),
        ("cut.time_limt", 2, "did you mean time_limit?"),
        ("cut", 2, "stage cut has no option"),
        ("time_limit=3", 2, "no stage time_limit"),
        ("cut.time_limit=-1", 3, "time_limit"),
        ("cut.time_limit", 3, "STEP.OPTION=VALUE"),
    ],
)
def test_set_refuses(curate: Call, filled: Filled, assignment: str, code: int, says: str) -> None:
    before = datasets.pick(filled.engine, "pets")
    result = curate("set", assignment)
    assert (result.code, says in result.err, result.out) == (code, True, ""), result.err
    assert datasets.pick(filled.engine, "pets") == before


def test_set_refuses_what_a_new_dataset_would_be_refused(curate: Call, captioned: Filled) -> None:
    before = datasets.pick(captioned.engine, "pets")
    result = curate("set", "openai.max_cost=5")  # nothing would ever cost anything
    assert (result.code, "max_cost needs prices" in result.err) == (3, True), result.err
    assert datasets.pick(captioned.engine, "pets") == before
    assert curate("set", "openai.price={input: 1}").code == 0
    assert curate("set", "openai.max_cost=5").code == 0


TWO = """
- probe
- split
- stage: multi_caption
  captioners: [{stage: openai, model: m, url: "http://a/v1"}, {stage: openai, model: n}]
- cut
"""


def test_a_captioner_of_several_is_asked_elsewhere(curate: Call, captioned: Filled) -> None:
    give_pipeline(captioned, yaml.safe_load(TWO))
    before = positions(captioned)
    (old,) = (s for s in pipeline_of(datasets.pick(captioned.engine, "pets")).stages[2:3])
    assert curate("set", "multi_caption.captioners.0.url=http://b/v1").code == 0
    (new,) = (s for s in pipeline_of(datasets.pick(captioned.engine, "pets")).stages[2:3])
    assert new.scores_as(old)  # what is at work is saved
    listed: Any = option_of(captioned, "multi_caption", "captioners")
    assert [one["url"] for one in listed] == ["http://b/v1", "http://127.0.0.1:8000/v1"]
    assert positions(captioned) == before
    for part, code, says in (
        ("openai.url=http://c/v1", 3, "by its name or place, and an option; here: 0: openai, 1:"),
        ("0.prompt=Why?", 2, "curate redo multi_caption pets --set"),
        ("2.url=x", 2, "what may change is"),
        ("0.urll=x", 2, "what may change is"),
    ):
        result = curate("set", f"multi_caption.captioners.{part}")
        assert (result.code, says in result.err) == (code, True), result.err
    sets = ("--set", "multi_caption.captioners.0.prompt=Why?")
    assert curate("redo", "multi_caption", *sets).code == 0
    listed = option_of(captioned, "multi_caption", "captioners")
    assert [one["prompt"] == "Why?" for one in listed] == [True, False]
