"""A stage once more: which are refused, and which later ones read what it writes."""

from __future__ import annotations

import pytest

from curate.cli.shared.database import open_dataset
from curate.cli.shared.one_stage import (
    RedoRequest,
    find_step,
    later_readers,
    refuse_redo,
    with_options,
)
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from tests.cli.conftest import Filled, give_pipeline


def test_a_stage_of_videos_or_one_that_compares_is_refused(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    refuse_redo(opened, "motion")
    for stage, why in (("probe", "works on videos"), ("dedup", "compares each clip")):
        with pytest.raises(UsageError, match=why):
            refuse_redo(opened, stage)
    with pytest.raises(UsageError, match="has no stage lpips"):
        find_step(opened, "lpips")


def test_only_options_of_the_stage_may_change(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    assert (
        with_options(opened, "cut", ["cut.crf=20"]).stage("cut").options.model_dump()["crf"] == 20
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
