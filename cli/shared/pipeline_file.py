"""A pipeline as a commented file: what `curate config --yaml` prints and `curate init` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from curate.configs.schema import describe_options
from curate.configs.shown import formatted
from curate.tasks.registry import stages
from curate.worker.session.pipelines import Resolved

WIDTH = 79
ABOUT = (
    "Use it with: curate run VIDEOS -o clips.csv --config FILE",
    "Stages run in this order. A filter is an SQL predicate over the columns of the stages before"
    " it; what it is not true for is dropped. Options that are left out have their default.",
)


def pipeline_file(resolved: Resolved, title: str) -> str:
    """The text of a pipeline file with every step and option, disabled steps too; comments say what
    each is and its range.
    """
    lines = [line for text in (title, *ABOUT) for line in _comment(formatted(text), "")]
    lines += ["", "pipeline:"]
    for step in full_steps(resolved):
        if "stage" in step:
            lines += _stage(step)
            continue
        lines.append("")
        if "with" in step:
            lines += _comment(f"only where the stage {step['with']} runs", "  ")
        for number, (name, value) in enumerate(step.items()):
            lines += _entry("  " if number else "- ", {name: value})
    return "\n".join(lines) + "\n"


def full_steps(resolved: Resolved) -> list[dict[str, Any]]:
    """The raw steps of a pipeline with every option, disabled ones too."""
    steps = []
    for step in resolved.steps:
        if "stage" not in step:
            steps.append(dict(step))
            continue
        name = step["stage"]
        given = {k: v for k, v in step.items() if k != "stage"}
        options = stages()[name].Options(**given).model_dump(mode="json")
        steps.append({"stage": name, **options})
    return steps


def _stage(step: Mapping[str, Any]) -> Iterator[str]:
    stage = stages()[step["stage"]]
    what = " ".join((stage.__doc__ or "").partition("\n\n")[0].split())
    columns = ", ".join(
        f"{name} ({column.range})" if column.range else name
        for name, column in stage.columns.items()
    )
    yield ""
    yield from _comment(what, "  ")
    if columns:
        yield from _comment(f"Columns: {columns}", "  ")
    yield from _entry("- ", {"stage": step["stage"]})
    for option in describe_options(stage.Options):
        name, limits = option["option"], option["range"]
        yield from _comment(f"{option['description']}{f' ({limits})' if limits else ''}", "    ")
        yield from _entry("  ", {name: step[name]})


def _comment(text: str, indent: str) -> list[str]:
    begin = f"{indent}# "
    return textwrap.wrap(
        text, WIDTH, initial_indent=begin, subsequent_indent=begin, break_on_hyphens=False
    )


def _entry(begin: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one key and its value, in a step of the list."""
    given = dict(entry)
    dumped = yaml.safe_dump(given, allow_unicode=True, width=WIDTH - 6)
    if yaml.safe_load(dumped) != given:  # U+0085, which it writes as it is and reads as a blank
        dumped = yaml.safe_dump(given, width=WIDTH - 6)
    first, *more = dumped.rstrip("\n").split("\n")
    yield f"  {begin}{first}"
    for line in more:
        yield f"    {line}" if line else ""
