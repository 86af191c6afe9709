"""Clips are rebuilt from sources that were moved, and only where their frames are the same."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import BadManifest, ExportThere
from curate.export.rebuild import MARK, Rebuild, Rebuilt
from curate.tasks.cut import CutOptions
from tests.drawing import frame_number, picture
from tests.export.shelf import FRAMES, Shelf
from tests.media import B_FRAMES, write_video


@pytest.fixture
def manifest(sourced: Shelf, tmp_path: Path) -> Path:
    """Of seven clips of a.mp4 and two of b.mp4, whose sources have been moved."""
    options = CutOptions(preset="ultrafast").model_dump_json()
    sourced.export("manifest", tmp_path / "m.parquet", cuts={"pets": options})
    (tmp_path / "moved").mkdir()
    (tmp_path / "videos/deep/a.mp4").rename(tmp_path / "moved/one.bin")
    (tmp_path / "videos/deep/b.mp4").rename(tmp_path / "moved/b.mp4")
    return tmp_path / "m.parquet"


def rebuild(manifest: Path, tmp_path: Path, places: str = "moved") -> Rebuilt:
    return Rebuild(manifest, [str(tmp_path / places)], tmp_path / "out").run()


def files(tmp_path: Path) -> dict[str, Path]:
    return {p.name: p for p in sorted((tmp_path / "out").rglob("*.mp4"))}


def numbers(path: Path) -> list[int]:
    import av

    with av.open(str(path)) as clip:
        return [frame_number(f.to_ndarray(format="rgb24")) for f in clip.decode(video=0)]


def change(manifest: Path, first: int | None = None, **columns: Any) -> None:
    """Set columns of all rows, or remove them: None. `first`: only so many rows are left."""
    import pyarrow
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(manifest).to_pylist()[:first]
    gone = {name for name, value in columns.items() if value is None}
    new = [{k: v for k, v in (row | columns).items() if k not in gone} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(new), manifest)


def test_every_clip_is_cut_again_from_moved_sources(manifest: Path, tmp_path: Path) -> None:
    done = rebuild(manifest, tmp_path)
    assert (done.clips, done.written, done.there, done.remarks) == (9, 9, 0, {})
    found = files(tmp_path)
    assert len(found) == 9
    assert numbers(found["a.mp4_scene-2.mp4"]) == list(range(12, 18))
    assert numbers(found["b.mp4_scene-1.mp4"]) == list(range(106, 112))


def test_what_is_there_is_not_cut_again(manifest: Path, tmp_path: Path) -> None:
    rebuild(manifest, tmp_path)
    found = files(tmp_path)
    found["a.mp4_scene-3.mp4"].unlink()
    stamps = {name: p.stat().st_mtime_ns for name, p in files(tmp_path).items()}
    (tmp_path / "out/pets/.x.part").touch()
    (tmp_path / "moved/b.mp4").unlink()  # its clips are there
    before = set((tmp_path / "out").rglob(".*.part"))
    done = rebuild(manifest, tmp_path)
    assert (done.written, done.there, done.left) == (1, 8, 0) and len(before) == 1
    now = {name: p.stat().st_mtime_ns for name, p in files(tmp_path).items()}
    assert {name: now[name] for name in stamps} == stamps and len(now) == 9
    assert not set((tmp_path / "out").rglob(".*.part"))


def test_a_source_that_was_encoded_again_is_named_and_nothing_of_it_is_written(
    manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "moved/b.mp4").unlink()
    (tmp_path / "moved/new").mkdir()
    frames = (picture(100 + n, size=(64, 48)) for n in range(2 * FRAMES))
    other = write_video(tmp_path / "moved/new/b.mp4", frames, B_FRAMES)
    done = rebuild(manifest, tmp_path)
    assert (done.written, done.left) == (7, 2)
    (remark,) = done.remarks.values()
    assert (remark.state, remark.clips, remark.found) == ("differs", 2, str(other))
    assert remark.source.endswith("videos/deep/b.mp4")
    assert [name for name in files(tmp_path) if name.startswith("b")] == []


def test_a_source_without_bytes_or_name_is_missing(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "moved/b.mp4").unlink()
    done = rebuild(manifest, tmp_path)
    (remark,) = done.remarks.values()
    assert (done.written, remark.state, remark.clips) == (7, "missing", 2)


def test_other_bytes_with_the_same_frames_are_rebuilt_and_told(
    manifest: Path, tmp_path: Path
) -> None:
    with (tmp_path / "moved/b.mp4").open("ab") as source:  # an atom that players pass over
        source.write(b"\0\0\0\x08free")
    done = rebuild(manifest, tmp_path)
    (remark,) = done.remarks.values()
    assert (done.written, done.left, remark.state, remark.clips) == (9, 0, "equal", 2)


def test_the_same_bytes_with_other_frames_are_no_proof(manifest: Path, tmp_path: Path) -> None:
    change(manifest, frames_sha256="0" * 64)
    done = rebuild(manifest, tmp_path)
    assert (done.written, done.left, files(tmp_path)) == (0, 9, {})
    assert {remark.state for remark in done.remarks.values()} == {"failed"}
    assert "decoded in another way" in next(iter(done.remarks.values())).why


@pytest.mark.parametrize("mode", ["encode", "smart", "copy"])
def test_clips_are_cut_as_the_manifest_says(manifest: Path, tmp_path: Path, mode: str) -> None:
    size = 32 if mode == "encode" else None
    options = CutOptions(mode=mode, shorter_size=size)  # type: ignore[arg-type]
    change(manifest, cut_options=options.model_dump_json())
    assert rebuild(manifest, tmp_path).written == 9
    import av

    path = files(tmp_path)["a.mp4_scene-2.mp4"]
    with av.open(str(path)) as clip:
        assert clip.streams.video[0].height == (32 if mode == "encode" else 48)
    assert numbers(path) == list(range(12, 18))


def test_clips_that_fit_a_bucket_are_proved_by_all_frames_of_their_span(
    manifest: Path, tmp_path: Path
) -> None:
    options = CutOptions(fit="crop").model_dump_json()
    change(manifest, cut_options=options, bucket="32x32x3")
    assert rebuild(manifest, tmp_path).written == 9
    import av

    with av.open(str(files(tmp_path)["a.mp4_scene-2.mp4"])) as clip:
        assert [(f.width, f.height) for f in clip.decode(video=0)] == [(32, 32)] * 3
    shutil.rmtree(tmp_path / "out")
    change(manifest, frames_sha256="0" * 64)
    done = rebuild(manifest, tmp_path)
    assert (done.written, files(tmp_path)) == (0, {})


def test_an_image_is_copied(manifest: Path, tmp_path: Path) -> None:
    from curate.export.sources import sha256_of
    from curate.tasks.video.frame_hash import hash_image
    from tests.media import write_image

    path = write_image(tmp_path / "moved/x.png")
    shutil.copy(path, tmp_path / "same.png")
    change(
        manifest, 1, media_type="image", source_sha256=sha256_of(str(path)), file_name="p/x.png",
        source_bytes=path.stat().st_size, frames_sha256=hash_image(str(path)),
    )  # fmt: skip
    done = rebuild(manifest, tmp_path)
    assert done.left == 0
    assert (tmp_path / "out/p/x.png").read_bytes() == (tmp_path / "same.png").read_bytes()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"frames_sha256": None}, "no column frames_sha256"),
        ({"file_name": "../out.mp4"}, "leads out of the folder"),
        ({"file_name": "/etc/x.mp4"}, "leads out of the folder"),
        ({"cut_options": '{"mode": "sideways"}'}, "cut_options are not known"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    manifest: Path, tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    change(manifest, **columns)
    with pytest.raises(BadManifest, match=says):
        rebuild(manifest, tmp_path)
    assert files(tmp_path) == {} and not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("file_name", None, "its file_name is no text"),
        ("file_name", "", "its file_name is no text"),
        ("file_name", "a\0b.mp4", "its file_name is "),
        ("file_name", "x" * 300, "is too long"),
        ("file_name", MARK, "is taken"),
        ("file_name", f"{MARK}/x.mp4", "is that of a file and of a folder"),
        ("file_name", "pets", "is that of a file and of a folder"),
        ("file_name", "./pets//a.mp4_scene-0.mp4", "is taken"),
        ("source", None, "its source is no text"),
        ("source", "/", "its source is '/'"),
        ("source_sha256", None, "its source_sha256 is no text"),
        ("frames_sha256", None, "its frames_sha256 is no text"),
        ("start_pts", None, "its start_pts is None"),
        ("time_base_den", 0, "its time_base_den is 0"),
        ("time_base_num", 2**40, "its time_base_num is "),
        ("access", "jump", "its access is 'jump'"),
        ("cut_options", "[", "its cut_options are not known here"),
        ("bucket", "0x0x0", "0x0x0"),
    ],
)
def test_a_row_that_is_wrong_is_told_by_its_number(
    manifest: Path, tmp_path: Path, column: str, value: Any, says: str
) -> None:
    import pyarrow
    import pyarrow.parquet

    options = CutOptions(fit="crop").model_dump_json()
    change(manifest, cut_options=options, bucket="32x32x3")
    rows = pyarrow.parquet.read_table(manifest).to_pylist()
    rows[2][column] = value
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), manifest)
    with pytest.raises(BadManifest, match=re.escape("row 3: ") + ".*" + re.escape(says)):
        rebuild(manifest, tmp_path)
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_text_are_told(manifest: Path, tmp_path: Path) -> None:
    change(manifest, file_name=7)
    with pytest.raises(BadManifest, match="row 1: its file_name is"):
        rebuild(manifest, tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"clip_id\n1\n")
    with pytest.raises(BadManifest):
        rebuild(tmp_path / "m.parquet", tmp_path, ".")


def test_a_folder_of_other_clips_is_left_alone(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").touch()
    with pytest.raises(ExportThere, match="other files"):
        rebuild(manifest, tmp_path)
    (tmp_path / "out/thesis.tex").unlink()
    rebuild(manifest, tmp_path)
    change(manifest, rotation=90)
    with pytest.raises(ExportThere, match="another manifest"):
        rebuild(manifest, tmp_path)
    assert (tmp_path / "out" / MARK).exists()
