"""The pipeline files that come with curate."""

from __future__ import annotations

from pathlib import Path

PRESETS = Path(__file__).parent
DEFAULT_FILE = PRESETS / "default.yaml"


def find_pipeline_file(config: Path) -> Path:
    """The file itself or, when no such file exists, the packaged one of a bare name.

    A bare name is one such as scores.yaml.
    """
    packaged = PRESETS / config.name
    bare = config.name == str(config) and config.suffix == ".yaml"
    return packaged if bare and not config.exists() and packaged.is_file() else config
