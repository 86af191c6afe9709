"""A stage once more: which are refused, and which later ones read what it writes."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.cli.shared.one_stage import (
    RedoRequest,
    find_step,
    later_readers,
    refuse_redo,
    with_options,
)
from curate.cli.shared.session import Session
from curate.configs.errors import NotFitted, UsageError
from curate.db.fits import save_fit
from curate.worker.session.database import open_dataset
from tests.cli.conftest import Call, Filled, finish_clips, give_pipeline, positions


def test_a_stage_of_videos_or_one_that_compares_is_refused(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    refuse_redo(opened, "motion")
    for stage, where, why in (("probe", "", "works on videos"), ("dedup", "flow > 1", "compares")):
        with pytest.raises(UsageError, match=why):
            refuse_redo(opened, stage, where)
    refuse_redo(opened, "dedup")
    with pytest.raises(UsageError, match="has no stage lpips"):
        find_step(opened, "lpips")


def test_a_stage_that_is_fitted_is_refused_until_it_is(filled: Filled) -> None:
    give_pipeline(filled, ["probe", "split", "clip_embed", "concept"])
    opened = open_dataset(Session(), "pets")
    with pytest.raises(NotFitted, match="curate concepts fit DATASET"):
        refuse_redo(opened, "concept")
    values = {"model": "m", "revision": "r", "options": {}, "arrays": b""}
    save_fit(opened.engine, opened.dataset, opened.pipeline, "concept", **values)
    refuse_redo(opened, "concept")


def test_a_stage_that_goes_by_another_is_redone_with_it(curate: Call, filled: Filled) -> None:
    give_pipeline(filled, ["probe", "split", "clip_embed", "concept", "semantic_dedup"])
    done = "stage = 'done', status = 'kept', owner = NULL, lease_until = 0, semantic_seq = id"
    finish_clips(filled, f"UPDATE clips SET {done}")
    opened = open_dataset(Session(), "pets")
    values = {"model": "m", "revision": "r", "options": {}, "arrays": b""}
    save_fit(opened.engine, opened.dataset, opened.pipeline, "concept", **values)
    assert "back to concept and semantic_dedup" in curate("redo", "concept").out
    assert positions(filled) == [("concept", "semantic_dedup>done", 7)]
    with filled.engine.connect() as connection:
        assert connection.execute(text("SELECT max(semantic_seq) FROM clips")).scalar() is None


def test_only_options_of_the_stage_may_change(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    assert (
        with_options(opened, "cut", ["cut.crf=20"]).by_name["cut"].options.model_dump()["crf"] == 20
    )
    for assignment in ("motion.side=3", "cut.enabled=false"):
        with pytest.raises(UsageError, match="only options of cut"):
            with_options(opened, "cut", [assignment])


def test_later_stages_that_read_its_table_are_named_unless_they_follow_anyway(
    filled: Filled,
) -> None:
    give_pipeline(filled, ["probe", "split", "clip_embed", "aesthetic", "motion"])
    opened = open_dataset(Session(), "pets")
    assert later_readers(opened, RedoRequest("clip_embed")) == ["aesthetic"]
    assert later_readers(opened, RedoRequest("clip_embed", then=("aesthetic",))) == []
    assert later_readers(opened, RedoRequest("motion")) == []
