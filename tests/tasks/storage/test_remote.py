"""Files in an object store: read by ranges, written in one go, failures told as what they are."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import s3fs
from fsspec.registry import get_filesystem_class, known_implementations

from curate.configs.errors import (
    BucketMissing,
    CurateError,
    PackageMissing,
    ServiceError,
    StoreRefused,
)
from curate.configs.packages import store_package
from curate.configs.row_errors import Unreadable
from curate.tasks.storage.locations import replacing
from curate.tasks.storage.remote import BLOCKS, RemoteFile, check_writable, file_system, upload
from curate.tasks.video import decode as reader
from tests import media
from tests.conftest import use_s3
from tests.servers import S3, free_ports

CONTENT = random.Random(4).randbytes(1_000_000)


def put(url: str, content: bytes) -> str:
    system, path = file_system(url)
    system.pipe_file(path, content)
    return url


def names(url: str) -> list[str]:
    system, path = file_system(url)
    system.invalidate_cache()
    return [name.removeprefix(f"{path}/") for name in system.find(path) if name != path]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each answer to a request for content; the requests go through."""
    sizes: list[int] = []
    ask = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **options: Any) -> Any:
        answer = await ask(self, method, *args, **options)
        if method == "get_object":
            sizes.append(answer["ContentLength"])
        return answer

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return sizes


def test_seeks_and_reads_give_what_a_local_file_gives(s3_url: str) -> None:
    draw = random.Random(7)
    with RemoteFile(put(f"{s3_url}/a", CONTENT), block_bytes=50_000) as file:
        for _ in range(60):
            place, size = draw.randrange(len(CONTENT)), draw.randrange(1, 120_000)
            assert file.seek(place) == place
            assert file.read(size) == CONTENT[place : place + size]
        assert file.seek(0, 2) == file.tell() == len(CONTENT)
        assert file.read(10) == b""


def test_one_pass_fetches_every_byte_once(s3_url: str, fetched: list[int]) -> None:
    with RemoteFile(put(f"{s3_url}/a", CONTENT), block_bytes=64_000) as file:
        while file.read(3_000):
            pass
    assert sum(fetched) == len(CONTENT)
    assert len(fetched) == -(-len(CONTENT) // 64_000)


def test_a_jump_to_the_end_and_back_fetches_nothing_twice(s3_url: str, fetched: list[int]) -> None:
    with RemoteFile(put(f"{s3_url}/a", CONTENT), block_bytes=64_000) as file:
        for place in (0, 990_000, 10, 60_000, 999_000):
            file.seek(place)
            file.read(100)
    assert len(fetched) == 2 and BLOCKS >= 2


def test_a_video_in_the_store_decodes_as_the_local_one(s3_url: str, tmp_path: Path) -> None:
    drawn = media.draw("closed", tmp_path)
    url = put(f"{s3_url}/closed.mp4", drawn.path.read_bytes())
    with reader.open_media(url) as container:
        frames = reader.decode(container, reader.video_stream(container))
        assert [media.frame_number(f.to_ndarray(format="rgb24")) for f in frames] == drawn.numbers


def test_a_file_that_is_not_there_is_its_rows_fault(s3_url: str) -> None:
    with (
        pytest.raises(Unreadable, match="there is no such file"),
        reader.open_file(f"{s3_url}/none.mp4"),
    ):
        pass
    with pytest.raises(Unreadable, match="none"), reader.open_file("s3://no-such-bucket/none.mp4"):
        pass


def test_a_file_deleted_while_it_is_read_is_its_rows_fault(s3_url: str) -> None:
    url = put(f"{s3_url}/a", CONTENT)
    system, path = file_system(url)
    with pytest.raises(Unreadable), RemoteFile(url, block_bytes=64_000) as file:
        file.read(10)
        system.rm_file(path)
        file.seek(900_000)
        file.read(10)


@pytest.mark.parametrize(
    "wrong", [{"AWS_SECRET_ACCESS_KEY": "gelogen"}, {"AWS_ACCESS_KEY_ID": "nobody"}, {}]
)
def test_wrong_credentials_are_no_rows_fault_and_say_what_to_set(
    s3: S3, s3_url: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], tmp_path: Path
) -> None:
    put(f"{s3_url}/a", CONTENT)
    right = s3.environment
    monkeypatch.setenv("HOME", str(tmp_path))  # no credentials of the developer's
    use_s3(
        monkeypatch, right | wrong if wrong else {k: v for k, v in right.items() if "KEY" not in k}
    )
    local = tmp_path / "a"
    local.write_bytes(b"a")
    for attempt in (lambda: RemoteFile(f"{s3_url}/a"), lambda: upload(local, f"{s3_url}/b")):
        with pytest.raises(StoreRefused, match="AWS_ACCESS_KEY_ID") as caught:
            attempt()
        assert "gelogen" not in str(caught.value) and s3.secret not in str(caught.value)
    use_s3(monkeypatch, right)
    assert names(s3_url) == ["a"]


def test_a_store_that_does_not_answer_is_no_rows_fault(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_s3(
        monkeypatch, s3.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    )
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # its waiting is not what is tested
    local = tmp_path / "a"
    local.write_bytes(b"a")
    for attempt in (lambda: RemoteFile("s3://tests/a"), lambda: upload(local, "s3://tests/a")):
        with pytest.raises(ServiceError, match="s3://tests is not available"):
            attempt()


def test_a_missing_bucket_is_told_with_the_command_that_makes_it(s3: S3, tmp_path: Path) -> None:
    with pytest.raises(BucketMissing, match="aws s3 mb s3://no-such-bucket"):
        check_writable("s3://no-such-bucket/clips")
    system, _ = file_system("s3://no-such-bucket")
    assert not system.exists("no-such-bucket"), "never made behind one's back"


def test_the_check_leaves_nothing(s3_url: str) -> None:
    check_writable(s3_url)
    assert names(s3_url) == []


@contextmanager
def cut_after(server: S3, limit: int) -> Iterator[str]:
    """The endpoint of a connection to the server that breaks after some bytes of each request."""

    def forward(source: socket.socket, target: socket.socket, left: int) -> None:
        while left > 0 and (part := source.recv(min(left, 65_536))):
            target.sendall(part)
            left -= len(part)
        for each in (source, target):
            with closing(each):
                each.close()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", server.ports[0]))
            for pair in ((client, upstream, limit), (upstream, client, 1 << 40)):
                threading.Thread(target=_quietly, args=(forward, pair), daemon=True).start()

    def _quietly(call: Any, words: tuple[Any, ...]) -> None:
        with suppress(OSError):
            call(*words)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_upload_that_breaks_off_leaves_nothing_under_the_name(
    s3: S3, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with cut_after(s3, 500_000) as endpoint:
        use_s3(monkeypatch, s3.environment | {"AWS_ENDPOINT_URL": endpoint})
        with pytest.raises(ServiceError), replacing(f"{s3_url}/a.mp4") as temporary:
            temporary.write_bytes(CONTENT)
        with replacing(f"{s3_url}/small.mp4") as temporary:
            temporary.write_bytes(b"small enough")
    use_s3(monkeypatch, s3.environment)
    assert names(s3_url) == ["small.mp4"]


def test_what_was_there_is_replaced_whole_or_not_at_all(s3_url: str) -> None:
    url = put(f"{s3_url}/a.mp4", b"before")
    with pytest.raises(RuntimeError), replacing(url) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert RemoteFile(url).read() == b"before"
    with replacing(url) as temporary:
        temporary.write_bytes(b"after")
    assert RemoteFile(url).read() == b"after"
    assert not temporary.parent.exists()


def test_a_store_with_folders_gets_them_and_a_file_is_renamed_into_place(tmp_path: Path) -> None:
    with replacing(f"local://{tmp_path}/new/a.mp4") as temporary:
        temporary.write_bytes(CONTENT)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.mp4"]
    assert (tmp_path / "new" / "a.mp4").read_bytes() == CONTENT


def test_a_host_named_by_the_url_itself_is_its_rows_fault() -> None:
    with pytest.raises(Unreadable, match=r"cannot be opened: .*onnect"):
        RemoteFile(f"http://127.0.0.1:{free_ports(1)[0]}/a.mp4")


def not_importable() -> list[str]:
    names = []
    for name in known_implementations:
        try:
            get_filesystem_class(name)
        except ImportError:
            names.append(name)
    return names


@pytest.mark.parametrize("name", not_importable())
def test_advice_names_only_a_package_of_our_own_table(name: str) -> None:
    """What fsspec says names a package only to people: HTTPFileSystem, SMB, the, Jupyter."""
    with pytest.raises(ServiceError) as caught:
        file_system(f"{name}://host/a.mp4")
    advised = re.search(r"pip install '?([\w-]+)", str(caught.value))
    assert (advised[1] if advised else None) == store_package(name)


def test_http_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None; "
        "from curate.tasks.storage.remote import file_system; file_system('{url}')"
    )
    for url in ("https://host/a.mp4", "simplecache::http://host/a.mp4", "zip://a::http://host/b"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(url=url)], capture_output=True, text=True
        )
        assert "needs the package aiohttp" in done.stderr, done.stderr
        assert "pip install 'aiohttp>=3.9'" in done.stderr


def test_a_package_that_does_not_work_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gcsfs.py").write_text("raise ImportError('needs another numpy')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ServiceError, match=r"by the package gcsfs,.*needs another numpy") as caught:
        file_system("gs://bucket/a.mp4")
    assert not isinstance(caught.value, PackageMissing)


def test_a_protocol_that_needs_a_package_names_it() -> None:
    with pytest.raises(CurateError, match="pip install gcsfs"):
        check_writable("gs://bucket/clips")
    with pytest.raises(CurateError, match=r"nonsense.*curate knows.*https, s3"):
        check_writable("nonsense://bucket/clips")
