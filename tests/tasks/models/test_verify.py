"""Folders are told right from wrong by headers, and every need that is not met has its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel
from curate.tasks.models.catalog import CAPTIONERS, CATALOG, Captioner, ModelKind, Need
from curate.tasks.models.layouts import expected, optional
from curate.tasks.models.verify import captioner_of, missing, verified
from tests import tiny, tiny_captioners, tiny_newer, tiny_sharegpt4v
from tests.tasks.models.folders import FOLDERS


@pytest.mark.parametrize("kind", FOLDERS)
def test_published_layouts_are_right(tiny_models: Path, kind: ModelKind) -> None:
    found = verified(tiny_models / FOLDERS[kind], kind)
    assert {n: t.shape for n, t in found.tensors.items()} == expected(kind, found.config)
    assert bool(found.config) == (kind == "clip")


def test_captioners_are_told_by_their_configs() -> None:
    configs: dict[Captioner, dict[str, Any]] = {
        "pllava": tiny_captioners.pllava_config(),
        "qwen2_vl": tiny_captioners.qwen_config("qwen2_vl"),
        "qwen2_5_vl": tiny_captioners.qwen_config("qwen2_5_vl"),
        "qwen3_vl": tiny_newer.qwen3_config(),
        "internvl": tiny_newer.internvl_config(),
        "sharegpt4v": tiny_sharegpt4v.config(),
    }
    assert set(configs) == set(CAPTIONERS)
    assert {kind: captioner_of(config) for kind, config in configs.items()} == {
        k: k for k in configs
    }
    assert captioner_of({"model_type": "clip", "text_config": {}}) is None


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="no such folder"):
        verified(tmp_path / "none", "nsfw")
    (tmp_path / "file").touch()
    with pytest.raises(BadModel, match="not a folder"):
        verified(tmp_path / "file", "nsfw")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadModel, match=r"no model\.safetensors"):
        verified(tmp_path / "empty", "nsfw")
    (tmp_path / "empty" / "pytorch_model.bin").touch()
    with pytest.raises(BadModel, match=r"models convert .*pytorch_model\.bin"):
        verified(tmp_path / "empty", "nsfw")


def test_another_model_is_refused(tiny_models: Path) -> None:
    with pytest.raises(BadModel, match="expected a model of kind aesthetic"):
        verified(tiny_models / tiny.NSFW, "aesthetic")
    with pytest.raises(BadModel, match=r"config\.json"):
        verified(tiny_models / tiny.NSFW, "clip")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_clip_needs_all_its_files(tmp_path: Path, name: str) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    (folder / name).unlink()
    with pytest.raises(BadModel):
        verified(folder, "clip")


def test_clip_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    (folder / "config.json").write_text(json.dumps(tiny.clip_config("vit-l-14")))
    with pytest.raises(BadModel, match=r"tensors missing.*another shape"):
        verified(folder, "clip")


def test_the_buffers_of_the_published_clip_are_allowed_and_no_others(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    file = folder / "model.safetensors"
    tensors = load_file(file)
    ids = {n: np.arange(s[1]).reshape(s) for n, s in optional("clip", tiny.clip_config()).items()}
    save_file(tensors | ids, file)
    assert len(verified(folder, "clip").tensors) == len(tensors) + 2
    save_file(tensors | {n: a.astype(np.float32) for n, a in ids.items()}, file)
    with pytest.raises(BadModel, match="position_ids is F32"):
        verified(folder, "clip")
    save_file(
        tensors | {"vision_model.position_ids": ids["vision_model.embeddings.position_ids"]}, file
    )
    with pytest.raises(BadModel, match="left over"):
        verified(folder, "clip")


@pytest.mark.parametrize("text", ["", "[]", "{", "nul", "[" * 50_000])
def test_a_config_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    (folder / "config.json").write_text(text)
    with pytest.raises(BadModel, match=r"config\.json"):
        verified(folder, "clip")


def test_missing_names_all_that_is_wrong(tiny_models: Path, tmp_path: Path) -> None:
    needs = [Need(m.kind, m.name) for m in CATALOG.values() if m.kind in FOLDERS]
    assert missing(needs, tiny_models) == []
    lines = missing([*needs, *needs], tmp_path)
    assert len(lines) == 4
    assert all(
        f"curate models fetch {need.model}" in line for need, line in zip(needs, lines, strict=True)
    )
    (line,) = missing([Need("nsfw", "my-head")], tmp_path)
    assert "models convert FILE --to my-head" in line
    (line,) = missing([Need("aesthetic", tiny.NSFW)], tiny_models)
    assert "left over" in line
    assert f"curate models fetch {tiny.NSFW} --force" in line


def test_replacing_is_proposed_for_models_by_name_only(tiny_models: Path, tmp_path: Path) -> None:
    """What a path names, or holds no model, may be anything."""
    (tmp_path / tiny.NSFW).mkdir()
    (tmp_path / tiny.NSFW / "video.mp4").touch()
    needs = [
        Need("aesthetic", str(tiny_models / tiny.NSFW)),
        Need("nsfw", str(tmp_path)),
        Need("nsfw", tiny.NSFW),
    ]
    lines = missing(needs, tmp_path)
    assert len(lines) == 3
    assert not [line for line in lines if "--force" in line]
