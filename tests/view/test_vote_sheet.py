"""The page to vote on captions, in a browser: keys vote, and what is saved names no captioner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from curate.configs.row_errors import SamplesMissing
from curate.db.caption_pairs import CaptionPair, PairedCaption
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import Samples, writing_samples
from curate.view.vote_sheet import Sheet, write_sheet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</script><script>document.title = 'mine'</script>"


def sheet() -> Sheet:
    texts = [("a dog", "a cat"), (HOSTILE, "a bird"), ("a fish", "a cow")]
    pairs = [
        CaptionPair(n, PairedCaption(10 + n, a, None), PairedCaption(20 + n, b, None))
        for n, (a, b) in enumerate(texts, 1)
    ]
    return Sheet("pets", pairs, seed=1)


def samples_of(folder: Path, clip: int) -> Samples:
    """Pictures of the first clip; the others have none."""
    if clip > 1:
        raise SamplesMissing(path=str(folder))
    jpegs = JpegList()
    shown = jpegs.add(0.0, encode_jpeg(np.full((90, 640, 3), 128, np.uint8)))
    measures = Measures(4.0, [shown], [0], shown, [], [])
    with writing_samples(folder, 1, "1") as writer:
        writer.write(0, measures, jpegs)
    return Samples.open(folder, 1, 0, "1")


@pytest.mark.browser
def test_votes_by_keys_are_saved_as_a_file(browser: Browser, tmp_path: Path) -> None:
    page_file = tmp_path / "votes.html"
    write_sheet(sheet(), lambda clip: samples_of(tmp_path, clip), page_file)
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(page_file.as_uri())
    assert page.locator("#pictures img").count() == 1
    first = [page.locator(f"#{side}").inner_text() for side in ("left", "right")]
    assert sorted(first) == ["a cat", "a dog"]
    page.keyboard.press("1")
    assert HOSTILE in (page.locator("#left").inner_text(), page.locator("#right").inner_text())
    page.keyboard.press("2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    page.locator("#voter").fill("Ann")
    with page.expect_download() as download:
        page.locator("#save").click()
    saved = json.loads(Path(download.value.path()).read_text())
    ids = {"a dog": 11, "a cat": 21}
    assert saved["votes"][0] == {
        "clip": 1, "left": ids[first[0]], "right": ids[first[1]], "choice": "left",
    }  # fmt: skip
    assert [vote["choice"] for vote in saved["votes"]] == ["left", "neither"]
    assert (saved["dataset"], saved["voter"], page.title()) == ("pets", "Ann", "pets")
    assert wrong == []
    page.close()


def test_a_short_clip_shows_each_picture_once_and_a_damaged_one_none(tmp_path: Path) -> None:
    def damaged(clip: int) -> Samples:
        whole = samples_of(tmp_path / str(clip), 1)
        return whole if clip == 1 else Samples(tmp_path, whole.measures, b"no JPEG")

    write_sheet(sheet(), damaged, tmp_path / "votes.html")
    data = (tmp_path / "votes.html").read_text().split('id="data">')[1].split("</script>")[0]
    assert [len(pair["pictures"]) for pair in json.loads(data)["pairs"]] == [1, 0, 0]


def test_the_same_seed_puts_the_same_captions_on_the_left(tmp_path: Path) -> None:
    def lefts(name: str, seed: int) -> list[int]:
        file = tmp_path / name
        write_sheet(Sheet("pets", sheet().pairs * 5, seed), lambda c: samples_of(tmp_path, 2), file)
        data = file.read_text().split('id="data">')[1].split("</script>")[0]
        return [pair["left"] for pair in json.loads(data)["pairs"]]

    assert lefts("a.html", 1) == lefts("b.html", 1) != lefts("c.html", 2)
