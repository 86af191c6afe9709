"""recaption: clips go through a captioner, cleaning and matching once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from tests.cli.conftest import Call, Filled, give_pipeline, option_of, positions


def test_recaption_goes_through_cleaning_too(curate: Call, captioned: Filled) -> None:
    result = curate(
        "recaption", "--set", "openai.prompt=What is there?", "--where", "clip_index < 2"
    )
    assert (result.code, result.out) == (
        0,
        "dataset pets: 3 clips back to openai and clean_text\n",
    ), result.err
    assert positions(captioned) == [("done", None, 4), ("openai", "clean_text>done", 3)]
    assert option_of(captioned, "openai", "prompt") == "What is there?"
    assert "curate redo clean_text" not in result.err


def test_recaption_cleans_what_its_predicate_meant_before_it_changed_it(
    curate: Call, captioned: Filled
) -> None:
    result = curate("recaption", "--where", "status = 'kept'")
    assert (result.code, result.out) == (
        0,
        "dataset pets: 7 clips back to openai and clean_text\n",
    ), result.err
    assert positions(captioned) == [("openai", "clean_text>done", 7)]


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
    curate: Call, captioned: Filled, home: Path, order: list[str], way: str
) -> None:
    """Else the score of the text that is gone would stay, and the filters judge by it."""
    tiny.write_clip(home / "models" / tiny.CLIP)
    steps = [
        {"stage": "openai", "model": "m"} if name == "openai" else {"stage": name} for name in order
    ]
    give_pipeline(
        captioned, [{"stage": "probe"}, {"stage": "split"}, {"stage": "clip_embed"}, *steps]
    )
    result = curate("recaption")
    assert result.code == 0, result.err
    assert positions(captioned) == [("openai", way, 7)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stage", "clean_text"], "choose with --stage openai"),
        (["--set", "clean_text.clean=t5"], "only options of openai"),
    ],
    ids=str,
)
def test_recaption_refuses_what_is_no_captioner(
    curate: Call, captioned: Filled, words: list[str], says: str
) -> None:
    result = curate("recaption", "pets", *words)
    assert (result.code > 1, says in result.err) == (True, True), result.err
    assert positions(captioned) == [("done", None, 7)]


def test_without_a_captioner_it_says_what_there_is(curate: Call, filled: Filled) -> None:
    result = curate("recaption")
    assert (result.code, "has no captioner; it has probe, split" in result.err) == (2, True), (
        result.err
    )
    assert curate("reclean").code == 2
