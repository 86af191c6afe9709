"""Writes docs/stages.md and docs/settings.md from the code. A test fails when they are out of date.

Run it with: .venv/bin/python docs/generate.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from curate.configs.schema import Column, StageOptions, describe_options
from curate.configs.settings import LOGINS, PREFIX, Settings
from curate.tasks.registry import StageClass, stages_in_order

FOLDER = Path(__file__).parent


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(c).replace("|", r"\|") for c in line) + " |" for line in lines
    )


def stage_page() -> str:
    """The text of docs/stages.md."""
    intro = (
        "# Stages\n\n<!-- written by docs/generate.py -->\n\n"
        "In the order of the packaged pipelines. NULL in a column means not measured. "
        "`curate stages NAME` shows the same.\n\n"
        f"Every stage has these options:\n\n{options_table(describe_options(StageOptions))}"
    )
    return "\n\n".join([intro, *(stage_section(cls) for cls in stages_in_order())]) + "\n"


def stage_section(cls: StageClass) -> str:
    """One stage: what it does, its columns, its options."""
    common = describe_options(StageOptions)
    own = [
        o for o in describe_options(cls.Options) if o["option"] == "batch_size" or o not in common
    ]
    return "\n\n".join(
        [
            f"## {cls.name}",
            inspect.cleandoc(cls.__doc__ or ""),
            f"Works on {cls.level}s. Writes:" if cls.columns else f"Works on {cls.level}s.",
            *([columns_table(cls.columns)] if cls.columns else []),
            *(
                [f"And of the {cls.level}:", columns_table(cls.own_columns)]
                if cls.own_columns
                else []
            ),
            options_table(own),
        ]
    )


def columns_table(columns: Mapping[str, Column]) -> str:
    """A table of columns that a stage writes."""
    rows = [(f"`{n}`", c.kind, c.range, c.better, c.doc) for n, c in columns.items()]
    return table(("column", "type", "range", "better", "meaning"), rows)


def options_table(options: Iterable[Mapping[str, object]]) -> str:
    """A table of options, as `describe_options` tells them."""
    rows = [
        (f"`{o['option']}`", _shown(o["default"]), o["range"], o["description"]) for o in options
    ]
    return table(("option", "default", "range", "meaning"), rows)


def _shown(default: object) -> str:
    return (
        ""
        if default is None
        else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    )


def settings_page() -> str:
    """The text of docs/settings.md."""
    rows = [
        (f"`{PREFIX}{n.upper()}`", _shown(f.default or None), f.description)
        for n, f in Settings.model_fields.items()
    ]
    intro = (
        "# Settings\n\n<!-- written by docs/generate.py -->\n\n"
        "Environment variables of a host; `--home` beats `CURATE_HOME`. `curate config` prints what"
        " is in force and where each value comes from. Options of stages are not here: they belong"
        " to the pipeline file, or to `--set`."
    )
    logins = table(
        ("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in LOGINS.items()]
    )
    others = f"Logins, of which `curate config` shows only whether they are set:\n\n{logins}"
    return f"{intro}\n\n{table(('variable', 'default', 'meaning'), rows)}\n\n{others}\n"


PAGES = {"stages.md": stage_page, "settings.md": settings_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
