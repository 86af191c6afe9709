"""The folders of the tiny models by their kind."""

from __future__ import annotations

from curate.tasks.models.catalog import ModelKind
from tests import tiny

FOLDERS: dict[ModelKind, str] = {
    "clip": tiny.CLIP,
    "aesthetic": tiny.AESTHETIC,
    "nsfw": tiny.NSFW,
    "lpips": tiny.LPIPS,
}
