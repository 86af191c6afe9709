"""Texts as databases take them."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text with ? for each half of a character (a lone surrogate) and U+FFFD for NUL: neither fits a database."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
