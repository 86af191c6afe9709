"""Safetensors files are told right from wrong by their header, and read as they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel
from curate.tasks.models import checkpoint
from curate.tasks.models.catalog import CATALOG, Kind, Need, folder_of
from curate.tasks.models.checkpoint import arrays, float32, header, revision
from curate.tasks.models.layouts import BadConfig, expected, optional
from curate.tasks.models.verify import missing, verified
from tests import tiny

FOLDERS: dict[Kind, str] = {
    "clip": tiny.CLIP,
    "aesthetic": tiny.AESTHETIC,
    "nsfw": tiny.NSFW,
    "lpips": tiny.LPIPS,
}
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiny models; not to be changed."""
    return tiny.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def nsfw(tmp_path: Path) -> Path:
    """A tiny head to be spoilt."""
    return tiny.write_nsfw(tmp_path / tiny.NSFW)


def edit(file: Path, change: Edit) -> None:
    """Change the header of a safetensors file and leave its numbers."""
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    entries = json.loads(raw[8 : 8 + length])
    change(entries)
    text = json.dumps(entries).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@pytest.mark.parametrize("kind", FOLDERS)
def test_published_layouts_are_right(tiny_models: Path, kind: Kind) -> None:
    found = verified(tiny_models / FOLDERS[kind], kind)
    assert {n: t.shape for n, t in found.tensors.items()} == expected(kind, found.config)
    assert bool(found.config) == (kind == "clip")


@pytest.mark.parametrize("kind", FOLDERS)
def test_arrays_are_those_that_safetensors_reads(tiny_models: Path, kind: Kind) -> None:
    file = tiny_models / FOLDERS[kind] / "model.safetensors"
    mine, theirs = arrays(file), load_file(file)
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        assert array.shape == theirs[name].shape
        np.testing.assert_array_equal(array, theirs[name], name)


def test_arrays_by_name_and_prefix(tiny_models: Path) -> None:
    file = tiny_models / tiny.NSFW / "model.safetensors"
    assert set(arrays(file, prefix="norm.")) == {"norm.mean", "norm.variance"}
    assert set(arrays(file, ["linear_1.bias"])) == {"linear_1.bias"}
    assert not arrays(file, ["linear_1.bias"])["linear_1.bias"].flags.writeable
    with pytest.raises(BadModel, match="lacks nothing"):
        arrays(file, ["nothing"])


def test_a_name_may_not_be_there_and_no_header_is_trusted_about_alignment(tmp_path: Path) -> None:
    """Numbers at an odd place are copied to an even one, as native code expects."""
    numbers = np.arange(5, dtype=np.float32)
    text = json.dumps({"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}).encode()
    text += b" " * ((1 - len(text)) % 4)
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + numbers.tobytes())
    found = arrays(tmp_path / "x")["a"]
    assert found.flags.aligned
    np.testing.assert_array_equal(found, numbers)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1))
def test_bfloat16_is_the_upper_half_of_float32(bits: list[int]) -> None:
    stored = np.array(bits, np.uint16)
    widened = float32(stored, "BF16")
    assert widened.dtype == np.float32
    np.testing.assert_array_equal(widened.view(np.uint32) >> 16, stored)
    np.testing.assert_array_equal(widened.view(np.uint32) & 0xFFFF, 0)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    half = np.array([1.5, -0.25, 65504], np.float16)
    save_file({"h": half, "i": np.arange(3)}, tmp_path / "x")
    found = arrays(tmp_path / "x")
    assert (found["h"].dtype, found["i"].dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found["h"], half.astype(np.float32))


SPOILT: dict[str, tuple[Edit, str]] = {
    "missing": (lambda h: h.pop("linear_4.bias"), "not where it should be|truncated|too long"),
    "another name": (lambda h: h.update(x=h.pop("linear_4.bias")),
                r"missing: linear_4.bias; 1 .* left over: x"),
    "another shape": (lambda h: h["linear_1.weight"].update(shape=[768, 64]),
                r"\[768, 64\] instead of \[64, 768\]"),
    "another type": (
        lambda h: h["norm.mean"].update(dtype="I32"), r"no number: norm.mean is I32",
    ),
    "unknown type": (lambda h: h["norm.mean"].update(dtype="X"), "says of norm.mean cannot be"),
    "wrong size": (lambda h: h["norm.mean"].update(shape=[767]), "says of norm.mean cannot be"),
    "negative": (lambda h: h["norm.mean"].update(shape=[-768]), "says of norm.mean cannot be"),
    "no shape": (lambda h: h["norm.mean"].pop("shape"), "says of norm.mean cannot be"),
    "not an entry": (lambda h: h.update({"norm.mean": 3}), "says of norm.mean cannot be"),
    "overlap": (lambda h: h["norm.mean"].update(data_offsets=h["norm.variance"]["data_offsets"]),
                "not where it"),
}  # fmt: skip


@pytest.mark.parametrize("which", SPOILT)
def test_a_header_that_is_wrong_is_refused_with_the_reason(nsfw: Path, which: str) -> None:
    change, reason = SPOILT[which]
    edit(nsfw / "model.safetensors", change)
    with pytest.raises(BadModel, match=reason):
        verified(nsfw, "nsfw")


def test_a_missing_and_a_left_over_tensor_are_named(nsfw: Path) -> None:
    file = nsfw / "model.safetensors"
    tensors = load_file(file)
    save_file({n: a for n, a in tensors.items() if n != "norm.mean"}, file)
    with pytest.raises(BadModel, match=r"1 of 10 tensors missing: norm\.mean"):
        verified(nsfw, "nsfw")
    save_file(tensors | {"extra.weight": np.zeros(3, np.float32)}, file)
    with pytest.raises(BadModel, match=r"left over: extra\.weight"):
        verified(nsfw, "nsfw")


def test_a_file_cut_anywhere_is_truncated(nsfw: Path) -> None:
    file = nsfw / "model.safetensors"
    content = file.read_bytes()
    for size in (0, 3, 8, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(BadModel, match="truncated"):
            verified(nsfw, "nsfw")
    file.write_bytes(content + b"x")
    with pytest.raises(BadModel, match="too long"):
        verified(nsfw, "nsfw")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04" + bytes(40), "pickle.*models convert"),
        (b"\x80\x04\x95" + bytes(40), "pickle"),
        (b"<html>not found</html>", "not safetensors"),
        (struct.pack("<Q", 1 << 40) + b"{}", "not safetensors"),
        (struct.pack("<Q", 3) + b"xyz", "not JSON"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 3) + b"\xff\xfe\xfd", "not JSON"),
        (struct.pack("<Q", 20_000) + b"[" * 20_000, "not JSON"),
        (struct.pack("<Q", 15) + b'{"a":1,"a":2}  ', "twice"),
    ],
)
def test_what_is_no_safetensors_is_refused(nsfw: Path, content: bytes, reason: str) -> None:
    (nsfw / "model.safetensors").write_bytes(content)
    with pytest.raises(BadModel, match=reason):
        verified(nsfw, "nsfw")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_another_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("x") / "x"
    file.write_bytes(content)
    with pytest.raises(BadModel):
        header(file)


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


def test_vit_l_14_has_the_published_tensors() -> None:
    """428 million parameters in 590 tensors, as in openai/clip-vit-large-patch14."""
    shapes = expected("clip", tiny.clip_config("vit-l-14"))
    assert sum(int(np.prod(s)) for s in shapes.values()) == 427_616_513
    assert shapes["vision_model.embeddings.position_embedding.weight"] == (257, 1024)
    file_bytes = 4 * 427_616_513 + 8 * (77 + 257)
    assert abs(CATALOG[tiny.CLIP].files[2].size - file_bytes) < 100_000  # the rest is the header


BAD_SIZES = st.one_of(
    st.integers(max_value=0), st.integers(min_value=400_000), st.text(), st.none(), st.booleans()
)


@given(st.sampled_from(["text_config", "vision_config"]), st.data())
def test_a_hostile_config_is_refused(tower: str, data: st.DataObject) -> None:
    config = tiny.clip_config()
    known = {
        "text_config": [
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "max_position_embeddings",
        ],
        "vision_config": [
            "hidden_size",
            "num_hidden_layers",
            "image_size",
            "patch_size",
            "num_attention_heads",
        ],
    }
    config[tower][data.draw(st.sampled_from(known[tower]))] = data.draw(BAD_SIZES)
    with pytest.raises(BadConfig):
        expected("clip", config)


@pytest.mark.parametrize(
    "change",
    [
        {"text_config": []}, {"model_type": "siglip"}, {"projection_dim": 10**12},
        {"vision_config": {"hidden_size": 65, "num_attention_heads": 4}},
        {"vision_config": {"image_size": 16, "patch_size": 32}},
    ],
)  # fmt: skip
def test_a_config_of_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadConfig):
        expected("clip", tiny.clip_config() | change)


def test_older_configs_are_read_as_transformers_does() -> None:
    """Where there is text_config_dict, it wins over text_config, and its defaults do too."""
    config = tiny.clip_config() | {
        "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12}
    }
    assert expected("clip", config)["text_model.final_layer_norm.bias"] == (768,)
    assert expected("clip", {})["vision_model.post_layernorm.bias"] == (768,)


@pytest.mark.parametrize("text", ["", "[]", "{", "nul", "[" * 50_000])
def test_a_config_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    (folder / "config.json").write_text(text)
    with pytest.raises(BadModel, match=r"config\.json"):
        verified(folder, "clip")


def test_revision_names_the_content(nsfw: Path) -> None:
    file = nsfw / "model.safetensors"
    first = revision(file)
    assert checkpoint.sha256(file).startswith(first)
    assert len(first) == 12
    file.write_bytes(file.read_bytes() + b"x")
    assert revision(file) != first


def test_missing_names_all_that_is_wrong(tiny_models: Path, tmp_path: Path) -> None:
    needs = [Need(model.kind, model.name) for model in CATALOG.values()]
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


def test_a_model_is_looked_for_by_name_or_path(tmp_path: Path) -> None:
    assert folder_of("a", tmp_path) == tmp_path / "a"
    assert folder_of("/b/a", tmp_path) == Path("/b/a")


def test_the_catalog_is_whole() -> None:
    """One model a kind, every file with the checksum of the published one, fixed revisions only."""
    assert sorted(m.kind for m in CATALOG.values()) == ["aesthetic", "clip", "lpips", "nsfw"]
    for model in CATALOG.values():
        assert model.licence
        for download in model.files:
            assert len(download.sha256) == 64
            assert not {"main", "master"} & set(download.url.split("/"))
