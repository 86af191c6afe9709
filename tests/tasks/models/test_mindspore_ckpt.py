"""MindSpore's checkpoints are read without MindSpore."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.configs.errors import BadModel
from curate.tasks.models.mindspore_ckpt import tensors
from tests import torch_files as tf

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["plain.ckpt", "checked.ckpt"])
def test_files_by_mindspore_are_read_exactly(name: str) -> None:
    wanted = np.load(DATA / "mindspore.npz")
    found = tensors(DATA / name)
    assert found.keys() == set(wanted)
    for key, stored in found.items():
        assert stored.shape == wanted[key].shape
        np.testing.assert_array_equal(stored.read(), wanted[key], key)


def test_the_writer_of_these_tests_writes_what_mindspore_does(tmp_path: Path) -> None:
    wanted = np.load(DATA / "mindspore.npz")
    file = tf.save_checkpoint(tmp_path / "x.ckpt", {name: wanted[name] for name in wanted.files})
    assert file.read_bytes() == (DATA / "plain.ckpt").read_bytes()


def test_a_scalar_of_an_older_mindspore_is_one(tmp_path: Path) -> None:
    content = b"\x08\x00" + tf.field(2, b"Float32") + tf.field(3, np.float32(2).tobytes())
    (tmp_path / "x.ckpt").write_bytes(tf.field(1, tf.field(1, b"s") + tf.field(2, content)))
    assert tensors(tmp_path / "x.ckpt")["s"].read() == np.float32(2).reshape(())


@pytest.mark.parametrize(
    ("dims", "why"),
    [
        (b"\x08\x01" * 65, "65 dimensions"),
        (b"\x08\x00" + b"\x08" + b"\xff" * 8 + b"\x7f", "more numbers"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(tmp_path: Path, dims: bytes, why: str) -> None:
    content = dims + tf.field(2, b"Float32") + tf.field(3, np.float32(2).tobytes())
    (tmp_path / "x.ckpt").write_bytes(tf.field(1, tf.field(1, b"s") + tf.field(2, content)))
    with pytest.raises(BadModel, match=why):
        tensors(tmp_path / "x.ckpt")


ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float16, np.int64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4),
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1), ARRAYS, max_size=4))
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]
) -> None:
    file = tf.save_checkpoint(tmp_path_factory.mktemp("x") / "x.ckpt", arrays)
    if not arrays:
        with pytest.raises(BadModel):
            tensors(file)
        return
    found = tensors(file)
    assert found.keys() == arrays.keys()
    for name, stored in found.items():
        np.testing.assert_array_equal(stored.read(), arrays[name])


def test_a_tensor_in_slices_is_put_together(tmp_path: Path) -> None:
    """As MindSpore writes one of more than 512 MB."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    raw = array.tobytes()
    values = [tf.checkpoint_value("a", array, part) for part in (raw[:20], raw[20:24], raw[24:])]
    (tmp_path / "x.ckpt").write_bytes(b"".join(values))
    np.testing.assert_array_equal(tensors(tmp_path / "x.ckpt")["a"].read(), array)
    (tmp_path / "y.ckpt").write_bytes(b"".join(values[:2]))
    with pytest.raises(BadModel, match="numbers of a are missing"):
        tensors(tmp_path / "y.ckpt")


@pytest.mark.parametrize(
    "content",
    [
        tf.field(2, b""),
        tf.field(1, tf.field(1, b"a")),
        tf.field(1, tf.field(1, b"a") + tf.field(2, tf.field(2, b"Complex64"))),
        tf.field(1, tf.field(1, b"a") + tf.field(3, b"")),
        tf.field(1, tf.field(1, b"\xff") + tf.field(2, tf.field(2, b"Float32"))),
        tf.field(1, b"\x08\x01" + tf.field(2, b"")),
        b"\x0a" + b"\xff" * 11,
        tf.checkpoint_value("a", np.zeros(2, np.float32))
        + tf.checkpoint_value("a", np.zeros(3, np.float32)),
        b"\x0b\x00",
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(BadModel):
        tensors(tmp_path / "x.ckpt")


def test_a_checkpoint_cut_anywhere_is_refused_or_lacks_tensors(tmp_path: Path) -> None:
    content = (DATA / "plain.ckpt").read_bytes()
    for size in range(len(content)):
        (tmp_path / "x.ckpt").write_bytes(content[:size])
        try:
            assert len(tensors(tmp_path / "x.ckpt")) < 4
        except BadModel:
            continue


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("x") / "x"
    file.write_bytes(content)
    with contextlib.suppress(BadModel):
        tensors(file)
