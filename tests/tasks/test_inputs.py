"""What enqueue finds, in which order, and how names reach the database."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.configs.errors import ConfigError, NoInput, PackageMissing
from curate.tasks.inputs.paths import is_url, to_path, to_text
from curate.tasks.inputs.walk import ABSENT, Report, find_inputs, is_image
from curate.tasks.inputs.walk import walk as inputs
from tests import media


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def relpaths(source: Path | str, report: Report | None = None) -> list[str]:
    return [i.relpath for i in find_inputs(str(source), report)]


# names and text


@given(st.binary(min_size=1).filter(lambda b: b"\0" not in b))
def test_any_file_name_becomes_text_and_comes_back(raw: bytes) -> None:
    path = "/" + os.fsdecode(raw)
    text = to_text(path)
    text.encode("utf-8")  # a database takes it
    assert to_path(text) == path


@given(
    st.lists(st.sampled_from(["%", "2", "5", "E", "9", "\udce9", "é"]), max_size=12).map("".join)
)
def test_names_that_look_escaped_come_back_too(name: str) -> None:
    assert to_path(to_text("/" + name)) == "/" + name


@pytest.mark.parametrize(
    "path", ["/plain.mp4", "/100%.mp4", "/a%20b.mp4", "/\N{CLAPPER BOARD}.mp4", "/new\nline.mp4"]
)
def test_ordinary_names_are_unchanged(path: str) -> None:
    assert to_text(path) == path


def test_a_byte_that_is_not_utf8_is_shown_in_hex() -> None:
    assert to_text(os.fsdecode(b"/caf\xe9.mp4")) == "/caf%E9.mp4"
    assert to_text("/caf%E9.mp4") == "/caf%25E9.mp4"


def test_urls_pass_unchanged() -> None:
    url = "s3://bucket/caf%E9%25.mp4"
    assert (
        is_url(url)
        and is_url("simplecache::s3://b/x")
        and not is_url("/a:b")
        and not is_url("a:b.mp4")
    )
    assert to_text(url) == to_path(url) == url


# folders


def test_a_folder_is_searched_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/z.MOV", "a/a.webm", "c.png", "notes.txt", "d.m2ts")
    assert relpaths(tmp_path) == ["a/a.webm", "a/z.MOV", "b.mp4", "c.png", "d.m2ts"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.mp4", ".cache/x.mp4", "ok.mp4")
    assert relpaths(tmp_path) == ["ok.mp4"]


@pytest.mark.parametrize("extension", inputs.VIDEO_EXTENSIONS + inputs.IMAGE_EXTENSIONS)
def test_every_extension_is_found_in_any_case(extension: str, tmp_path: Path) -> None:
    touch(tmp_path, f"a{extension}", f"b{extension.upper()}")
    assert relpaths(tmp_path) == [f"a{extension}", f"b{extension.upper()}"]


def test_what_is_no_file_comes_out_so_that_its_row_can_say_why(tmp_path: Path) -> None:
    media.draw_bad("directory", tmp_path)
    media.draw_bad("broken_link", tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        found = list(find_inputs(str(tmp_path)))
    assert [i.relpath for i in found] == ["folder.mp4", "link.mp4", "pipe.mp4", "socket.mp4"]
    assert found[1].fingerprint == ABSENT


def test_files_in_a_folder_called_like_a_video_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "x.mp4/inner.mp4")
    assert relpaths(tmp_path) == ["x.mp4", "x.mp4/inner.mp4"]


@pytest.mark.parametrize("name", media.ODD_NAMES)
def test_odd_names_are_found_and_open_again(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"content")
    (found,) = find_inputs(str(tmp_path))
    json.dumps([found.path, found.relpath]).encode("utf-8")
    assert Path(to_path(found.path)).read_bytes() == b"content"


def test_link_loops_end_and_nothing_is_found_twice(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "a/1.mp4", "b/2.mp4")
    for number, (link, target) in enumerate([("a", "b"), ("b", "a"), ("a", "."), ("b", "..")]):
        (root / link / f"link{number}").symlink_to(root / target)
    (root / "b/itself").symlink_to("itself")
    assert relpaths(root) == ["a/1.mp4", "b/2.mp4"]


def test_a_linked_folder_outside_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "in/own.mp4", "out/linked.mp4")
    (tmp_path / "in/l1").symlink_to(tmp_path / "out")
    (tmp_path / "in/l2").symlink_to(tmp_path / "out")
    assert relpaths(tmp_path / "in") == ["l1/linked.mp4", "own.mp4"]


def test_two_links_to_one_file_are_two_rows(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "hard.mp4").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "soft.mp4").symlink_to("a.mp4")
    assert relpaths(tmp_path) == ["a.mp4", "hard.mp4", "soft.mp4"]


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.mp4", "closed/b.mp4")
    real = os.scandir

    def scandir(path: Any) -> Any:  # root may list everything, so the refusal has to be played
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = Report()
    assert relpaths(tmp_path, report) == ["a.mp4"]
    assert report.unreadable == [(str(tmp_path / "closed"), "Permission denied")]


def test_nothing_found_is_an_error_that_names_the_extensions(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match=r"\.mp4"):
        list(find_inputs(str(tmp_path)))
    with pytest.raises(NoInput):
        list(find_inputs(str(tmp_path / "missing.mp4")))


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (before,) = find_inputs(str(tmp_path))
    (same,) = find_inputs(str(tmp_path))
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    (after,) = find_inputs(str(tmp_path))
    assert before == same and before.fingerprint != after.fingerprint == "1-1"


def test_finding_is_lazy(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    found = find_inputs(str(tmp_path))
    assert next(found).relpath == "a.mp4"
    touch(tmp_path, "c.mp4")
    assert next(found).relpath == "b.mp4"


# one file, a glob


def test_one_file_may_have_any_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "movie.flv")
    monkeypatch.chdir(tmp_path)
    (found,) = find_inputs("movie.flv")
    assert (found.path, found.relpath) == (str(tmp_path / "movie.flv"), "movie.flv")


def test_a_glob_counts_from_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "d/a/1.mp4", "d/b/2.mp4", "d/b/3.txt", "e/4.mp4")
    assert relpaths(f"{tmp_path}/d/**/*") == ["a/1.mp4", "b/2.mp4"]
    assert relpaths(f"{tmp_path}/d/?/1.mp4") == ["a/1.mp4"]


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].mp4", "a1.mp4")
    assert relpaths(tmp_path / "a[1].mp4") == ["a[1].mp4"]


# tables


def table(tmp_path: Path, text: str | bytes, name: str = "list.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_a_table_keeps_its_other_columns(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4")
    source = table(tmp_path, 'path,text,score\nv/a.mp4,"two\nlines, quoted",3\n/else/b.mp4,,\n')
    a, b = find_inputs(source)
    assert (a.path, a.relpath) == (str(tmp_path / "v/a.mp4"), "v/a.mp4")
    assert a.extra == {"text": "two\nlines, quoted", "score": "3"}
    assert (b.relpath, b.fingerprint, b.extra) == (
        "/else/b.mp4",
        ABSENT,
        {"text": None, "score": None},
    )


def test_a_path_listed_twice_is_one_input_and_counted(tmp_path: Path) -> None:
    report = Report()
    source = table(tmp_path, f"path\na.mp4\n./a.mp4\n{tmp_path}/a.mp4\nb.mp4\n")
    assert relpaths(source, report) == ["a.mp4", "b.mp4"]
    assert report.duplicates == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name\na.mp4\n", "no column path"),
        ("", "no column path"),
        ("path,text\n,x\n", "line 2: path is None"),
        ("path\na.mp4,too,many\n", "more cells"),
        ("path\na\0b.mp4\n", "line 2: path is"),
        (b"path,text\na.mp4,caf\xe9\n", "column text is not UTF-8"),
    ],
)
def test_wrong_tables_are_refused_with_the_line(
    text: str | bytes, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why):
        list(find_inputs(table(tmp_path, text)))


def test_a_table_may_start_with_a_byte_order_mark_and_name_files_that_are_not_utf8(
    tmp_path: Path,
) -> None:
    touch(tmp_path, os.fsdecode(b"caf\xe9.mp4"))
    (found,) = find_inputs(table(tmp_path, b"\xef\xbb\xbfpath\ncaf\xe9.mp4\n"))
    assert found.relpath == "caf%E9.mp4" and found.fingerprint != ABSENT


def test_only_line_ends_end_a_row(tmp_path: Path) -> None:
    (found,) = find_inputs(table(tmp_path, "path,text\r\na.mp4,one\u2028two\x0cthree\r\n"))
    assert found.extra == {"text": "one\u2028two\x0cthree"}


def test_parquet_values_are_safe_for_json(tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime.date(2026, 1, 2)
    columns = {
        "path": ["a.mp4", "s.mp4"],
        "aes": [4.5, float("nan")],
        "day": [day, None],
        "tags": [["x"], []],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    a, b = find_inputs(str(tmp_path / "list.parquet"))
    assert json.loads(json.dumps(a.extra)) == {"aes": 4.5, "day": "2026-01-02", "tags": ["x"]}
    assert b.extra == {"aes": None, "day": None, "tags": []}


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(find_inputs(table(tmp_path, b"not parquet at all", "list.parquet")))


def test_a_missing_table_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(NoInput):
        list(find_inputs(str(tmp_path / "list.csv")))


# URLs


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


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert [i.path for i in find_inputs(f"file://{tmp_path}")] == [str(tmp_path / "a.mp4")]


def test_unknown_and_uninstalled_protocols_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        list(find_inputs("nosuch://bucket/a"))
    with pytest.raises(PackageMissing, match="pip install"):
        list(find_inputs("gdrive://bucket/a"))


def test_pictures_are_told_by_their_extension() -> None:
    assert is_image("/a/B.JPG") and is_image("http://h/a.png?size=1.mp4") and not is_image("/a.mp4")
