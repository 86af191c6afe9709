"""Languages of texts."""

from __future__ import annotations

import pytest

from curate.tasks.text import language


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
