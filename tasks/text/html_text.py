"""The text of an HTML fragment, by regular expressions.

html.parser gives other texts in other versions of Python; these do not change.
"""

from __future__ import annotations

import html
import re

# quotes count only behind `=`, as in HTML, so that an apostrophe in a tag does not swallow the rest
_TAG = re.compile(r"""</?[a-z](?:=\s*"[^"]*"|=\s*'[^']*'|[^>])*+>""", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<!--.*?-->|<[!?][^>]*>|<(script|style|template)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL
)


def html_text(text: str) -> str:
    """What a browser would show: no tags, comments, scripts or styles, and entities as characters.

    A `<` that begins no tag stays.
    """
    if "<" in text:
        text = _TAG.sub("", _UNSEEN.sub("", text))
    return html.unescape(text) if "&" in text else text
