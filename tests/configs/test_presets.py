"""A bare name stands for a packaged pipeline, unless such a file exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import ConfigError
from curate.configs.presets import PRESETS, find_pipeline_file
from curate.worker.session.pipelines import resolve


def test_a_bare_name_stands_for_the_packaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_pipeline_file(Path("scores.yaml")) == PRESETS / "scores.yaml"
    for other in (Path("mine.yaml"), Path("x/scores.yaml"), tmp_path / "scores.yaml"):
        with pytest.raises(ConfigError, match="there is no such file"):
            find_pipeline_file(other)
    Path("scores.yaml").write_text("pipeline: [probe]")
    assert find_pipeline_file(Path("scores.yaml")) == Path("scores.yaml")


def test_the_ending_of_a_bare_name_may_be_left_out() -> None:
    assert find_pipeline_file(Path("scores")) == PRESETS / "scores.yaml"


V1 = (
    "probe not_empty split dedup unique clip_embed option_match on_topic aesthetic fair pllava "
    "clean_text captioned match told cut"
)
FINAL = (
    "probe not_empty split dedup unique clip_embed ocr little_text lpips changing aesthetic fair "
    "nsfw safe qwen2_vl clean_text captioned cut"
)


@pytest.mark.parametrize(("preset", "steps"), [("t2v-v1.yaml", V1), ("t2v-final.yaml", FINAL)])
def test_presets_of_the_scripts_that_curate_replaces_do_what_those_did(
    preset: str, steps: str
) -> None:
    """What is new has presets of its own, and its options are off here."""
    pipeline = resolve(Path(preset), ready=False).pipeline
    assert [step.name for step in pipeline.steps] == steps.split()
    for stage in pipeline.stages:
        given = stage.options.model_dump()
        assert not any(given.get(name) for name in ("fields", "windows", "template", "rewritten"))


def test_dense_goes_from_videos_to_texts_that_are_checked() -> None:
    models = ["openai.model=a", "rewrite.model=a"]
    names = [step.name for step in resolve(Path("dense.yaml"), models).pipeline.steps]
    told = ["openai", "rewrite", "nothing_added", "clean_text", "dense_enough", "text_checks"]
    assert [name for name in names if name in told] == told
    with pytest.raises(ConfigError, match="needs the server's name of a model"):
        resolve(Path("dense.yaml"), models[:1])
