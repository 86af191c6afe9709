"""A pipeline as a commented file reads back as the same pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.cli.shared.pipeline_file import WIDTH, _entry, pipeline_file
from curate.configs.presets import presets
from curate.configs.schema import describe_options
from curate.tasks.registry import stages
from curate.worker.session.pipelines import resolve


@pytest.mark.parametrize("preset", presets(), ids=lambda path: path.name)
def test_the_file_of_a_preset_means_the_same(preset: Path, tmp_path: Path) -> None:
    resolved = resolve(preset, ready=False)
    file = tmp_path / "p.yaml"
    file.write_text(pipeline_file(resolved, "A title."), encoding="utf-8")
    again = resolve(file, ready=False)
    assert again.pipeline.frozen() == resolved.pipeline.frozen()
    names = [step.get("stage") or step["filter"] for step in resolved.steps]
    assert [step.get("stage") or step["filter"] for step in again.steps] == names  # disabled too


def test_every_option_has_its_description_and_range_above_it() -> None:
    text = pipeline_file(resolve(None, ready=False), "A title.")
    lines = text.splitlines()
    assert lines[0] == "# A title."
    assert max(map(len, lines)) <= WIDTH
    words = " ".join(line.strip().removeprefix("# ") for line in lines)
    for option in describe_options(stages()["split"].Options):
        told = option["description"] + (f" ({option['range']})" if option["range"] else "")
        assert f"{told} {option['option']}:" in words


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda values: st.lists(values, max_size=3),
        max_leaves=5,
    )
)
def test_any_value_reads_back(value: object) -> None:
    lines = ["- stage: a", *_entry("  ", {"option": value})]
    text = "pipeline:\n  " + "\n".join(lines) + "\n"
    assert yaml.safe_load(text) == {"pipeline": [{"stage": "a", "option": value}]}


def test_a_title_stays_a_comment() -> None:
    text = pipeline_file(resolve(None, ready=False), "of a\nb: c\x1b.yaml")
    assert yaml.safe_load(text).keys() == {"pipeline"}
    assert "\x1b" not in text
