"""The pipeline files that come with curate."""

from __future__ import annotations

from pathlib import Path

PRESETS = Path(__file__).parent
DEFAULT_FILE = PRESETS / "default.yaml"


def presets() -> dict[Path, str]:
    """What each of them is for: the first sentence of the comment that it begins with. The default
    one comes first.
    """
    files = sorted(PRESETS.glob("*.yaml"), key=lambda file: (file != DEFAULT_FILE, file.name))
    lines = {file: file.read_text(encoding="utf-8").partition("\n")[0] for file in files}
    return {file: line.lstrip("# ").partition(". ")[0].rstrip(".") for file, line in lines.items()}


def find_pipeline_file(config: Path) -> Path:
    """The file itself or, when no such file exists, the packaged one of a bare name.

    A bare name is one such as scores.yaml.
    """
    packaged = PRESETS / config.name
    bare = config.name == str(config) and config.suffix == ".yaml"
    return packaged if bare and not config.exists() and packaged.is_file() else config
