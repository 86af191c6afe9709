"""manifest: what is written of each clip, and of which clips nothing can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import curate
from curate.configs.errors import UsageError
from curate.db.engine import make_engine, writing
from curate.db.selection import Selection
from curate.export.format import Item, Way
from curate.export.formats.manifest import COLUMNS, Manifest
from curate.tasks.cut import CutOptions
from curate.tasks.storage.locations import Location
from tests.export.shelf import Shelf, frames_of

SOURCE = "videos/deep/a.mp4"


def rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


def test_a_row_tells_source_span_frames_and_every_column(sourced: Shelf, tmp_path: Path) -> None:
    target = tmp_path / "m.parquet"
    cuts = {"pets": '{"crf": 30}'}
    assert sourced.export("manifest", target, cuts=cuts).clips == {"": 9}
    found = rows(target)
    source = tmp_path / SOURCE
    second = found[1]
    expected = {
        "clip_id": 2, "dataset": "pets", "file_name": "pets/a.mp4_scene-1.mp4",
        "source": str(source), "source_relpath": "a.mp4", "source_bytes": source.stat().st_size,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(), "start_pts": 3072,
        "end_pts": 6144, "time_base_num": 1, "time_base_den": 12288, "access": "seek",
        "source_frames": 6, "codec": "h264", "source_width": 64, "cut_options": '{"crf": 30}',
        "curate_version": curate.__version__, "licence": "CC0", "by": "me",
        "text": "ein Hund, der bellt", "num_frames": 6, "end_seconds": None,
    }  # fmt: skip
    assert {name: second[name] for name in expected} == expected
    assert list(second)[: len(COLUMNS)] == list(COLUMNS) and "path" not in second
    assert len({row["frames_sha256"] for row in found}) == 9
    assert [p.name for p in tmp_path.glob(".m*")] == []


def test_the_hash_is_that_of_the_frames_as_they_are_decoded(sourced: Shelf, tmp_path: Path) -> None:
    import av

    sourced.export("manifest", tmp_path / "m.parquet")
    with av.open(str(tmp_path / SOURCE)) as source:
        raw = [f.to_ndarray(format="yuv420p").tobytes() for f in source.decode(video=0)]
    assert len(frames_of(tmp_path / SOURCE)) == 42
    for number, row in enumerate(rows(tmp_path / "m.parquet")[:7]):
        whole = b"".join(raw[6 * number : 6 * number + 6])
        assert row["frames_sha256"] == hashlib.sha256(whole).hexdigest()


def test_clips_need_no_file_and_may_come_in_any_order(sourced: Shelf, tmp_path: Path) -> None:
    sourced.export("manifest", tmp_path / "m.parquet")
    in_order = {row["clip_id"]: row["frames_sha256"] for row in rows(tmp_path / "m.parquet")}
    sourced.change("path = NULL", 1)
    sourced.file(2).unlink()
    job = sourced.job("manifest", Selection(shuffle=True, seed=3))
    assert job.write(str(tmp_path / "m.parquet")).clips == {"": 9}
    shuffled = rows(tmp_path / "m.parquet")
    assert [row["clip_id"] for row in shuffled] != sorted(in_order)
    assert {row["clip_id"]: row["frames_sha256"] for row in shuffled} == in_order


def test_clips_of_sources_that_are_gone_or_others_are_counted(
    sourced: Shelf, tmp_path: Path
) -> None:
    (tmp_path / SOURCE).write_bytes(b"other")
    (tmp_path / "videos/deep/b.mp4").unlink()
    written = sourced.export("manifest", tmp_path / "m.parquet")
    assert written.remarks == {
        "are left out, for their source is another file than it was": 7,
        "are left out, for their source is gone": 2,
    }
    assert rows(tmp_path / "m.parquet") == []


def test_a_source_that_cannot_be_decoded_is_told_of_its_clips_alone(
    sourced: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SOURCE).write_bytes(b"other")
    monkeypatch.setattr("curate.export.formats.manifest.trouble_of", lambda *_: "")
    written = sourced.export("manifest", tmp_path / "m.parquet")
    (why, count), *others = written.remarks.items()
    assert (count, others, "a.mp4 is not a video" in why) == (7, [], True)
    assert [row["clip_id"] for row in rows(tmp_path / "m.parquet")] == [8, 9]


def test_what_was_hashed_before_a_kill_is_not_hashed_again(
    sourced: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manifest, "part_clips", 4)
    lay, laid = Manifest.lay, []

    def stopping(
        self: Manifest, number: int, items: Sequence[Item], root: Location, way: Way
    ) -> list[Any]:
        laid.append(number)
        if laid == [0, 1]:
            raise KeyboardInterrupt
        return lay(self, number, items, root, way)

    monkeypatch.setattr(Manifest, "lay", stopping)
    target = tmp_path / "m.parquet"
    with pytest.raises(KeyboardInterrupt):
        sourced.export("manifest", target)
    assert not target.exists()
    sourced.export("manifest", target)
    assert laid == [0, 1, 1, 2]
    resumed = target.read_bytes()
    sourced.export("manifest", target)  # as every table it is written anew
    assert target.read_bytes() == resumed and laid == [0, 1, 1, 2, 0, 1, 2]


def test_an_input_tables_column_of_the_same_name_is_refused(sourced: Shelf, tmp_path: Path) -> None:
    kinds = sourced.job("manifest").way.kinds
    with pytest.raises(UsageError, match="codec of its own"):
        Manifest().check(Way(("path", "codec"), kinds))
    Manifest().check(Way(("path", "source", "clip_id"), kinds))


def test_clips_that_fit_their_bucket_are_not_written_without_it(sourced: Shelf) -> None:
    cuts = {"pets": CutOptions(fit="pad").model_dump_json()}
    with pytest.raises(UsageError, match="--columns needs bucket too"):
        Manifest().check(Way(("path",), {}, cuts=cuts))
    Manifest().check(Way(("path", "bucket"), {}, cuts=cuts))


def test_an_image_is_one_frame(sourced: Shelf, tmp_path: Path) -> None:
    from curate.tasks.inputs.files import fingerprint_now
    from curate.tasks.video.frame_hash import hash_image
    from tests.media import write_image

    path = write_image(tmp_path / "b.PNG")
    with sourced.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE videos SET path = '{path}', fingerprint = '{fingerprint_now(str(path))}',"
            " media_type = 'image' WHERE relpath = 'b.mp4'"
        )
    sourced.export("manifest", tmp_path / "m.parquet")
    row = rows(tmp_path / "m.parquet")[-1]
    assert (row["file_name"], row["source_frames"]) == ("pets/b.mp4_scene-1.png", 1)
    assert row["frames_sha256"] == hash_image(str(path))
    assert json.dumps(row["media_type"]) == '"image"'


def test_a_source_below_the_home_has_its_whole_path(
    sourced: Shelf, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "videos").rename(home / "videos")
    sourced.engine = make_engine(str(sourced.engine.url), home=str(home))
    with writing(sourced.engine) as connection:
        connection.execute(text("UPDATE videos SET path = './videos/deep/' || relpath"))
    assert sourced.export("manifest", tmp_path / "m.parquet").remarks == {}
    found = {row["source"] for row in rows(tmp_path / "m.parquet")}
    assert found == {str(home / "videos/deep" / name) for name in ("a.mp4", "b.mp4")}
