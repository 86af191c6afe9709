"""A page as one file: styles and scripts stand in it, and its policy lets nothing else run."""

from __future__ import annotations

import base64
import hashlib


class SingleFile:
    """Puts styles and scripts into a page, and says by a policy that only these may run."""

    def __init__(self, *also: str) -> None:
        """`also`: more directives of the policy."""
        self._also = also
        self._hashes: dict[str, list[str]] = {"script-src": [], "style-src": []}

    def style(self, text: str) -> str:
        """The element with a style sheet."""
        return self._inside("style-src", "style", text)

    def script(self, text: str) -> str:
        """The element with a script."""
        return self._inside("script-src", "script", text)

    def policy(self) -> str:
        """The element for the head: what the page may load, once all is in it."""
        directives = [
            "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'",
            *self._also,
            *(f"{kind} {' '.join(hashes)}" for kind, hashes in self._hashes.items() if hashes),
        ]
        content = "; ".join(directives)
        return f'<meta http-equiv="Content-Security-Policy" content="{content}">'

    def _inside(self, kind: str, tag: str, text: str) -> str:
        assert f"</{tag}" not in text.lower()
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        self._hashes[kind].append(f"'sha256-{digest}'")
        return f"<{tag}>{text}</{tag}>"
