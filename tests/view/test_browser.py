"""The pages in a real browser: what they show, what they ask for, and what the keyboard does."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from curate.db.schema import captions, rewrites
from curate.tasks.inputs.files import fingerprint_now
from tests.drawing import picture
from tests.media import CLOSED, write_video
from tests.pipelines import wait_until
from tests.view.conftest import Client, Rows, served
from tests.view.test_media import write_samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
CAPTION = "</script><script>alert(2)</script> \u202egpj"
DROPPED = {"status": "dropped", "reason": "moving", "stage": "cut", "flow": 0.25, "static": 0.125}


@dataclass
class Gallery:
    """Pages over a dataset with a clip of each kind, by name."""

    client: Client
    clips: dict[str, int] = field(default_factory=dict)


def fill(rows: Rows, folder: Path) -> dict[str, int]:
    """A kept clip, dropped ones of an MP4 and an AVI, a copy, and two rows that failed."""
    pets = rows.dataset("pets")
    frames = [picture(n, size=(320, 192)) for n in range(96)]
    found = {}
    for name, encoding in (
        ("film.mp4", CLOSED),
        (f"{HOSTILE}.mp4", CLOSED),
        ("old.avi", replace(CLOSED, codec="mpeg4", options={})),
    ):
        path = folder / name
        if encoding is CLOSED and found:  # the same film once more
            path.write_bytes((folder / "film.mp4").read_bytes())
        else:
            write_video(path, frames, encoding)
        number = fingerprint_now(str(path))
        codec = "mpeg4" if name.endswith("avi") else "h264"
        video = rows.video(
            pets, name, path=str(path), codec=codec, fingerprint=number, time_jumps=0
        )
        write_samples(rows.settings.samples, video, number)
        for index, kind in ((0, "kept"), (1, "dropped")):
            clip = {"start_seconds": 2.0 * index, "end_seconds": 2.0 * index + 2, "duplicate": 0}
            values: dict[str, Any] = {"path": str(path), "flow": 2.5, "static": 0.0}
            if kind == "dropped" or name.endswith("avi"):
                values = DROPPED
            found[f"{kind} {name}"] = rows.clip(pets, video, index, **clip, **values)
    rows.run(
        "UPDATE clips SET duplicate = 1, duplicate_of = :of, duplicate_distance = 3, "
        "reason = 'unique', stage = 'motion' WHERE id = :id",
        of=found["kept film.mp4"], id=found["dropped old.avi"],
    )  # fmt: skip
    row = {"model": "m", "revision": "r", "prompt": "p", "created_at": 1.0, "text_raw": CAPTION}
    rows.insert(captions, {**row, "clip_id": found["kept film.mp4"], "match": 0.5})
    text = {"variant": "v", "text": CAPTION, "drift": 0.5, "added": json.dumps([CAPTION])}
    same = {name: row[name] for name in ("model", "revision", "prompt", "created_at")}
    rows.insert(rewrites, {**same, **text, "clip_id": found["kept film.mp4"]})
    error = {"status": "failed", "stage": "probe", "reason": "EmptyFile"}
    rows.video(pets, "empty.mp4", error=f"/v/{HOSTILE} is empty. Copy it again", **error)
    return found


@pytest.fixture(scope="module")
def gallery(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    folder = tmp_path_factory.mktemp("gallery")
    shutil.copy(_migrated_sqlite, folder / "test.db")
    with served(f"sqlite:///{folder / 'test.db'}", folder / "home") as pages:
        yield Gallery(pages.client, fill(pages.rows, folder))


@dataclass
class Seen:
    """A tab, and what went wrong in it."""

    page: Page
    base: str
    wrong: list[str] = field(default_factory=list)

    def show(self, name: str) -> Page:
        """Go to a page and wait until it is there."""
        self.page.evaluate(
            "name => { delete document.body.dataset.ready; location.hash = name; }", name
        )
        self.page.wait_for_selector("body[data-ready]")
        return self.page

    def until(self, expression: str) -> None:
        """Wait until JavaScript says so; playwright's own way evaluates text in the page, which
        its policy forbids.
        """
        wait_until(lambda: self.page.evaluate(expression))


@contextlib.contextmanager
def tab(
    browser: Browser, gallery: Gallery, width: int = 1280, scheme: Any = "light"
) -> Iterator[Seen]:
    """A tab that was let in. At its end nothing may have gone wrong in it."""
    client = gallery.client
    base = f"http://127.0.0.1:{client.port}"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    seen = Seen(context.new_page(), base)
    page, wrong = seen.page, seen.wrong
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda r: None if r.url.startswith((base, "data:")) else wrong.append(r.url))
    page.goto(f"{base}/?token={client.access.token}")
    page.wait_for_selector("body[data-ready]")
    yield seen
    context.close()
    assert wrong == []


@pytest.fixture
def seen(browser: Browser, gallery: Gallery) -> Iterator[Seen]:
    with tab(browser, gallery) as seen:
        yield seen


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_fits_and_asks_nobody_else(
    width: int, scheme: str, browser: Browser, gallery: Gallery
) -> None:
    with tab(browser, gallery, width, scheme) as seen:
        clips = [f"clip?id={clip}" for clip in gallery.clips.values()]
        for name in ("funnel", "scores", "clips", "failed", "search", *clips):
            page = seen.show(name)
            assert not page.query_selector(".error"), name
            assert page.query_selector("h1, h2"), name
            assert (name, page.evaluate("document.documentElement.scrollWidth")) == (name, width)


def test_the_token_does_not_stay_in_the_address(seen: Seen) -> None:
    assert "token" not in seen.page.url
    seen.page.reload()
    seen.page.wait_for_selector("body[data-ready]")


def test_a_kept_clip_plays_and_is_sought_in(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips['kept film.mp4']}")
    assert page.evaluate("document.querySelector('video').src").endswith(
        f"/media/clip/{gallery.clips['kept film.mp4']}"
    )
    page.evaluate(
        """async () => {
            const video = document.querySelector('video');
            video.muted = true;
            await video.play();
            await new Promise((done) => {
                video.addEventListener('seeked', done, { once: true });
                video.currentTime = 3;
            });
        }"""
    )
    assert page.evaluate("document.querySelector('video').currentTime") >= 3


def test_a_dropped_clip_plays_from_its_source(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips['dropped film.mp4']}")
    assert page.evaluate("document.querySelector('video').src").endswith("#t=2,4")
    seen.until("document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(2, abs=0.1)


def test_what_no_browser_plays_is_a_film_strip(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips['kept old.avi']}")
    assert page.query_selector("video") is None
    shown = page.locator(".strip img")
    assert shown.count() == 3
    seen.until("[...document.querySelectorAll('.strip img')].every((i) => i.naturalWidth)")


def test_texts_of_rows_are_texts(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips[f'kept {HOSTILE}.mp4']}")
    assert HOSTILE in page.inner_text("h1")
    page = seen.show(f"clip?id={gallery.clips['kept film.mp4']}")
    assert "</script><script>alert(2)</script>" in page.inner_text(".caption")
    rewritten = page.locator("[aria-label=Rewritten]").inner_text()
    assert rewritten.count("</script><script>alert(2)</script>") == 2
    page = seen.show("failed")
    assert HOSTILE in page.inner_text(".kind")
    assert page.query_selector('img[src="x"]') is None
    page.wait_for_timeout(100)


def test_duplicates_stand_side_by_side(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips['dropped old.avi']}")
    pair = page.locator(".pair")
    assert "copy of the other" in pair.inner_text() and "3 of 64 bits" in pair.inner_text()
    assert pair.locator(".card").count() == 2
    assert "unique" in pair.locator("table").inner_text()


def test_the_ledger_says_why_and_what_brings_it_back(seen: Seen, gallery: Gallery) -> None:
    page = seen.show(f"clip?id={gallery.clips['dropped film.mp4']}")
    text = page.inner_text("main")
    assert "flow >= 0.5" in text and "fails" in text
    assert "refilter pets --set" in text
    assert f"pick keep {gallery.clips['dropped film.mp4']}" in text


def test_a_list_is_chosen_and_sorted_and_the_address_says_so(seen: Seen) -> None:
    page = seen.show("clips")
    assert page.locator(".card").count() == 6
    page.get_by_label("Status").select_option("dropped")
    seen.until("document.querySelectorAll('.card').length === 4")
    page.get_by_label("Reason").select_option("unique")
    seen.until("document.querySelectorAll('.card').length === 1")
    assert "status=dropped" in page.url and "reason=unique" in page.url
    page.get_by_label("Status").select_option("")
    page.get_by_label("Reason").select_option("")
    page.get_by_label("Sort by").select_option("flow")
    page.get_by_label("Order").select_option("desc")
    seen.until("document.querySelector('.card .says')?.textContent === 'flow 2.5'")
    page.get_by_label("Caption or path").fill("old.avi")
    page.keyboard.press("Enter")
    seen.until("document.querySelectorAll('.card').length === 2")


def test_the_keyboard_goes_through_the_grid_and_opens_a_clip(seen: Seen) -> None:
    page = seen.show("clips")
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    at = "[...document.querySelectorAll('.card')].indexOf(document.activeElement)"
    assert page.evaluate(at) == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-ready=clip]")
    page.go_back()
    page.wait_for_selector("body[data-ready=clips]")


def test_pointing_at_a_clip_runs_through_its_pictures(seen: Seen) -> None:
    page = seen.show("clips")
    page.locator(".card").first.hover()
    seen.until("document.querySelector('.card img').src.endsWith('/1')")
    page.mouse.move(0, 0)
    seen.until("document.querySelector('.card img').src.endsWith('/middle')")


def test_what_failed_has_advice_and_a_command(seen: Seen) -> None:
    page = seen.show("failed")
    text = page.inner_text(".kind")
    assert "EmptyFile in probe: 1 video" in text and "Copy it again" in text
    assert "retry pets --stage probe --error EmptyFile" in text
    page.locator("summary").click()
    page.wait_for_selector(".rows li")
    assert "empty.mp4" in page.inner_text(".rows")


def test_a_search_that_cannot_be_says_what_to_type(seen: Seen) -> None:
    page = seen.show("clips")
    assert page.locator("nav a").all_inner_texts() == ["Funnel", "Scores", "Clips", "Failed"]
    page.get_by_text("What a search by what clips show takes").click()
    page.wait_for_selector("body[data-ready=search]")
    assert "--config scores.yaml --name NEW" in page.inner_text(".command")
