"""The page Scores in Chromium, served and as a file: thresholds dragged, typed, moved by keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from curate.tasks.video.jpeg import JpegList
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from curate.view.report import write_report
from tests.view.conftest import Served, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
NAME = "<img src=x onerror=alert(1)></script>\u202egpj.mp4"
Show = Callable[..., Any]


@pytest.fixture(scope="module")
def pages(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Six clips of a video with a hostile name; `moving` dropped the two with the least flow."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copy(_migrated_sqlite, folder / "test.db")
    with served(f"sqlite:///{folder / 'test.db'}", folder / "home") as pages:
        rows = pages.rows
        dataset = rows.dataset()
        video = rows.video(dataset, NAME)
        jpegs = JpegList()
        jpeg = cv2.imencode(".jpg", np.full((90, 160, 3), 99, np.uint8))[1].tobytes()
        picture = jpegs.add(0.0, jpeg)
        with writing_samples(rows.settings.samples, video, "1") as writer:
            low = {"stage": "cut", "status": "dropped", "reason": "moving"}
            for index, flow in enumerate((0.1, 0.25, 0.5, 0.75, 1.0, 2.0)):
                dropped = low if flow < 0.5 else {}
                rows.clip(dataset, video, index, duplicate=0, flow=flow, static=0.25, **dropped)
                writer.write(index, Measures(4.0, [picture], [0], picture, [], []), jpegs)
        yield pages


@pytest.fixture(scope="module")
def report(pages: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the page Scores of the report in one file."""
    target = tmp_path_factory.mktemp("report") / "report.html"
    write_report(pages.client.home, target)
    return f"{target.as_uri()}#scores"


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens a URL in a window of a width; what went wrong in it ends the test."""
    wrong: list[str] = []
    with ExitStack() as contexts:

        def opened(url: str, width: int = 1280, cookie: Any = None) -> Any:
            context = browser.new_context(viewport={"width": width, "height": 900})
            contexts.callback(context.close)
            if cookie:
                context.add_cookies([cookie])
            page = context.new_page()
            page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
            own = (url.partition("#")[0], "data:", "http://127.0.0.1")
            page.on(
                "request",
                lambda r: None if r.url.startswith(own) else wrong.append(f"asked {r.url}"),
            )
            page.goto(url)
            page.wait_for_selector("body[data-ready=scores]")
            page.wait_for_selector("[role=slider]")
            return page

        yield opened
    assert wrong == []


@pytest.fixture(params=["served", "file"])
def scores(request: pytest.FixtureRequest, pages: Served, report: str, show: Show) -> Any:
    """The page Scores: as a server shows it, and out of the report."""
    if request.param == "file":
        return show(report)
    client = pages.client
    url = f"http://127.0.0.1:{client.port}/"
    cookie = {"name": client.access.cookie, "value": client.access.token, "url": url}
    return show(f"{url}#scores", cookie=cookie)


def says(page: Any, text: str) -> None:
    """Wait until the summary says so."""
    page.locator(".summary", has_text=text).wait_for(timeout=10_000)


def test_a_typed_threshold_tells_what_it_costs_and_the_command(scores: Any) -> None:
    says(scores, "Clips that go on: 4 → 4")
    field = scores.get_by_label("flow >=, threshold of moving")
    field.fill("0.25")
    field.press("Enter")
    says(scores, "1 come back, of which 1 still have stages to go through")
    command = scores.get_by_label("Command that applies it").inner_text()
    assert "refilter pets --set 'moving.where=flow >= 0.25 AND static <= 0.5'" in command
    back = scores.locator(".changed section", has_text="Would come back").locator("a.card")
    back.first.wait_for()
    assert back.count() == 1
    assert "onerror" in back.first.inner_text() and "\u202e" not in back.first.inner_text()
    scores.get_by_role("button", name="Put all back").click()
    says(scores, "Clips that go on: 4 → 4")


def test_keys_and_the_mouse_move_a_threshold(scores: Any) -> None:
    handle = scores.get_by_role("slider").first
    handle.focus()
    handle.press("End")
    says(scores, "Clips that go on: 4 → 1")
    handle.press("Home")
    says(scores, "2 come back")
    box = scores.locator(".u-over.movable").first.bounding_box()
    scores.mouse.move(box["x"] + 2, box["y"] + 20)
    scores.mouse.down()
    scores.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20, steps=8)
    scores.mouse.up()
    says(scores, "Clips that go on: 4 → 1")


def test_a_filter_is_switched_off(scores: Any) -> None:
    scores.get_by_label("use this filter of clips").nth(1).uncheck()
    says(scores, "2 come back")
    command = scores.get_by_label("Command that applies it").inner_text()
    assert command.endswith("--set moving.enabled=false")


def test_it_fits_a_narrow_window(report: str, show: Show) -> None:
    page = show(report, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
