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
from curate.tasks.models.catalog import ModelKind
from curate.tasks.models.checkpoint import arrays, float32, header, revision
from curate.tasks.models.verify import verified
from tests import tiny
from tests.tasks.models.folders import FOLDERS

Edit = Callable[[dict[str, Any]], Any]


def edit(file: Path, change: Edit) -> None:
    """Change the header of a safetensors file and leave its numbers."""
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    entries = json.loads(raw[8 : 8 + length])
    change(entries)
    text = json.dumps(entries).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@pytest.mark.parametrize("kind", FOLDERS)
def test_arrays_are_those_that_safetensors_reads(tiny_models: Path, kind: ModelKind) -> None:
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
    "65 dimensions": (lambda h: h["norm.mean"].update(shape=[768] + [1] * 64),
                "norm.mean cannot be: a shape of 65 dimensions"),
    "a million dimensions": (lambda h: h["norm.mean"].update(shape=[1] * 1_000_000),
                "a shape of 1000000 dimensions"),
    "no numbers of huge sizes": (
        lambda h: h.update(x={"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}),
        "says of x cannot be: a shape of more numbers than any file"),
    "true": (lambda h: h["norm.mean"].update(shape=[True, 768]), "no whole numbers"),
    "huge offsets": (lambda h: h["norm.mean"].update(data_offsets=[2**80, 2**80 + 3072]),
                "not where it should be"),
    "negative offsets": (lambda h: h["norm.mean"].update(data_offsets=[-3072, 0]),
                "its data_offsets do not"),
    "turned offsets": (lambda h: h["norm.mean"].update(data_offsets=[3072, 0]),
                "takes 3072 bytes, and its data_offsets do not"),
    "float offsets": (lambda h: h["norm.mean"].update(data_offsets=[0.0, 3072.0]),
                "data_offsets are missing, or of another kind"),
    "endless": (lambda h: h["norm.mean"].update(shape=[float("inf")]), "no whole numbers"),
    "eight bits": (lambda h: h["norm.mean"].update(dtype="F8_E4M3"), "dtype F8_E4M3, which curate"),
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


def test_whatever_has_a_valid_header_can_be_read(tmp_path: Path) -> None:
    shapes = ([], [0], [0, 2**40], [1] * 8, [2, 0, 3])
    entries, end = {}, 0
    for number, shape in enumerate(shapes):
        size = 4 * int(np.prod(shape, dtype=object))
        offsets = [end, end + size]
        entries[str(number)] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        end += size
    text = json.dumps(entries).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    assert [list(a.shape) for a in arrays(tmp_path / "x").values()] == list(shapes)


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
        (struct.pack("<Q", (1 << 64) - 1) + b"{}", "a header of 18446744073709551615 bytes"),
        (struct.pack("<Q", 5009) + b'{"a":' + b"9" * 5003 + b"}", "not JSON"),
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


def test_revision_names_the_content(nsfw: Path) -> None:
    file = nsfw / "model.safetensors"
    first = revision(file)
    assert checkpoint.sha256(file).startswith(first)
    assert len(first) == 12
    file.write_bytes(file.read_bytes() + b"x")
    assert revision(file) != first
