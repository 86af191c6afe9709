"""Tells the language of a clip's text: the stage `text_language`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from curate.configs.errors import ConfigError
from curate.configs.schema import Column, StageOptions
from curate.tasks.stage import Clip, Scorer, Scores
from curate.tasks.text.language import check_installed, known, languages


class TextLanguageOptions(StageOptions):
    """Options of `text_language`."""

    batch_size: int = Field(1024, ge=1, le=4096, description="rows claimed by one task")
    language: str = Field(
        "en", description="the wanted language, an ISO 639-1 code, whose rank is text_lang_rank"
    )


class TextLanguage(Scorer[TextLanguageOptions]):
    """The likeliest language of `text`, by py3langid.

    It is often wrong about short texts: filter by text_lang_rank <= 5.
    """

    name = "text_language"
    Options = TextLanguageOptions
    columns = {
        "text_lang": Column(
            "text", "ISO 639-1 code of the likeliest language; NULL for a text without letters"
        ),
        "text_lang_rank": Column(
            "int", "place of the wanted language among the likely ones; 1: the likeliest", 1, 97
        ),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without py3langid, ConfigError for a language it does not know."""
        check_installed()
        if options.language not in known():
            why = f"language {options.language} is none of {', '.join(sorted(known()))}"
            raise ConfigError(source="of stage text_language", why=why)

    def score(self, clip: Clip) -> Scores:
        """The likeliest language of the text, and the rank of the wanted one."""
        codes = languages(str(clip["text"] or ""))
        if not codes:
            return {"text_lang": None, "text_lang_rank": None}
        return {"text_lang": codes[0], "text_lang_rank": codes.index(self.options.language) + 1}
