"""File names become text that a database can hold, and come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.inputs.paths import is_url, to_path, to_text


@given(st.binary(min_size=1).filter(lambda b: b"\0" not in b))
def test_any_file_name_becomes_text_and_comes_back(raw: bytes) -> None:
    path = "/" + os.fsdecode(raw)
    text = to_text(path)
    text.encode("utf-8")  # a database takes it
    assert to_path(text) == path


@given(
    st.lists(st.sampled_from(["%", "2", "5", "E", "9", "\udce9", "é"]), max_size=12).map("".join)
)
def test_names_that_look_escaped_come_back_too(name: str) -> None:
    assert to_path(to_text("/" + name)) == "/" + name


@pytest.mark.parametrize(
    "path", ["/plain.mp4", "/100%.mp4", "/a%20b.mp4", "/\N{CLAPPER BOARD}.mp4", "/new\nline.mp4"]
)
def test_ordinary_names_are_unchanged(path: str) -> None:
    assert to_text(path) == path


def test_a_byte_that_is_not_utf8_is_shown_in_hex() -> None:
    assert to_text(os.fsdecode(b"/caf\xe9.mp4")) == "/caf%E9.mp4"
    assert to_text("/caf%E9.mp4") == "/caf%25E9.mp4"


def test_urls_pass_unchanged() -> None:
    url = "s3://bucket/caf%E9%25.mp4"
    assert (
        is_url(url)
        and is_url("simplecache::s3://b/x")
        and not is_url("/a:b")
        and not is_url("a:b.mp4")
    )
    assert to_text(url) == to_path(url) == url


LOCALES = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
JAPANESE = "\u00e9 \u65e5\u672c \U0001f3ac.mp4".encode()
NAMES = [b"a.mp4", JAPANESE, b"caf\xe9.mp4", b"100%25\xc3\xa9.mp4"]
LOOK = """if True:
    import json, sys
    from curate.tasks.inputs.find import find_inputs
    from curate.tasks.inputs.paths import to_path
    found = [i for source in sys.argv[1:] for i in find_inputs(source)]
    for one in found:
        with open(to_path(one.path), "rb") as opened:
            assert opened.read() == b"content"
    print(json.dumps([[i.path, i.relpath, i.fingerprint] for i in found]))
"""


def test_a_file_has_one_text_in_any_locale(tmp_path: Path) -> None:
    """In the locale C without UTF-8 mode, Python decodes names as ASCII."""
    folder = tmp_path / "\u00e9"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).write_bytes(b"content")
    rows = b"path\n" + b"\n".join(NAMES) + b"\n"
    (folder / "list.csv").write_bytes(rows)
    told = {}
    for name, variables in LOCALES.items():
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(folder), f"{folder}/list.csv", f"{folder}/*.mp4"],
            env=os.environ | variables,
            capture_output=True,
            check=True,
        )
        told[name] = json.loads(done.stdout)
    assert told["C"] == told["UTF-8"]
    assert sorted({path for path, *_ in told["C"]}) == sorted(
        to_text(f"{folder}/{os.fsdecode(name)}") for name in NAMES
    )
