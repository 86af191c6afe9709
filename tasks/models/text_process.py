"""The text tower in a process of its own: ``python -m curate.tasks.models.text_process``.

It reads a line of JSON on stdin, {"folder": of the weights, "text": the text}, and answers with one
on stdout: {"values": the numbers of a TextVector, "revision": of the weights}, or {"error": a
message for people}. It ends at once when its stdin ends: with whoever asks, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from curate.configs.errors import CurateError, ServiceError
from curate.tasks.models.towers import search_tower


def listen(requests: SimpleQueue[str]) -> None:
    """Take requests from stdin, also while the tower is at work, and end the process with it."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def main() -> None:
    """Answer requests, one at a time."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            tower = search_tower(Path(request["folder"]))  # held until the next one
            vector = tower.vector(request["text"])
            answer = {"values": vector.values.tolist(), "revision": vector.revision}
        except CurateError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001  told to who asked; the next text may do
            why = f"{type(error).__name__}: {error}"
            answer = {"error": str(ServiceError(what="The text tower", why=why))}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
