"""What the stages that run networks have in common: bad clips, missing weights, their queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.children import found_by
from tests.tasks.scorers.found import Found, reasons


@pytest.mark.parametrize("stage", ["option_match", "match"])
def test_embeddings_that_cannot_be_used_fail_their_clip_only(stage: str, found: Found) -> None:
    bad = found[f"{stage} bad"]
    assert reasons(bad) == {
        "1": "EmbeddingMissing",
        "2": "OtherEmbeddings",
        "3": "EmbeddingMissing",
        "4": "NotFinite",
    }
    assert bad["scores"].keys() == {"10"}
    assert all(stage in message for _, message in bad["failed"].values())
    assert all("curate redo clip_embed" in bad["failed"][clip][1] for clip in "123")


def test_weights_that_are_gone_are_the_fault_of_no_clip(found: Found) -> None:
    """BadModel is a ServiceError: the batch is given back."""
    assert [kind for kind, _ in found["wrong folder"]] == ["BadModel"] * 4
    assert all("/models/nowhere" in message for _, message in found["wrong folder"])


def test_where_stages_that_run_networks_are_queued() -> None:
    from curate.configs.errors import BadModel, ServiceError
    from curate.tasks.registry import stages

    assert issubclass(BadModel, ServiceError)
    queues = {name: cls.Options().queue for name, cls in stages().items()}
    ascend = {"clip_embed", "option_match", "match", "lpips"}
    assert {name for name in ascend if queues[name] == "ascend"} == ascend
    assert queues["aesthetic"] == queues["nsfw"] == "cpu"


def test_a_process_of_cases_that_fails_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="No module named"):
        found_by("tests.tasks.scorers.nothing", tmp_path)
