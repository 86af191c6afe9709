"""redo: clips go through a stage once more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from sqlalchemy import text

from curate.db import datasets
from curate.tasks.captioners.fields import FIELDS_PROMPT
from curate.worker.session.pipelines import resolve
from tests import tiny
from tests.cli.conftest import Call, Filled, option_of, positions


@pytest.fixture
def passing(filled: Filled) -> Filled:
    """Kept and failed clips that pass every filter."""
    with filled.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET duplicate = 0, black = 0, flow = 5 WHERE status <> 'dropped'")
        )
    return filled


def test_redo_puts_clips_back_and_names_the_next_command(curate: Call, passing: Filled) -> None:
    result = curate("redo", "motion", "pets")
    assert (result.code, result.out) == (0, "dataset pets: 4 clips back to motion\n"), result.err
    assert "curate resume pets" in result.err
    assert positions(passing) == [("motion", None, 3), ("motion", "cut", 1), ("motion", "done", 3)]
    assert curate("status", "--json").json["totals"]["kept"] == 0


def test_redo_takes_other_options_and_a_predicate(curate: Call, passing: Filled) -> None:
    result = curate(
        "redo", "motion", "--set", "motion.batch_size=7", "--where", "clip_index = 0", "--json"
    )
    assert result.json == {
        "dataset": "pets",
        "stage": "motion",
        "back": 2,
        "at_work": 0,
        "dropped": 0,
        "kept": 2,
        "repeated": ["motion"],
        "stay": ["cut"],
    }
    assert option_of(passing, "motion", "batch_size") == 7
    assert "old options" in result.err


def test_a_dry_run_counts_what_a_redo_does(curate: Call, passing: Filled) -> None:
    before = (positions(passing), datasets.pick(passing.engine, "pets"))
    words = ("redo", "motion", "--set", "motion.batch_size=7")
    counted = curate(*words, "-n")
    assert (positions(passing), datasets.pick(passing.engine, "pets")) == before
    for says in ("3 of them, kept until now,", "measured stays: cut", "nothing was written"):
        assert says in counted.err
    assert curate(*words).out == counted.out == "dataset pets: 4 clips back to motion\n"


def test_the_order_of_the_words_is_told(curate: Call, passing: Filled) -> None:
    result = curate("redo", "pets", "motion")
    assert result.code == 2
    assert "curate redo motion pets" in result.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["split"], 2, "--name NEW"),
        (["dedup", "--where", "clip_index = 0"], 2, "for all clips or none: `curate redo dedup"),
        (["ocr"], 2, "has no stage ocr; it has probe, split"),
        (["motoin"], 2, "has no stage motoin (did you mean motion?)"),
        (["motion", "--set", "cut.crf=3"], 2, "only options of motion"),
        (["motion", "--set", "motion.enabled=false"], 2, "only options of motion"),
        (["motion", "--set", "motion.colour=3"], 3, "stage motion has no option colour"),
        (["motion", "--set", "motion.batch_size=0"], 3, "batch_size"),
        (["motion", "--set", "motion.batch_size"], 3, "STEP.OPTION=VALUE"),
        (["motion", "--where", "flw > 1"], 3, "did you mean flow"),
        (["motion", "cats"], 2, "no dataset cats"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_redo_refuses_and_changes_nothing(
    curate: Call, passing: Filled, words: list[str], code: int, says: str
) -> None:
    before = (positions(passing), datasets.pick(passing.engine, "pets"))
    result = curate("redo", *words)
    assert (result.code, says.replace("`", "") in result.err.replace("`", ""), result.out) == (
        code,
        True,
        "",
    ), result.err
    assert (positions(passing), datasets.pick(passing.engine, "pets")) == before


def test_cut_can_be_done_again_unless_it_copied(curate: Call, passing: Filled) -> None:
    assert curate("redo", "cut", "--set", "cut.crf=20").code == 0
    assert option_of(passing, "cut", "crf") == 20
    for mode in ("copy", "copy"):
        assert curate("redo", "cut", "--set", f"cut.mode={mode}").code == 0
    result = curate("redo", "cut", "--set", "cut.mode=smart")
    assert (result.code, "in another mode" in result.err) == (2, True)


def test_cut_can_be_done_again_unless_it_changed_the_rate(curate: Call, passing: Filled) -> None:
    assert curate("redo", "cut", "--set", "cut.target_fps=12").code == 0
    result = curate("redo", "cut")
    assert (result.code, "target_fps" in result.err) == (2, True)


def test_a_bucket_is_chosen_anew_until_cut_has_fitted_the_clips(
    curate: Call, filled: Filled, home: Path
) -> None:
    steps = [{"stage": "probe"}, {"stage": "split"}, {"stage": "bucket", "table": "480p"}, "cut"]
    file = home.parent / "buckets.yaml"
    file.write_text(yaml.safe_dump({"pipeline": steps}))
    pipeline = resolve(file, ready=False).pipeline
    datasets.create(filled.engine, "boxed", "/videos/boxed", pipeline)
    assert curate("redo", "bucket", "boxed", "--set", "bucket.table=720p").code == 0
    assert curate("redo", "cut", "boxed", "--set", "cut.fit=crop").code == 0
    for stage in ("cut", "bucket"):
        result = curate("redo", stage, "boxed")
        assert (result.code, f"by fit, and {stage} cannot" in result.err) == (2, True)


def test_redo_refuses_when_something_that_the_stage_needs_is_missing(
    curate: Call, passing: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.configs.errors import PackageMissing
    from curate.tasks.motion import Motion

    def check(options: object) -> None:
        raise PackageMissing(what="motion", package="x", install="pip install x")

    monkeypatch.setattr(Motion, "check", check)
    result = curate("redo", "motion")
    assert (result.code, "pip install x" in result.err) == (4, True)
    assert ("motion", "done", 3) not in positions(passing)


def test_redo_refuses_when_weights_are_missing(
    curate: Call, passing: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.tasks.models.catalog import Need
    from curate.tasks.motion import Motion

    monkeypatch.setattr(Motion, "models", lambda options: (Need("clip", "not-there"),))
    result = curate("redo", "motion")
    assert (result.code, "not-there" in result.err, "curate models list" in result.err) == (
        4,
        True,
        True,
    )
    assert ("motion", "done", 3) not in positions(passing)


def test_redo_names_the_stages_that_read_what_the_stage_writes(
    curate: Call, passing: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.tasks.cut import Cut
    from curate.tasks.motion import Motion

    monkeypatch.setattr(Motion, "writes", ("embeddings",))
    monkeypatch.setattr(Cut, "reads", ("embeddings",))
    assert (
        "cut read what motion writes; for new values there too: curate redo cut pets"
        in curate("redo", "motion").err
    )


def test_redo_names_no_stage_before_it(
    curate: Call, passing: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """load_captions reads captions, which reclean writes."""
    from curate.tasks.cut import Cut
    from curate.tasks.motion import Motion

    for table in ("reads", "may_lack"):
        monkeypatch.setattr(Motion, table, ("embeddings",))
    monkeypatch.setattr(Cut, "writes", ("embeddings",))
    result = curate("redo", "cut")
    assert (result.code, "read what" in result.err) == (0, False), result.err


def test_another_model_than_that_of_the_stages_that_read_is_refused(
    curate: Call, filled: Filled
) -> None:
    datasets.create(
        filled.engine, "scored", "/w", resolve(Path("scores.yaml"), ready=False).pipeline
    )
    before = datasets.pick(filled.engine, "scored")
    result = curate("redo", "clip_embed", "scored", "--set", "clip_embed.model=/other")
    assert (result.code, "set clip_embed.model and aesthetic.model alike" in result.err) == (
        3,
        True,
    ), result.err
    assert datasets.pick(filled.engine, "scored") == before


def test_redo_needs_neither_the_other_stages_nor_their_weights(
    curate: Call, filled: Filled, home: Path
) -> None:
    datasets.create(
        filled.engine, "scored", "/w", resolve(Path("scores.yaml"), ready=False).pipeline
    )
    tiny.write_aesthetic(home / "models" / tiny.AESTHETIC)
    result = curate("redo", "aesthetic", "scored")
    assert (result.code, result.out) == (0, "dataset scored: 0 clips back to aesthetic\n"), (
        result.err
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["motion", "--where", "clip_index > 99"], "matches --where 'clip_index > 99'"),
        (["cut"], "no clip of empty is through cut, or failed in it"),
    ],
)
def test_redo_of_no_clip_says_so(
    curate: Call, passing: Filled, words: list[str], says: str
) -> None:
    datasets.create(passing.engine, "empty", "/e", resolve(None, ready=False).pipeline)
    name = "empty" if words == ["cut"] else "pets"
    result = curate("redo", *words, name)
    assert (result.code, says in result.err, "0 clips back" in result.out) == (0, True, True)


def test_a_prompt_that_nobody_chose_goes_by_the_fields(curate: Call, captioned: Filled) -> None:
    """So do the tokens: 200 are too few for an answer in fields. What was chosen stays."""
    assert curate("redo", "openai", "--set", "openai.fields=default").code == 0
    assert option_of(captioned, "openai", "max_new_tokens") == 1024
    assert option_of(captioned, "openai", "prompt") == FIELDS_PROMPT
    assert curate("redo", "openai", "--set", "openai.prompt=Why?").code == 0
    assert curate("redo", "openai", "--set", "openai.fields={}").code == 0
    assert option_of(captioned, "openai", "max_new_tokens") == 200
    assert option_of(captioned, "openai", "prompt") == "Why?"
