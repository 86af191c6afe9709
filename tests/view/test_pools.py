"""What is slow never keeps what is quick waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from curate.view import clips, funnel, media
from tests.view.conftest import Client

SLOW = [
    (funnel, "count_skipped", "/api/skipped", {}),
    (clips, "list_clips", "/api/clips?text=dog", ([], None)),
    (clips, "list_clips", "/api/clips?sort=flow", ([], None)),
    (media, "sample", "/media/sample/1/0", b""),
]


@pytest.mark.parametrize(("module", "name", "path", "answer"), SLOW)
def test_many_slow_requests_leave_the_funnel_quick(
    module: Any, name: str, path: str, answer: Any, guarded: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), threading.Semaphore(0)

    def slow(*arguments: Any) -> Any:
        begun.release()
        gate.wait(20)
        return answer

    monkeypatch.setattr(module, name, slow)
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(guarded.get, path) for _ in range(20)]
        try:
            assert begun.acquire(timeout=20)
            assert guarded.get("/api/funnel").status == 200
        finally:
            gate.set()
        assert {one.result().status for one in waiting} == {200}
