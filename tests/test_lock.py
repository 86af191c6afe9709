"""uv.lock belongs to pyproject.toml, and names no registry but the public one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
OUR_OWN: dict[str, Any] = next(p for p in LOCK["package"] if p["name"] == PROJECT["name"])

Requirements = set[tuple[str, str, str]]  # name, versions, extra of ours that asks for it


def declared() -> Requirements:
    lists = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    parsed = [(Requirement(text), extra) for extra, texts in lists.items() for text in texts]
    return {(r.name.lower(), str(r.specifier), extra) for r, extra in parsed}


def locked() -> Requirements:
    return {
        (r["name"], str(Requirement("x" + r.get("specifier", "")).specifier), extra_of(r))
        for r in OUR_OWN["metadata"]["requires-dist"]
    }


def extra_of(requirement: dict[str, Any]) -> str:
    extra = re.search(r"extra == '(\w+)'", requirement.get("marker", ""))
    return extra[1] if extra else ""


def test_it_locks_what_is_declared() -> None:
    assert locked() == declared(), "run: uv lock"
    assert LOCK["requires-python"] == ">=3.11, <3.13"


def test_it_names_public_hosts_only() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
