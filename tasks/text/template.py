"""Templates such as ``{subject} {action}``, which texts are put into by name, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True)
class Template:
    """A text with names of fields in braces; `{{` and `}}` are braces."""

    parts: tuple[tuple[str, str], ...]  # a text, and the name of the field behind it, or ""

    @classmethod
    def read(cls, text: str) -> Template:
        """The template of a text. Raises ValueError for one that cannot be read."""
        parts = []
        for before, name, form, conversion in Formatter().parse(text):
            if name is not None and (not name.isidentifier() or form or conversion):
                rest = (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                told = f"{{{name}{rest}}}"
                raise ValueError(f"{told} is no name of a field in braces, such as {{subject}}")
            parts.append((before, name or ""))
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it names, in order."""
        return tuple(name for _, name in self.parts if name)

    def filled(self, fields: Mapping[str, str]) -> str | None:
        """The text with these fields; None: one is not there, or none is named."""
        if not self.names or not all(name in fields for name in self.names):
            return None
        return "".join(before + (fields[name] if name else "") for before, name in self.parts)
