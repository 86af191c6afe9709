"""Cuts the words with which captioners begin: "The video shows a dog" becomes "A dog"."""

from __future__ import annotations

import re

# tried in this order; only one is cut
_VIDEO = ("shows", "captures", "showcases", "features", "depicts", "presents", "is ")
_IMAGE = ("shows", "captures", "features", "depicts", "presents", "is ", "portrays")
PREFIXES = (
    *(f"The video {verb}" for verb in _VIDEO),
    "In the video,",
    "The image appears to be",
    "The image you've provided appears to be",
    *(f"The image {verb}" for verb in _IMAGE),
    "In the image,",
    "in the image",
    "the image captures",
)
_FORMS = tuple(dict.fromkeys(form for prefix in PREFIXES for form in (prefix, prefix.lower())))
_BLANKS = re.compile(r"\s+")


def strip_prefix(text: str) -> str:
    """The text with white space folded, its first matching prefix cut, and a capital letter first.

    A prefix matches at the very start, as written in PREFIXES or in lower case. A text without a
    prefix changes only in its white space; a text that is only a prefix becomes empty.
    """
    folded = _BLANKS.sub(" ", text).strip()
    # a prefix may end in a space, which a text that is only this prefix has lost
    prefix = next((form for form in _FORMS if f"{folded} ".startswith(form)), None)
    if prefix is None:
        return folded
    remainder = folded[len(prefix) :].strip()
    return remainder[:1].upper() + remainder[1:]
