"""Advice to install: it names packages of our own table, which is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from curate.configs import packages
from curate.configs.packages import (
    install,
    install_extra,
    install_store,
    known_protocols,
    store_package,
)

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = ("cli", "configs", "db", "docs", "tasks", "worker", "src")
SHIPPED = [
    ROOT / "README.md",
    *(
        file
        for folder in FOLDERS
        for ending in ("py", "md", "yaml")
        for file in (ROOT / folder).rglob(f"*.{ending}")
    ),
]


def test_the_extras_are_those_of_the_project() -> None:
    declared = PROJECT["optional-dependencies"]
    named = {name: tuple(declared[name]) for name in packages._EXTRAS}
    assert named == packages._EXTRAS
    assert declared.keys() - named.keys() == {"test", "docs"}


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert PROJECT["name"] == "curate-t2v"
    assert list(PROJECT["scripts"]) == ["curate"]


def test_nothing_advises_to_install_the_strangers_curate() -> None:
    wrong = re.compile(r"""\binstall (--\S+ )*["']?curate(?!-t2v)\b|["']curate\[""")
    assert not [file for file in SHIPPED if wrong.search(file.read_text())]


@pytest.mark.parametrize(
    ("advice", "command"),
    [
        (install("tokenizers"), "pip install tokenizers"),
        (install_extra("parquet"), "pip install 'pyarrow>=17,<26'"),
        (install_store("https"), "pip install 'aiohttp>=3.9'"),
        (install_store("s3a"), "pip install 's3fs>=2025.2'"),
        (install_store("gs"), "pip install gcsfs"),
    ],
)
def test_advice_can_be_pasted_into_a_shell(advice: str, command: str) -> None:
    assert advice == command


def test_every_known_protocol_has_a_package() -> None:
    for protocol in known_protocols().split(", "):
        assert store_package(protocol) in install_store(protocol).replace("'", " ")
    assert store_package("jupyter") is None
