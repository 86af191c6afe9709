"""`clean: safe`: repairs captions without losing words.

It repairs wrong encodings, decodes HTML entities, removes HTML tags, URLs with a scheme and control
characters, folds white space, straightens quotes and shortens repeated punctuation. Everything else
stays: full-width marks, and, unless options say otherwise, the case and all scripts. The module
imports ftfy, so stages import it only when they load.
"""

from __future__ import annotations

import html
import re

import ftfy

# HTML's elements for text; `<b and c>` and `<person>` are no tags but words of the caption
_ELEMENTS = (
    "a|abbr|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|font|footer|h[1-6]|head"
    "|header|hr|html|i|img|ins|li|main|mark|ol|p|pre|q|s|section|small|span|strike|strong|sub|sup"
    "|table|tbody|td|th|thead|tr|tt|u|ul|video"
)
_VALUE = r"""\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+)"""
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s+[a-z][\w:-]*{_VALUE})*\s*/?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PERSON = re.compile(r"<(person|people|man|woman)>", re.IGNORECASE)
_URL = re.compile(r"\b(?:https?|ftp)://[^\s<>\"]+", re.IGNORECASE)
_CONTROL = re.compile("[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\ud800-\udfff]")
# invisible characters that join no letters: soft hyphen, zero width space, word joiner, byte order
# mark, text directions
_UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_BLANKS = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r"(?<=\w) +(?=[,.;:!?](?:\s|$))")
_REPEATED = re.compile(r"([,;:!?])(?:\s*\1)+")
_DOTS = re.compile(r"\.{4,}")
_TWO_DOTS = re.compile(r"(?<!\.)\.\.(?!\.)")
_DOUBLES = re.compile("[\u201c\u201d\u201e\u201f\u2033]")
_SINGLES = re.compile("[\u2018\u2019\u201a\u201b\u2032\u00b4\u0060]")
_CJK = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u31c0-\u31ff\u3200-\u33ff\U00020000-\U0003ffff]+"
)
_ROUNDS = 100  # a text that nests encodings deeper is not an honest one


def clean_safe(text: str, *, lower: bool = False, keep_cjk: bool = True) -> str:
    """The repaired text, which may be empty. Cleaning it again changes nothing.

    With `lower` it is in lower case; without `keep_cjk` it has no Chinese characters.
    """
    for _ in range(_ROUNDS):
        before, text = text, _once(text, lower, keep_cjk)
        if text == before:
            break
    return text


def _once(text: str, lower: bool, keep_cjk: bool) -> str:
    text = _UNSEEN.sub("", _CONTROL.sub("", text))
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        # this module handles quotes and entities itself; full-width marks and ligatures stay
        text = ftfy.fix_text(
            text,
            uncurl_quotes=False,
            unescape_html=False,
            fix_character_width=False,
            fix_latin_ligatures=False,
        )
    text = _COMMENT.sub(" ", text)
    text = _PERSON.sub(r"\1", text)
    text = _TAG.sub(" ", text)
    text = _URL.sub(_end_marks, text)
    if not keep_cjk:
        text = _CJK.sub(" ", text)
    if lower:
        text = text.lower()
    text = _SINGLES.sub("'", _DOUBLES.sub('"', text))
    text = _BLANKS.sub(" ", text).strip()
    text = _BEFORE_MARK.sub("", _REPEATED.sub(r"\1", text))
    text = _TWO_DOTS.sub(".", _DOTS.sub("...", text))
    if len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _end_marks(url: re.Match[str]) -> str:
    """The punctuation at the end of a URL, which belongs to the sentence and stays."""
    return url[0][len(url[0].rstrip(".,;:!?")) :]
