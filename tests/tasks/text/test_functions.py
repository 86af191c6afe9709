"""Counting, languages, what is added to a text, and captions that lie beside a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from curate.configs.errors import BadModel, BadSidecar, NotAFile
from curate.tasks.text import extras, language, measure
from curate.tasks.text.sidecar import read_sidecar, sidecar_path

SCORES = [("aesthetic score", 5.06), ("motion score", 2.0)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n ", 0),
        ("A dog runs.", 3),
        ("a - b", 2),
        ("it's 5:30", 2),
        ("一只狗 runs", 4),
        ("... ?!", 0),
        ("ｶﾞﾝ", 2),
    ],
)
def test_words_are_counted(text: str, count: int) -> None:
    assert measure.words(text) == count


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see http://x.y", True),
        ("HTTPS://A", True),
        ("at www.shop.com", True),
        ("www. is a word", False),
        ("hill.it is", False),
        ("", False),
    ],
)
def test_urls_are_seen(text: str, found: bool) -> None:
    assert measure.has_url(text) is found


def test_tokens_are_counted_without_a_cut(tmp_path: Path) -> None:
    from curate.tasks.models.words import tokenizer

    made = tokenizer([])
    made.enable_truncation(5)
    made.save(str(tmp_path / "tokenizer.json"))
    assert (
        measure.TokenCounter(tmp_path).count("abc def") == 6 + 2
    )  # a token a letter, and the two ends


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BadModel, match=r"tokenizer\.json"):
        measure.TokenCounter(tmp_path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A man in a red shirt walks down the street while cars pass by.", "en"),
        ("Ein Mann im roten Hemd geht die Straße entlang.", "de"),
        ("一只狗在海滩上奔跑。", "zh"),
        ("Мужчина в красной рубашке идёт по улице.", "ru"),
    ],
)
def test_languages_are_told(text: str, code: str) -> None:
    assert language.languages(text)[0] == code
    assert {"en", "zh"} <= language.known()


@pytest.mark.parametrize("text", ["", "123 !?", "\n"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert language.languages(text) == []


def test_camera_motion_is_added_and_an_unknown_one_is_not() -> None:
    assert extras.with_motion("A dog.", "pan_left") == "A dog. Camera motion: pan left."
    assert extras.with_motion("A dog.", "Zoom_In") == "A dog. Camera motion: zoom in."
    for label in ("pan_left+tilt_up", "dolly", "", None):
        assert extras.with_motion("A dog.", label) == "A dog."


def test_scores_are_added_by_chance_that_depends_on_the_key_only() -> None:
    made = {key: extras.with_scores("A dog.", SCORES, str(key)) for key in range(2000)}
    assert made[7] == extras.with_scores("A dog.", SCORES, "7")
    both = sum("aesthetic score: 5.1, motion score: 2.0]" in text for text in made.values())
    none = sum(text == "A dog." for text in made.values())
    assert 0.60 < both / 2000 < 0.68  # .8 * .8
    assert 0.02 < none / 2000 < 0.06  # .2 * .2
    assert extras.with_scores("A dog.", [("aesthetic score", None)], "7", 1) == "A dog."


def test_another_process_chooses_the_same() -> None:
    script = "from curate.tasks.text.extras import with_scores; import sys, json;"
    script += (
        "print(json.dumps([with_scores('', json.loads(sys.argv[1]), str(k)) for k in range(50)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(SCORES)], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [extras.with_scores("", SCORES, str(k)) for k in range(50)]


def test_a_text_is_added() -> None:
    assert extras.with_text("A dog.", " High quality. ") == "A dog. High quality."
    assert extras.with_text("A dog.", " ") == "A dog."


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("/v/a.mp4", "/v/a.json"),
        ("/v.1/part.2/a.b.mp4", "/v.1/part.2/a.b.json"),
        ("/v.1/a", "/v.1/a.json"),
        ("/v/.hidden", "/v/.hidden.json"),
        ("http://h.x/v/a.mp4?key=1.2", "http://h.x/v/a.json?key=1.2"),
    ],
)
def test_the_name_beside_a_file_has_another_ending(path: str, beside: str) -> None:
    assert sidecar_path(path, ".json") == beside


def test_captions_are_read_from_beside(tmp_path: Path) -> None:
    folder = tmp_path / "v.1"
    folder.mkdir()
    media = str(folder / "a.b.mp4")
    assert read_sidecar(media, ".json", "caption") is None
    (folder / "a.b.json").write_text(json.dumps({"caption": " Ein Hund läuft. "}), encoding="utf-8")
    (folder / "a.b.txt").write_text("\ufeffA dog\n", encoding="utf-8")
    assert read_sidecar(media, ".json", "caption") == "Ein Hund läuft."
    assert read_sidecar(media, ".txt", "caption") == "A dog"
    (folder / "a.b.json").write_text(json.dumps({"caption": ["one", "two"]}))
    assert read_sidecar(media, ".json", "caption") == "one"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"text": "a"}', "no text under 'caption'"),
        (b'{"caption": 5}', "no text under"),
        (b'["a"]', "no text under"),
        (b"{", "no json"),
        (b'{"caption": "\xff"}', "no json"),
        (b'{"caption": " "}', "is empty"),
        (b"[" * 100_000, "no json"),
    ],
)
def test_a_file_without_a_caption_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadSidecar, match=why):
        read_sidecar(str(tmp_path / "a.mp4"), ".json", "caption")


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(NotAFile):
        read_sidecar(str(tmp_path / "a.mp4"), ".json", "caption")
