"""Lets glibc fill the memory that it hands out, so that what reads it unwritten repeats itself.

x264 reads a little memory that it never wrote, at sizes that are no multiple of 16: the same clip
gives the same bytes only where that memory always holds the same.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_M_PERTURB = -6  # of glibc's malloc.h
_FILLING = 85  # any number but 0, the same on every host
_VARIABLE = "MALLOC_PERTURB_"  # what glibc starts with


def _find_mallopt() -> Callable[[int, int], int] | None:
    """glibc's `mallopt`; None where the C library has none."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            return ctypes.CDLL(None).mallopt
    return None


def _usual() -> int:
    """What the user asked glibc for; 0: memory is not filled."""
    with suppress(ValueError):
        return int(os.environ.get(_VARIABLE, "0"))
    return 0


_mallopt = _find_mallopt()


@contextmanager
def filled_memory() -> Iterator[None]:
    """Inside the block, memory that is allocated or freed is filled with one byte.

    Does nothing where the C library cannot. Filling every picture would cost a quarter of what
    finding the scenes takes, so keep the block small.
    """
    if _mallopt is None:
        yield
        return
    _mallopt(_M_PERTURB, _FILLING)
    try:
        yield
    finally:
        _mallopt(_M_PERTURB, _usual())
