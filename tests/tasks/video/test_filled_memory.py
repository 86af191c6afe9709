"""Memory is filled inside the block, and only there."""

from __future__ import annotations

import ctypes
import platform

import pytest

from curate.tasks.video import filled_memory as filling
from curate.tasks.video.filled_memory import filled_memory

SIZE = 50_000  # bytes: too large for the cache of each thread, too small for a mapping of its own
GLIBC = platform.libc_ver()[0] == "glibc"


def fresh() -> set[int]:
    """The bytes in the middle of new memory, that held zeros before it was freed."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    found = libc.malloc(SIZE)
    content = set(ctypes.string_at(found + 1000, SIZE - 2000))
    ctypes.memset(found, 0, SIZE)
    libc.free(found)
    return content


@pytest.mark.skipif(not GLIBC, reason="only glibc fills memory")
@pytest.mark.parametrize(("asked", "byte"), [(None, 0), ("90", 0xFF ^ 90)])
def test_memory_is_filled_inside_the_block_and_as_asked_for_after_it(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, byte: int
) -> None:
    if asked is None:
        monkeypatch.delenv("MALLOC_PERTURB_", raising=False)
    else:
        monkeypatch.setenv("MALLOC_PERTURB_", asked)
    with filled_memory():
        assert fresh() == {0xFF ^ 85}
    fresh()
    assert fresh() == {byte}
    monkeypatch.delenv("MALLOC_PERTURB_", raising=False)
    with filled_memory():
        pass


def test_where_memory_cannot_be_filled_the_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_mallopt", None)
    with filled_memory():
        assert fresh()
