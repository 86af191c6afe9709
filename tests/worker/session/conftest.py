"""The fixtures of commands: what is tested here is what commands stand on."""

from __future__ import annotations

from tests.cli.conftest import curate, file, filled, video_folder

__all__ = ["curate", "file", "filled", "video_folder"]
