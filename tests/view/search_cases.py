"""The page Search beside `curate search`, on the rows of tests.cli.search_cases: ``python -m
tests.view.search_cases HOME RESULT.json``.

The pages are those of `curate view` itself, with the process of its text tower.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from curate.db.engine import make_engine
from tests import tiny
from tests.children import main
from tests.cli.conftest import program
from tests.cli.search_cases import CAT, DOG, HOME, engines, fill, said
from tests.pipelines import wait_until

TOKENIZER = HOME / "models" / tiny.CLIP / "tokenizer.json"
HOSTILE = (
    "</script><script>alert(1)</script>", "\u202egpj.dog \u200f", "a\nb\r\n{\"text\": 1}\n",
    "\0\x01\x1b[31m", "'; DROP TABLE clips; --", "\U0001f436" * 300, "dog " * 249, "\ufffe\uffff",
)  # fmt: skip
Ask = Callable[..., Any]


@contextmanager
def viewing(log: Path) -> Iterator[tuple[Ask, psutil.Process]]:
    """The server of `curate view`, and how to ask it: status and JSON of /api/search."""
    with program(log, "view", "pets", "--no-open", "--port", "0") as serving:
        wait_until(lambda: serving.poll() is not None or "showing pets" in log.read_text(), 120)
        url = next(line for line in log.read_text().splitlines() if "?token=" in line)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(url, timeout=30).close()

        def ask(**params: Any) -> tuple[int, Any]:
            asked = f"{url.partition('?')[0]}api/search?{urlencode(params)}"
            try:
                with opener.open(asked, timeout=300) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        try:
            yield ask, psutil.Process(serving.pid)
        finally:
            serving.kill()


def cases() -> dict[str, Any]:
    """What the page says to each text, and whether its text tower ends with a server that is
    killed.
    """
    url = engines()["sqlite"]
    os.environ["CURATE_DATABASE_URL"] = url
    database = make_engine(url)
    fill(database)
    database.dispose()
    found: dict[str, Any] = {
        "cli": {
            name: json.loads(said("search", *words, "--json")["out"])
            for name, words in {
                "dog": (DOG, "pets"), "cat": (CAT, "pets"), "two": (DOG, "pets", "-n", "2"),
                "kept": (DOG, "pets", "--where", "status = 'kept'"),
            }.items()
        }
    }  # fmt: skip
    with viewing(HOME / "view.log") as (ask, server):
        found["before"] = [ask(text=DOG, dataset=name) for name in ("plain", "nowhere")]
        found["started early"] = len(server.children())
        whole = TOKENIZER.read_text()
        TOKENIZER.write_text("{}")
        found["broken"] = ask(text=DOG)
        TOKENIZER.write_text(whole)
        found["dog"], found["cat"] = ask(text=DOG), ask(text=CAT)
        found["two"], found["kept"] = ask(text=DOG, count=2), ask(text=DOG, status="kept")
        found["hostile"] = [ask(text=text) for text in HOSTILE]
        found["others"] = {name: ask(text=DOG, dataset=name) for name in ("old", "bare")}
        (child,) = server.children()
        server.kill()
        found["left"] = len(psutil.wait_procs([child], 30)[1])
    return found


if __name__ == "__main__":
    # there is no NPU here: a search that asks for one fails
    os.environ |= {"CURATE_HOME": str(HOME), "CURATE_DEVICE": "Ascend"}
    tiny.write_clip(HOME / "models" / tiny.CLIP)
    main({"found": cases})
