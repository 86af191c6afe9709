"""A model is in memory once, until nobody holds it or its weights are replaced."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from curate.tasks.models.model_cache import cached_model, weights_state


class Model:
    """Stands in for a network."""

    made = 0

    def __init__(self, folder: Path, option: str = "") -> None:
        Model.made += 1
        self.folder, self.option = folder, option


def test_the_same_weights_and_options_are_one_model(nsfw: Path) -> None:
    first = cached_model(Model, nsfw, "a")
    assert cached_model(Model, nsfw, "a") is first
    assert cached_model(Model, nsfw, "b") is not first


def test_replaced_weights_are_another_model(nsfw: Path) -> None:
    first, state = cached_model(Model, nsfw), weights_state(nsfw)
    os.utime(nsfw / "model.safetensors", ns=(0, 0))
    assert weights_state(nsfw) != state
    assert cached_model(Model, nsfw) is not first


def test_weights_of_another_folder_count_too(nsfw: Path, tmp_path: Path) -> None:
    first = cached_model(Model, nsfw, also=tmp_path)
    assert cached_model(Model, nsfw, also=tmp_path) is first
    (tmp_path / "pytorch_model.bin").touch()
    assert cached_model(Model, nsfw, also=tmp_path) is not first


def test_a_model_that_nobody_holds_is_freed(nsfw: Path) -> None:
    made = Model.made
    for _ in range(2):
        cached_model(Model, nsfw, "freed")
        gc.collect()
    assert Model.made == made + 2


def test_a_folder_without_weights_has_no_state(tmp_path: Path) -> None:
    assert weights_state(tmp_path) is None
