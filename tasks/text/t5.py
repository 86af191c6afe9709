"""`clean: t5`: the 38 rules that cleaned the captions of published training sets.

They run in the published order, defects included: they lower the case, remove Chinese characters
and parts of words ("epsom" becomes "om"). Use them only to get the same text as in such a set, and
`curate.tasks.text.safe` otherwise. The module imports ftfy, so stages import it only when they
load.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import unquote_plus

import ftfy

from curate.tasks.text.html_text import html_text

Rule = Callable[[str], str]

_HOST = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
_DIGIT = r"\d"
_FILE_TYPES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"
_CJK = "\u31c0-\u31ef\u31f0-\u31ff\u3200-\u32ff\u3300-\u33ff\u3400-\u4dbf\u4dc0-\u4dff\u4e00-\u9fff"
# Unicode's category Pd, which has no minus sign; the hyphen is first, where it stands for itself
_DASHES = (
    "\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d"
)


def _sub(pattern: str, by: str = "", needs: str = "") -> Rule:
    """A rule that replaces a pattern. Every match holds `needs`: a text without it is skipped."""
    replaced = re.compile(pattern).sub
    if needs == _DIGIT:
        has_digit = re.compile(needs).search
        return lambda text: replaced(by, text) if has_digit(text) else text
    return lambda text: replaced(by, text) if needs in text else text


def _decode(text: str) -> str:
    return unquote_plus(text).strip().lower()


def _many_joints(text: str) -> str:
    joints = text.count("-") + text.count("_")
    return text.replace("-", " ").replace("_", " ") if joints > 3 else text


def _repair(text: str) -> str:
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.strip()  # nothing to repair, and ftfy is slow
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def _rule(number: int, *steps: Rule) -> tuple[int, tuple[Rule, ...]]:
    return number, steps


RULES: tuple[tuple[int, tuple[Rule, ...]], ...] = (
    _rule(1, _decode),
    _rule(2, _sub("<person>", "person")),
    _rule(3, _sub(rf"\b(?:https?:(?:/{{1,3}}|[a-zA-Z0-9%])|{_HOST})")),
    _rule(4, _sub(rf"\b(?:www:(?:/{{1,3}}|[a-zA-Z0-9%])|{_HOST})")),
    _rule(5, html_text),
    _rule(6, _sub(r"@\w+\b", needs="@")),
    _rule(7, _sub(f"[{_CJK}]+")),
    _rule(8, _sub(f"[{_DASHES}]+", "-")),
    _rule(9, _sub("[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", '"'), _sub("[\u2018\u2019]", "'")),
    _rule(10, _sub("&quot;?", needs="&"), _sub("&amp", needs="&")),
    _rule(11, _sub(r"\d{1,3}(?:\.\d{1,3}){3}", " ", _DIGIT)),
    _rule(12, _sub(r"\d:\d\d\s+$", needs=":")),
    _rule(13, _sub(r"\\n", " ")),
    _rule(
        14,
        _sub(r"#\d{1,3}\b", needs="#"),
        _sub(r"#\d{5,}\b", needs="#"),
        _sub(r"\b\d{6,}\b", needs=_DIGIT),
    ),
    _rule(15, _sub(rf"\S+\.(?:{_FILE_TYPES})", needs=".")),
    _rule(16, _sub("[\"']{2,}", '"')),
    _rule(17, _sub(r"\.{2,}", " ", "..")),
    _rule(18, _sub(r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " ")),
    _rule(19, _sub(r"\s+\.\s+", " ", ".")),
    _rule(20, _many_joints),
    _rule(21, _repair),
    _rule(
        22,
        _sub(r"\b[a-zA-Z]{1,3}\d{3,15}\b", needs=_DIGIT),
        _sub(r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", needs=_DIGIT),
        _sub(r"\b\d+[a-zA-Z]+\d+\b", needs=_DIGIT),
    ),
    _rule(23, _sub(r"(?:worldwide\s+)?(?:free\s+)?shipping", needs="shipping")),
    _rule(24, _sub(r"(?:free\s)?download(?:\sfree)?", needs="download")),
    _rule(25, _sub(r"\bclick\b\s(?:for|on)\s\w+", needs="click")),
    _rule(26, _sub(rf"\b(?:{_FILE_TYPES})(?:\simages?)?")),
    _rule(27, _sub(r"\bpage\s+\d+\b", needs="page")),
    _rule(28, _sub(r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " ", _DIGIT)),
    _rule(29, _sub(r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", needs=_DIGIT)),  # noqa: RUF001  a Cyrillic x too
    _rule(30, _sub(r"\b\s+:\s+", ": ", ":")),
    _rule(31, _sub(r"(\D[,./])\b", r"\1 ")),
    _rule(32, _sub(r"\s+", " ")),
    _rule(33),  # a trim whose result is thrown away
    _rule(34, _sub(r"""^["']([\w\W]+)["']$""", r"\1")),
    _rule(35, _sub(r"^['_,\-:;]")),
    _rule(36, _sub(r"['_,\-:+]$")),
    _rule(37, _sub(r"^\.\S+$")),
    _rule(38, str.strip),
)


def clean_t5(text: str) -> str:
    """The text after all rules twice, as the seed applies them; may be empty.

    It is not idempotent: each pass decodes one more level of URL encoding and drops one more mark
    at each end.
    """
    return clean_once(clean_once(text))


def clean_once(text: str) -> str:
    """The text after all rules once."""
    for _, steps in RULES:
        for step in steps:
            text = step(text)
    return text
