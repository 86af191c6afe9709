"""The formats of `curate export --to`, by name."""

from __future__ import annotations

from pathlib import PurePath

from curate.configs.errors import UsageError
from curate.configs.names import did_you_mean
from curate.export.format import Format, TableFormat
from curate.export.formats.csv import Csv
from curate.export.formats.diffsynth import DiffSynth
from curate.export.formats.hunyuanvideo import HunyuanVideo
from curate.export.formats.jsonl import Jsonl
from curate.export.formats.manifest import Manifest
from curate.export.formats.musubi import Musubi
from curate.export.formats.opensora_hpcai import OpenSoraHpcai
from curate.export.formats.opensora_pku import OpenSoraPku
from curate.export.formats.parquet import Parquet
from curate.export.formats.sidecar import Sidecar
from curate.export.formats.two_files import TwoFiles
from curate.export.formats.videofolder import VideoFolder
from curate.export.formats.webdataset import WebDataset

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Csv(), Parquet(), Jsonl(), WebDataset(), VideoFolder(), Sidecar(), TwoFiles(), DiffSynth(),
        Musubi(), OpenSoraHpcai(), OpenSoraPku(), HunyuanVideo(),
        Manifest(),
    )
}  # fmt: skip
TABLES = {format.ending: format for format in FORMATS.values() if isinstance(format, TableFormat)}


def format_of(name: str | None, output: str | None) -> Format:
    """The format of a name, or else that of the ending of `output`; CSV goes to stdout. Raises
    UsageError.
    """
    if name is not None:
        if name not in FORMATS:
            near = did_you_mean(name, FORMATS)
            raise UsageError(what=f"--to {name}{near}: it is one of {', '.join(FORMATS)}")
        return FORMATS[name]
    if output in (None, "-"):
        return FORMATS["csv"]
    return table_format(output or "")


def table_format(output: str) -> TableFormat:
    """The format of a table by the ending of its name. Raises UsageError."""
    suffix = PurePath(output).suffix.lower()
    if suffix not in TABLES:
        ends = f"ends in {suffix}" if suffix else "has no ending"
        endings = ", ".join([*TABLES][:-1])
        why = f"tables end in {endings} or {[*TABLES][-1]}"
        other = "other formats: `curate export DATASET --to FORMAT -o FILE`"
        raise UsageError(what=f"-o {output} {ends}; {why}; {other}")
    return TABLES[suffix]
