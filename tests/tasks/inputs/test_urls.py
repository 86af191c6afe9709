"""What is found at URLs."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest

from curate.configs.errors import (
    BadTable,
    ConfigError,
    NoSuchFile,
    PackageMissing,
    ServiceError,
    StoreUnknown,
)
from curate.configs.schema import ABSENT
from curate.tasks.inputs.files import PassedOver, Search
from curate.tasks.inputs.find import check_there, find_inputs
from curate.tasks.inputs.paths import to_path
from curate.tasks.storage.remote import RemoteFile
from tests.tasks.inputs.cases import relpaths, table


@pytest.fixture
def bucket() -> Any:
    system = fsspec.filesystem("memory")
    for name in ("b.mp4", "a/z.mp4", "a/n.txt", ".h.mp4", "a/%E9.png"):
        system.pipe(f"/inputs/{name}", b"123")
    yield "memory://inputs"
    system.rm("/inputs", recursive=True)


def test_a_url_prefix_is_searched_in_the_order_of_names(bucket: str) -> None:
    found = list(find_inputs(bucket))
    assert [i.relpath for i in found] == ["a/%25E9.png", "a/z.mp4", "b.mp4"]
    assert all(i.fingerprint.startswith("3-") and len(i.fingerprint) > 3 for i in found)


def test_a_url_found_opens_again(bucket: str) -> None:
    for found in find_inputs(bucket):
        with fsspec.open(to_path(found.path), "rb") as stream:
            assert stream.read() == b"123"


def test_one_url_a_url_glob_and_a_table_of_urls(bucket: str, tmp_path: Path) -> None:
    assert len(list(find_inputs(f"{bucket}/b.mp4"))) == 1
    assert relpaths(f"{bucket}/**/*.mp4") == ["a/z.mp4", "b.mp4"]
    with pytest.raises(ConfigError, match="entire path component"):
        list(find_inputs(f"{bucket}/a**.mp4"))
    (absent,) = find_inputs(f"{bucket}/missing.mp4")
    assert absent.fingerprint == ABSENT
    (listed,) = find_inputs(table(tmp_path, f"path,text\n{bucket}/b.mp4,hi\n"))
    assert listed.extra == {"text": "hi"} and listed.fingerprint != ABSENT
    assert listed.relpath == listed.path == f"{bucket}/b.mp4"


def test_a_table_at_a_url_counts_from_its_folder(bucket: str) -> None:
    fsspec.filesystem("memory").pipe("/inputs/list.csv", b"path\na/z.mp4\n")
    (found,) = find_inputs(f"{bucket}/list.csv")
    assert (found.path, found.relpath) == (f"{bucket}/a/z.mp4", "a/z.mp4")


def test_unknown_and_uninstalled_protocols_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        list(find_inputs("nosuch://bucket/a"))
    with pytest.raises(PackageMissing, match="pip install gcsfs"):
        list(find_inputs("gs://bucket/a"))
    with pytest.raises(StoreUnknown, match=r"cannot open gdrive://.*https, s3"):
        list(find_inputs("gdrive://bucket/a"))


def test_pictures_and_other_files_at_a_url(bucket: str) -> None:
    for source in (bucket, f"{bucket}/**"):
        passed_over = PassedOver()
        found = list(find_inputs(source, passed_over))
        assert [i.relpath for i in found if not i.only_known] == ["a/z.mp4", "b.mp4"]
        assert passed_over.skipped() == {".txt": 1}


def test_curates_own_clips_at_a_url_are_not_entered(bucket: str) -> None:
    fsspec.filesystem("memory").pipe("/inputs/clips/1/a_scene-0.mp4", b"1")
    passed_over = PassedOver()
    search = Search(own=frozenset([f"{bucket}/clips", "/inputs/a"]))
    found = [i.relpath for i in find_inputs(bucket, passed_over, search)]
    assert found == ["a/%25E9.png", "a/z.mp4", "b.mp4"]
    assert passed_over.own == ["memory:///inputs/clips"]


@pytest.mark.parametrize("url", ["reference://a.mp4", "generic://a.mp4", "dir://x/a.mp4"])
def test_a_protocol_that_needs_more_than_a_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"curate knows .*https, s3"):
        list(find_inputs(url))


def test_a_store_that_does_not_answer_at_once_is_a_service_error() -> None:
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1"):
        list(find_inputs("ftp://127.0.0.1:1/a/"))


def zipped(tmp_path: Path, name: str = "a.zip") -> Path:
    archive = tmp_path / name
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("b/c.mp4", b"123")
    return archive


@pytest.mark.parametrize(
    ("source", "relpath"),
    [
        ("zip::{}", "b/c.mp4"),
        ("zip://b::{}", "c.mp4"),
        ("zip://b/c.mp4::file://{}", "c.mp4"),
        ("zip://b/*.mp4::{}", "c.mp4"),
    ],
)
def test_what_is_in_an_archive_is_found_and_read(tmp_path: Path, source: str, relpath: str) -> None:
    (found,) = find_inputs(source.format(zipped(tmp_path)))
    assert (found.relpath, found.fingerprint[:2]) == (relpath, "3-")
    with RemoteFile(found.path) as opened:
        assert opened.read() == b"123"


@pytest.mark.parametrize("protocol", ["zip", "tar"])
def test_an_archive_that_is_not_named_is_asked_for(tmp_path: Path, protocol: str) -> None:
    how = f"{protocol}://FOLDER/IN/IT::/PATH/OF/ARCHIVE"
    with pytest.raises(ConfigError, match=re.escape(f"names no archive; write {how}")):
        list(find_inputs(f"{protocol}://{zipped(tmp_path)}"))


def test_an_archive_that_is_not_there_or_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match=r"no file or folder .*/none\.zip"):
        check_there(f"zip://b::{tmp_path}/none.zip")
    check_there("zip://b::https://h/none.zip")
    (tmp_path / "bad.zip").write_bytes(b"no")
    with pytest.raises(ConfigError, match="archive cannot be read"):
        list(find_inputs(f"zip://b::{tmp_path}/bad.zip"))
    with pytest.raises(BadTable, match=r"cannot be used: the archive cannot be read"):
        list(find_inputs(f"zip://b.csv::{tmp_path}/bad.zip"))


def test_a_table_in_an_archive_is_read_or_told_to_be_missing(tmp_path: Path) -> None:
    archive = zipped(tmp_path)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("t.csv", f"path\nzip://b/c.mp4::{archive}\n")
    (found,) = find_inputs(f"zip://t.csv::{archive}")
    assert found.path == f"zip://b/c.mp4::{archive}"
    with pytest.raises(NoSuchFile):
        list(find_inputs(f"zip://b.csv::{archive}"))


def test_advice_names_the_store_where_the_archive_lies_without_its_password() -> None:
    with pytest.raises(
        ServiceError, match=r"store http://u:\*\*\*@127\.0\.0\.1:1 is not"
    ) as caught:
        list(find_inputs("zip://b::http://u:HUSH@127.0.0.1:1/a.zip"))
    assert "s3 mb" not in str(caught.value)
