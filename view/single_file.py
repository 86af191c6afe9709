"""A page as one file: styles and scripts stand in it, and its policy lets nothing else run."""

from __future__ import annotations

import base64
import hashlib

import cv2

from curate.tasks.video.geometry import RGB


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


def picture_url(picture: RGB, side: int, quality: int) -> str:
    """A picture (H x W x 3, RGB) as a URL that holds it: a JPEG whose longer side is at most `side`
    pixels.
    """
    scale = min(1.0, side / max(picture.shape[:2]))
    size = [max(1, round(scale * length)) for length in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
