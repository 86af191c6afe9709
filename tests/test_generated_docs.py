"""The pages that are written from the code are up to date."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_generator_writes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), (
        "run: python docs/generate.py"
    )


def test_the_page_of_sql_is_what_both_engines_get(sqlite_url: str, postgres_url: str) -> None:
    page = runpy.run_path(str(DOCS / "generate_sql.py"))["page"]
    assert (DOCS / "sql.md").read_text(encoding="utf-8") == page(sqlite_url, postgres_url), (
        "run: .venv/bin/python -m docs.generate_sql"
    )
