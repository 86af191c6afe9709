"""The tiny models are the same everywhere, have the published layouts, and are not degenerate."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.accuracy import oracle

# first numbers of a tensor of each file; NumPy's RandomState promises them for ever (NEP 19)
FIRST = {
    (tiny.CLIP, "visual_projection.weight"): (0.020258743, -0.12815946, -0.060071573),
    (tiny.AESTHETIC, "layers.0.weight"): (0.31346399, -0.21954113, 0.80823648),
    (tiny.NSFW, "norm.variance"): (0.0010672238, 0.0012559552, 0.00094674885),
    (tiny.LPIPS, "lin0.model.1.weight"): (0.29546580, 0.38981467, 0.078937195),
}
KINDS = {tiny.CLIP: "clip", tiny.AESTHETIC: "aesthetic", tiny.NSFW: "nsfw", tiny.LPIPS: "lpips"}


@pytest.mark.parametrize(("folder", "name"), FIRST)
def test_the_weights_are_those_that_the_references_were_made_of(
    models: Path, folder: str, name: str
) -> None:
    first = oracle.weights(models / folder)[name].ravel()[:3]
    np.testing.assert_allclose(first, FIRST[folder, name], rtol=1e-5)


def test_another_seed_gives_other_weights_of_the_same_layout(tmp_path: Path, models: Path) -> None:
    other = oracle.weights(tiny.write_nsfw(tmp_path / "other", seed=1))
    ours = oracle.weights(models / tiny.NSFW)
    assert {k: v.shape for k, v in other.items()} == {k: v.shape for k, v in ours.items()}
    assert all(not np.array_equal(other[name], ours[name]) for name in ours)


def test_a_tensor_larger_than_what_is_drawn_at_once_has_no_repeats(models: Path) -> None:
    table = oracle.weights(models / tiny.CLIP)["text_model.embeddings.token_embedding.weight"]
    assert table.size > 3 << 20
    assert len(np.unique(table[:, :4], axis=0)) == len(table)
    assert table.std() == pytest.approx(1, abs=0.01)


def test_at_full_size_the_model_has_the_published_number_of_weights() -> None:
    """427,616,513: what open_clip's and OpenAI's ViT-L/14 count."""
    shapes = [tensor.shape for tensor in tiny.clip_tensors(tiny.clip_config("vit-l-14")).values()]
    assert sum(math.prod(shape) for shape in shapes) == 427_616_513


@pytest.mark.parametrize("size", ["tiny", "vit-l-14"])
def test_names_and_shapes_are_those_that_curate_asks_for(size: tiny.Size) -> None:
    from curate.tasks.models.layouts import expected

    config = tiny.clip_config(size)
    assert {name: tensor.shape for name, tensor in tiny.clip_tensors(config).items()} == expected(
        "clip", config
    )


@pytest.mark.parametrize(("folder", "kind"), KINDS.items())
def test_curate_takes_the_folders_for_whole_models(models: Path, folder: str, kind: str) -> None:
    from curate.tasks.models.verify import verified

    assert verified(models / folder, kind).file == models / folder / "model.safetensors"  # type: ignore[arg-type]


def test_lpips_weightings_and_variances_are_positive(models: Path) -> None:
    lpips = oracle.weights(models / tiny.LPIPS)
    assert all((tensor >= 0).all() for name, tensor in lpips.items() if name.startswith("lin"))
    assert (oracle.weights(models / tiny.NSFW)["norm.variance"] > 0).all()


def test_the_vocabulary_is_clips(models: Path) -> None:
    """Ids as published: "a photo of a dog" is 320 1125 539 320 1929, start and end of text are
    49406 and 49407.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(models / tiny.CLIP / "tokenizer.json"))
    assert tokenizer.encode("a photo of a dog").ids == [49406, 320, 1125, 539, 320, 1929, 49407]
    assert len(tiny.merges()) == 48894
    assert sorted(tiny.vocabulary().values()) == list(range(49408))
    special = json.loads((models / tiny.CLIP / "tokenizer.json").read_text(encoding="utf-8"))[
        "added_tokens"
    ]
    assert [token["id"] for token in special] == [49406, 49407]
