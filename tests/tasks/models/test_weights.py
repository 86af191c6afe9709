"""Weights of captioners in pickles as torch saves them, one or several with an index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from curate.configs.errors import BadModel
from curate.tasks.models.weights import Weights
from tests import tiny_sharegpt4v as published_as
from tests import torch_files
from tests.tiny_captioners import write_json


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pickles and their index."""
    return published_as.write(tmp_path_factory.mktemp("models"))


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


def test_numbers_are_those_that_were_saved(published: Path) -> None:
    saved = published_as.halves(published_as.tensors())
    names = list(reversed(saved))
    for name, found in zip(names, Weights(published).arrays(names), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, saved[name].astype(np.float32))


def test_safetensors_go_before_pickles(copy: Path) -> None:
    save_file({"one": np.ones(2, np.float32)}, copy / "model.safetensors")
    assert list(Weights(copy).tensors) == ["one"]


@pytest.mark.parametrize(
    "where", ["../elsewhere.bin", "config.json", "/etc/passwd", "pytorch_model-00009.bin"]
)
def test_an_index_names_pickles_of_its_folder_only(where: str, copy: Path) -> None:
    index = json.loads((copy / published_as.INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = where
    write_json(copy / published_as.INDEX, index)
    with pytest.raises(BadModel, match="is not there"):
        Weights(copy)


def test_an_index_that_disagrees_with_its_files_is_refused(copy: Path) -> None:
    index = json.loads((copy / published_as.INDEX).read_text())
    del index["weight_map"]["lm_head.weight"]
    write_json(copy / published_as.INDEX, index)
    with pytest.raises(BadModel, match=r"disagree about lm_head"):
        Weights(copy)


def test_a_cut_file_is_refused(copy: Path) -> None:
    file = copy / "pytorch_model-00002-of-00002.bin"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(BadModel, match="damaged"):
        Weights(copy)


def test_nothing_in_them_is_executed(copy: Path) -> None:
    content = (
        torch_files.named("os", "system")
        + torch_files.tuple_of([torch_files.text("touch owned")])
        + b"R"
    )
    torch_files.archive(copy / "pytorch_model-00002-of-00002.bin", content, {})
    with pytest.raises(BadModel, match=r"asks for os\.system.*nothing of it was executed"):
        Weights(copy)
