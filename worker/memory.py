"""A cap on the memory of this process while a batch runs."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from curate.configs.schema import StageOptions


@contextmanager
def capped_memory(options: StageOptions) -> Iterator[None]:
    """Make allocations beyond `memory_mb` fail in the block, before a decoder fills the host."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    cap = options.memory_mb << 20
    # no cap for `ascend`: the runtime of an accelerator maps far more memory than it uses
    if options.queue != "ascend":
        soft = cap if hard == resource.RLIM_INFINITY else min(cap, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
