"""videofolder, read back by pandas, and by Hugging Face's datasets where it is installed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from curate.configs.errors import UsageError
from curate.export.registry import FORMATS
from tests.export.shelf import CAPTIONS, Shelf, frames_of

READERS = {
    "parquet": pd.read_parquet,
    "csv": pd.read_csv,
    "jsonl": lambda path: pd.read_json(path, lines=True),
}


@pytest.mark.parametrize("metadata", READERS)
def test_the_metadata_names_every_clip(shelf: Shelf, tmp_path: Path, metadata: str) -> None:
    written = shelf.export("videofolder", tmp_path / "out", metadata=metadata)
    found = READERS[metadata](tmp_path / f"out/metadata.{metadata}")
    assert list(found.columns)[:3] == ["file_name", "path", "text"] and written.clips == {"": 9}
    assert found["clip_id"].to_list() == list(range(1, 10))
    assert found["text"][2] == CAPTIONS[2] and pd.isna(found["text"][3])
    for name in found["file_name"]:
        assert len(frames_of(tmp_path / "out" / name)) == 6


def test_datasets_loads_it(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
    shelf.export("videofolder", tmp_path / "out")
    loaded = datasets.load_dataset(
        "videofolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")
    )["train"].cast_column("video", datasets.Video(decode=False))
    assert [row["clip_id"] for row in loaded] == list(range(1, 10))
    assert loaded[2]["text"] == CAPTIONS[2]
    for row in loaded:
        assert frames_of(Path(row["video"]["path"])) == frames_of(shelf.file(row["clip_id"]))


def test_another_column_of_that_name_is_refused(shelf: Shelf) -> None:
    job = shelf.job("videofolder")
    with pytest.raises(UsageError, match="file_name"):
        FORMATS["videofolder"].check(  # type: ignore[attr-defined]
            type(job.way)(("file_name",), {})
        )
