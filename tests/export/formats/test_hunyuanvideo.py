"""hunyuanvideo: the list of opensora_pku, whose test reads both."""

from __future__ import annotations

from curate.export.formats.opensora_pku import OpenSoraPku
from curate.export.registry import FORMATS


def test_it_is_the_same_list() -> None:
    format = FORMATS["hunyuanvideo"]
    assert isinstance(format, OpenSoraPku) and format.name == "hunyuanvideo"
