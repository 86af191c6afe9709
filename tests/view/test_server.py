"""The page itself, and what it is made of."""

from __future__ import annotations

import re

from curate.view.server import STATIC
from tests.view.conftest import Client

PAGE = (STATIC / "index.html").read_text()


def test_all_that_the_page_names_is_served(guarded: Client) -> None:
    answer = guarded.get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    kinds = {".js": "javascript", ".css": "text/css"}
    named = re.findall(r'(?:src|href)="(/[^"]+)"', answer.body.decode())
    assert named
    for path in named:
        asset = guarded.get(path)
        assert asset.status == 200, path
        assert kinds[path[path.rindex(".") :]] in asset.headers["Content-Type"]


def test_each_file_of_the_page_is_named_in_it() -> None:
    files = {
        f.relative_to(STATIC).as_posix() for f in STATIC.rglob("*") if f.suffix in (".js", ".css")
    }
    others = {"report.js", "votes.js", "votes.css"}  # of the report and of sheets of captions
    assert files - others == set(re.findall(r'(?:src|href)="/static/([^"]+)"', PAGE))


def test_nothing_in_the_page_needs_an_exception_of_the_policy() -> None:
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=|https?:", PAGE)


def test_what_no_page_is(guarded: Client) -> None:
    assert guarded.get("/nothing").status == 404
