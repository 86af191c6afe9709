"""The page Search in Chromium: a text typed, clips found, one opened by the keyboard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from curate.configs.settings import Settings
from curate.db import migrate
from curate.db.engine import make_engine
from curate.db.schema import embeddings
from curate.tasks.models.checkpoint import revision
from curate.tasks.models.embeddings import stored, unit
from curate.tasks.video.jpeg import JpegList
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from curate.view import text_tower
from tests import tiny
from tests.view.conftest import Rows, home_of, serving
from tests.view.test_browser import Gallery, Seen, tab

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"
CLIPS = 70
# in place of the text tower, which loads MindSpore: test_search.py has the real one
TOWER = """
import json, random, sys
for line in sys.stdin:
    drawn = random.Random(json.loads(line)["text"])
    values = [drawn.gauss(0, 1) for _ in range(int(sys.argv[2]))]
    print(json.dumps({"values": values, "revision": sys.argv[1]}), flush=True)
"""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Clips with embeddings, one in ten of them dropped, and the weights that made them."""
    settings = Settings(home=tmp_path_factory.mktemp("searched") / "home")
    folder = tiny.write_clip(settings.model_folder / tiny.CLIP)
    rows = Rows(make_engine(settings.database), settings)
    migrate.ensure(rows.engine)
    pets = rows.dataset("pets", ("probe", "split", "clip_embed"))
    video = rows.video(pets, f"{HOSTILE}.mp4")
    ids = [rows.clip(pets, video, n, status="kept" if n % 10 else "dropped") for n in range(CLIPS)]
    drawn = np.random.RandomState(0).standard_normal((CLIPS, tiny.DIM)).astype(np.float32)
    weights = revision(folder / "model.safetensors")
    made = {"model": tiny.CLIP, "revision": weights, "position": 0.5, "frame": 0}
    vectors = zip(ids, unit(drawn), strict=True)
    rows.insert(embeddings, *({**made, "clip_id": i, "vector": stored(v)} for i, v in vectors))
    rows.engine.dispose()
    jpegs = JpegList()
    picture = jpegs.add(0.0, cv2.imencode(".jpg", np.full((90, 160, 3), 99, np.uint8))[1].tobytes())
    with writing_samples(settings.samples, video, "1") as writer:
        for index in range(CLIPS):
            writer.write(index, Measures(4.0, [picture], [0], picture, [], []), jpegs)
    with pytest.MonkeyPatch.context() as patch, serving(home_of(settings)) as client:
        words = (sys.executable, "-c", TOWER, weights, str(tiny.DIM))
        patch.setattr(text_tower, "COMMAND", words)
        yield Gallery(client)


@pytest.fixture
def seen(browser: Any, gallery: Gallery, request: pytest.FixtureRequest) -> Iterator[Seen]:
    with tab(browser, gallery, getattr(request, "param", 1280)) as seen:
        yield seen


SHOWN = "document.querySelectorAll('.search .card').length"


def test_a_text_that_is_typed_finds_clips_and_the_keyboard_opens_one(seen: Seen) -> None:
    page = seen.show("search")
    assert page.locator("nav a[aria-current]").inner_text() == "Search"
    page.get_by_label("Clips that show").fill(f"a dog {HOSTILE}")
    page.keyboard.press("Enter")
    seen.until(f"{SHOWN} === 60")
    scores = [float(t.removeprefix("score ")) for t in page.locator(".says").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert HOSTILE in page.locator(".card .name").first.inner_text()
    page.get_by_role("button", name="More").click()
    seen.until(f"{SHOWN} === {CLIPS}")
    page.get_by_label("Status").select_option("dropped")
    seen.until(f"{SHOWN} === {CLIPS // 10}")
    assert "status=dropped" in page.url
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-ready=clip]")
    page.go_back()
    seen.until(f"{SHOWN} === {CLIPS // 10}")
    assert page.get_by_label("Clips that show").input_value() == f"a dog {HOSTILE}"


@pytest.mark.parametrize("seen", [390], indirect=True)
def test_what_it_finds_fits_a_narrow_window(seen: Seen) -> None:
    seen.show("search?text=a%20dog")
    seen.until(f"{SHOWN} === 60")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_status_without_clips_says_so(seen: Seen) -> None:
    page = seen.show("search?text=a%20dog&status=failed")
    seen.until("document.querySelector('.search .error') !== null")
    assert "No clip of dataset pets that is failed is embedded" in page.inner_text(".search .error")
    seen.wrong[:] = [text for text in seen.wrong if "400" not in text]
