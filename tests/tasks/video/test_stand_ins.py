"""A part of a package is imported without the rest, and the rest can be imported afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from curate.tasks.video.stand_ins import OnDemand, bare, standing_in


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a module `part`, and an __init__ file that counts how often it ran."""
    folder = tmp_path / "heavy_one"
    folder.mkdir()
    (folder / "__init__.py").write_text("import heavy_one.part\nheavy_one.part.ran += 1\n")
    (folder / "part.py").write_text("ran = 0\nvalue = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("heavy_one", "heavy_one.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "heavy_one"


def test_a_module_is_imported_without_its_package(heavy: str) -> None:
    with standing_in({heavy: bare(heavy)}):
        from heavy_one.part import ran, value  # type: ignore[import-not-found]
    assert (ran, value) == (0, 7)
    import heavy_one  # type: ignore[import-not-found]

    assert heavy_one.part.ran == 1, "the whole package comes when it is asked for"


def test_what_stands_in_imports_the_module_when_it_is_used(heavy: str) -> None:
    later = OnDemand(f"{heavy}.part")
    with standing_in({f"{heavy}.part": later}):
        assert sys.modules[f"{heavy}.part"] is later
    assert later.value == 7


def test_a_module_can_be_missing(heavy: str) -> None:
    with standing_in({heavy: None}), pytest.raises(ModuleNotFoundError):
        import heavy_one  # noqa: F401


def test_what_is_loaded_stays() -> None:
    with standing_in({"sys": ModuleType("sys")}):
        import sys as found
    assert found is sys


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        bare("no_such_package")
    assert caught.value.name == "no_such_package"
