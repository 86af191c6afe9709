"""Cuts the words by which captioners begin: "The video shows a dog" becomes "A dog"."""

from __future__ import annotations

import re

# in the order in which they are tried; only one is cut
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
    """The text with white space folded and its first matching prefix cut; what remains begins with
    a capital.

    A prefix matches as written in PREFIXES or in lower case, at the very start. Without one,
    nothing but white space is changed; a text that is nothing but a prefix becomes empty.
    """
    folded = _BLANKS.sub(" ", text).strip()
    # a prefix may end in a blank that folding took from a text that is nothing else
    prefix = next((form for form in _FORMS if f"{folded} ".startswith(form)), None)
    if prefix is None:
        return folded
    remainder = folded[len(prefix) :].strip()
    return remainder[:1].upper() + remainder[1:]
