"""Who is let in, and what is never answered."""

from __future__ import annotations

import json
import math

import pytest

from curate.view.security import Access, json_text
from tests.view.conftest import Client

PATHS = ("/", "/api/home", "/static/app.js", "/media/clip/1", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_nothing_is_shown(path: str, guarded: Client) -> None:
    answer = guarded.get(path, Cookie=None)
    assert answer.status == 403
    assert "token" in answer.json["error"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[::2]:1"])
def test_a_foreign_host_is_refused(path: str, host: str, guarded: Client) -> None:
    assert guarded.get(path, Host=host).status in (400, 403)


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1"])
def test_each_name_of_this_host_is_answered(host: str, guarded: Client) -> None:
    assert guarded.get("/api/home", Host=host).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_what_could_change_something_is_no_method(method: str, path: str, guarded: Client) -> None:
    assert guarded.get(path, method).status == 405


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_asks_for_is_refused(site: str, guarded: Client) -> None:
    assert guarded.get("/api/home", Sec_Fetch_Site=site).status == 403


def test_the_token_becomes_a_cookie_that_scripts_cannot_read(guarded: Client) -> None:
    answer = guarded.get(
        f"/?token={guarded.access.token}", Cookie=None, Sec_Fetch_Site="cross-site"
    )
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"curate_view={guarded.access.token};")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert guarded.get("/", Cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize("token", ["x", "%00", "%C3%A9", "a" * 9000])
def test_a_wrong_token_opens_nothing(token: str, guarded: Client) -> None:
    answer = guarded.get(f"/?token={token}", Cookie=None)
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)


def test_a_token_is_for_the_first_page_alone(guarded: Client) -> None:
    assert guarded.get(f"/api/home?token={guarded.access.token}", Cookie=None).status == 403


def test_what_the_command_line_of_the_browser_shows_is_good_once(guarded: Client) -> None:
    url = f"/?token={guarded.access.token_for_once}"
    assert guarded.get(url, Cookie=None).status == 200
    assert guarded.get(url, Cookie=None).status == 403
    assert guarded.get("/?token=", Cookie=None).status == 403


def test_tokens_cannot_be_guessed() -> None:
    tokens = {t for a in (Access((), ""), Access((), "")) for t in (a.token, a.token_for_once)}
    assert len(tokens) == 4
    assert all(len(t) >= 43 for t in tokens)


@pytest.mark.parametrize("path", [*PATHS, "/api/home?dataset=no", "/static/../server.py"])
@pytest.mark.parametrize("cookie", ["", None])
def test_every_answer_has_the_headers(path: str, cookie: str | None, guarded: Client) -> None:
    headers = (
        guarded.get(path).headers if cookie == "" else guarded.get(path, Cookie=cookie).headers
    )
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Server" not in headers and "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py",
        "/static//etc/passwd", "/static/vendor/../../server.py", "/static/app.js%00.css",
        "/static/index.html", "//etc/passwd", "/..", "/static/",
    ],
)  # fmt: skip
def test_only_scripts_and_styles_are_assets(path: str, guarded: Client) -> None:
    assert guarded.get(path).status == 404


def test_a_page_as_head(guarded: Client) -> None:
    answer, whole = guarded.get("/api/home", "HEAD"), guarded.get("/api/home")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(whole.body)


def test_json_may_stand_in_a_page() -> None:
    value = {"a": "</script><!--", "b": [math.nan, math.inf, 1.5], "c": None}
    text = json_text(value)
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": [None, None, 1.5], "c": None}
