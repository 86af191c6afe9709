"""Extracts the text of an HTML fragment with regular expressions.

Unlike those of html.parser, their results do not depend on the version of Python.
"""

from __future__ import annotations

import html
import re

# quotes count only after `=`, as in HTML, or an apostrophe in a tag would swallow the text after it
_TAG = re.compile(r"""</?[a-z](?:=\s*"[^"]*"|=\s*'[^']*'|[^>])*+>""", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<!--.*?-->|<[!?][^>]*>|<(script|style|template)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL
)


def html_text(text: str) -> str:
    """The text that a browser shows: no tags, comments, scripts or styles; entities as characters.

    A `<` that begins no tag stays.
    """
    if "<" in text:
        text = _TAG.sub("", _UNSEEN.sub("", text))
    return html.unescape(text) if "&" in text else text
