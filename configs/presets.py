"""The pipeline files that come with curate."""

from __future__ import annotations

from pathlib import Path

from curate.configs.errors import ConfigError
from curate.configs.names import did_you_mean

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

    A bare name is one such as scores.yaml, or scores. Raises ConfigError where there is neither.
    """
    if config.exists():
        return config
    names = [file.name for file in presets()]
    wanted = config.name if config.suffix == ".yaml" else f"{config.name}.yaml"
    if config.name == str(config) and wanted in names:
        return PRESETS / wanted
    why = f"there is no such file{did_you_mean(wanted, names)}; `curate config --presets` lists"
    raise ConfigError(source=config, why=f"{why} those that come with curate")
