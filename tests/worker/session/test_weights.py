"""Weights that do not fit together are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from curate.configs.errors import ModelsMissing
from curate.worker.session.pipelines import resolve
from curate.worker.session.weights import check_models
from tests import tiny
from tests.cli.conftest import Write


@pytest.mark.parametrize("head", ["aesthetic", "nsfw"])
def test_a_head_with_a_clip_model_of_another_width_is_refused(
    file: Write, tmp_path: Path, head: str
) -> None:
    tiny.write_all(tmp_path)
    pipeline = resolve(file(f"probe, split, clip_embed, {head}"), ready=False).pipeline
    check_models(pipeline, tmp_path)
    narrow(tmp_path / tiny.CLIP)
    with pytest.raises(
        ModelsMissing, match=f"{head} takes embeddings of 768 numbers, and those of .* have 512"
    ):
        check_models(pipeline, tmp_path)
    check_models(resolve(file("probe, split, clip_embed"), ready=False).pipeline, tmp_path)


def narrow(folder: Path) -> None:
    """Make a model of one whose embeddings have 512 numbers."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | {"projection_dim": 512}
    file.write_text(json.dumps(config))
    projections = {"text_projection.weight", "visual_projection.weight"}
    tensors = {
        name: replace(t, shape=(512, *t.shape[1:])) if name in projections else t
        for name, t in tiny.clip_tensors(config).items()
    }
    tiny.write_safetensors(folder / "model.safetensors", tensors)
