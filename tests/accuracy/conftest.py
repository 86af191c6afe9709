"""The tiny models, written once a test process, the references, and a table of the differences
found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.accuracy import inputs
from tests.accuracy.compare import TITLE, Compare, arrays
from tests.children import found_once


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the four tiny models."""
    return tiny.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Where cases.py wrote what it found."""
    return found_once("tests.accuracy.cases", tmp_path_factory)


@pytest.fixture(scope="session")
def references() -> Mapping[str, NDArray[Any]]:
    """The outputs of the reference implementations, by name."""
    return arrays(inputs.DATA / "references.npz")


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """What references.json says about how the references were made."""
    return dict(json.loads((inputs.DATA / "references.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def said(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the reference captioners wrote, from the file that the module names as REFERENCES."""
    return dict(
        json.loads((inputs.DATA / f"{request.module.REFERENCES}.json").read_text(encoding="utf-8"))
    )


@pytest.fixture(scope="module")
def numbers(request: pytest.FixtureRequest) -> Mapping[str, NDArray[Any]]:
    """The arrays of those references, in digest."""
    return arrays(inputs.DATA / f"{request.module.REFERENCES}.npz")


@pytest.fixture(scope="module")
def features(cases: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
    """What our captioners computed on the way."""
    return arrays(cases["captions"]["arrays"])


@pytest.fixture(scope="session")
def photos(facts: dict[str, Any]) -> dict[str, inputs.Image]:
    """The photos, proven to be decoded as those that the references were made of."""
    found = inputs.photos()
    for name, photo in found.items():
        assert inputs.checksum(photo) == facts["photos"][name], (
            f"{name}.jpg is decoded otherwise here"
        )
    return found


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """Fails when a difference is too large, and records it either way."""
    return Compare(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The differences found, also when all tests pass."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    lines = [
        value
        for r in reports
        if r.when == "call"
        for name, value in r.user_properties
        if name == TITLE
    ]
    if lines:
        terminalreporter.section(TITLE)
    for line in lines:
        terminalreporter.write_line(line)
