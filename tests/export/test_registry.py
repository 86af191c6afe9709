"""Formats by name and by the ending of the output."""

from __future__ import annotations

import pytest

from curate.configs.errors import UsageError
from curate.export.registry import FORMATS, format_of


def test_all_formats_are_there_by_their_names() -> None:
    names = "csv parquet jsonl webdataset videofolder sidecar two-files diffsynth musubi"
    others = "opensora_hpcai opensora_pku hunyuanvideo manifest"
    assert " ".join(FORMATS) == f"{names} {others}"
    assert all(format.name == name and format.reader for name, format in FORMATS.items())


@pytest.mark.parametrize(
    ("to", "output", "name"),
    [
        (None, None, "csv"), (None, "-", "csv"), (None, "x.CSV", "csv"),
        (None, "x.parquet", "parquet"), ("jsonl", "x.csv", "jsonl"), ("sidecar", "x", "sidecar"),
    ],
)  # fmt: skip
def test_the_name_goes_before_the_ending(to: str | None, output: str | None, name: str) -> None:
    assert format_of(to, output).name == name


@pytest.mark.parametrize(
    ("to", "output", "says"),
    [
        ("webdatset", "x", "did you mean webdataset"), (None, "x", r"no ending.*--to"),
        (None, "x.tar", r"^-o x.tar ends in .*\.csv, \.parquet or \.jsonl"),
    ],
)  # fmt: skip
def test_what_is_no_format_is_refused(to: str | None, output: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        format_of(to, output)
