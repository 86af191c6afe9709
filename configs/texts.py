"""Texts as databases, file systems and the input table take them."""

from __future__ import annotations

import json
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def storable(text: str) -> str:
    """The text with ? for each half of a character (a lone surrogate) and U+FFFD for NUL: neither
    fits a database.
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


# What a spreadsheet takes for a formula, by OWASP's page "CSV Injection"; ' as this module adds it.
_FORMULA = re.compile(r"[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")


def safe_cell(text: str) -> str:
    """The text with ' in front when a spreadsheet would take it for a formula, else as it is.

    A text that looks as if it had been prefixed already is prefixed too, so that `original_cell`
    is the exact inverse.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def original_cell(text: str) -> str:
    """The text that `safe_cell` wrote as this one."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text


def safe_name(text: str) -> str:
    """The text as a name of a folder, also in a URL: letters, digits, `.`, `_` and `-`; may be
    empty.
    """
    return _UNSAFE.sub("-", text).strip("-.")


def input_cell(extra: str | None, column: str) -> str | None:
    """What the input table says about a video in a column, out of the JSON text `videos.extra`;
    None for nothing.
    """
    value = json.loads(extra or "{}").get(column)
    return None if value is None else str(value)
