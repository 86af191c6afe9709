"""Advice to install: it names packages of our own table, which is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from curate.configs import packages
from curate.configs.packages import install, known_protocols, store_package

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = ("cli", "configs", "db", "docs", "tasks", "view", "worker", "src")
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
    assert {tuple(declared[name]) for name in declared.keys() - {"test", "docs"}} == {
        *packages._EXTRAS
    }


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert PROJECT["name"] == "curate-t2v"
    assert list(PROJECT["scripts"]) == ["curate"]


def test_nothing_advises_to_install_the_strangers_curate() -> None:
    wrong = re.compile(r"""\binstall (--\S+ )*["']?curate(?!-t2v)\b|["']curate\[""")
    assert not [file for file in SHIPPED if wrong.search(file.read_text())]


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("gcsfs", "pip install gcsfs"),
        ("pyarrow", "pip install 'pyarrow>=17,<26'"),
        ("psycopg", "pip install 'psycopg[binary]>=3.2'"),
        ("onnxruntime", "pip install 'onnxruntime>=1.20' 'tokenizers>=0.22'"),
        ("tokenizers", "pip install 'onnxruntime>=1.20' 'tokenizers>=0.22'"),
        ("rapidocr", "pip install 'rapidocr>=3.4' 'onnxruntime>=1.20'"),
    ],
)
def test_advice_can_be_pasted_into_a_shell(package: str, command: str) -> None:
    assert install(package) == command


def test_every_known_protocol_has_a_package() -> None:
    known = known_protocols().split(", ")
    assert {"s3", "http", "https", "gs"} <= set(known) and all(map(store_package, known))
    assert store_package("jupyter") is None
