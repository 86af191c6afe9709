"""The stage text_language: what language a clip's text is in, and which rank ours has."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.tasks.text_language import TextLanguage, TextLanguageOptions
from tests.pipelines import make_line
from tests.tasks.captioned import put_clip
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")


def test_a_text_in_another_language_is_dropped_by_its_rank(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, ["text_language", "english: text_lang_rank <= 5"])
    for words in (
        "A man in a red shirt walks down the street.",
        "Мужчина в красной рубашке идёт по улице.",
        "12 !",
    ):
        put_clip(line, stage="text_language")
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE clips SET text = :t WHERE text IS NULL"), {"t": words})
    run_all(line, "text_language")
    found = line.rows("SELECT text_lang, text_lang_rank, status FROM clips ORDER BY id")
    assert found[0] == ("en", 1, "kept")
    assert found[1][0] == "ru"
    assert found[1][1] > 5
    assert found[2] == (None, None, "dropped")
    assert [f[2] for f in found] == ["kept", "dropped", "dropped"]


def test_a_language_that_is_not_known_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="none of af"):
        TextLanguage.check(TextLanguageOptions(language="english"))
