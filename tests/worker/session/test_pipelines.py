"""Which pipeline is in force, and which ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import ConfigError, FilterError, PackageMissing
from curate.tasks.registry import stages
from curate.tasks.stage import Scorer, StageOptions
from curate.worker.session import pipelines
from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Write


def names(config: Path | None, *sets: str) -> list[str]:
    return [s.name for s in resolve(config, sets, ready=False).pipeline.steps]


def test_the_packaged_default() -> None:
    assert names(None) == [
        "probe",
        "split",
        "dedup",
        "unique",
        "motion",
        "not_black",
        "not_static",
        "cut",
    ]


def test_set_switches_a_stage_on_with_its_filter() -> None:
    assert names(None, "ocr.enabled=true") == [
        "probe", "split", "dedup", "unique", "motion", "not_black", "not_static", "ocr",
        "little_text", "cut",
    ]  # fmt: skip


def test_a_flag_comes_before_the_file_before_the_default(file: Write) -> None:
    path = file("probe, {stage: split, min_seconds: 3, max_seconds: 9}, cut")
    resolved = resolve(path, ["split.min_seconds=4"], ready=False)
    options = resolved.pipeline.by_name["split"].options.model_dump()
    assert (options["min_seconds"], options["max_seconds"]) == (4, 9)
    assert resolved.origin[("split", "min_seconds")] == "--set"
    assert resolved.origin[("split", "max_seconds")] == str(path)
    assert ("split", "detector") not in resolved.origin


class Joiner(Scorer[StageOptions]):
    """Joins by itself."""

    name = "joiner"
    columns = {}
    default_step = True


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("probe, split, cut", ["probe", "split", "joiner", "cut"]),
        ("probe, split", ["probe", "split", "joiner"]),
        ("probe, split, joiner, motion, cut", ["probe", "split", "joiner", "motion", "cut"]),
        ("probe, split, {stage: joiner, enabled: false}", ["probe", "split"]),
    ],
)
def test_a_default_step_joins_before_cut(
    file: Write, monkeypatch: pytest.MonkeyPatch, steps: str, expected: list[str]
) -> None:
    catalog = {**stages(), "joiner": Joiner}
    monkeypatch.setattr(pipelines, "stages", lambda: catalog)
    assert names(file(steps)) == expected


def test_a_filter_is_checked_where_it_stands(file: Write) -> None:
    with pytest.raises(FilterError, match="motion"):
        resolve(file("probe, split, {filter: moving, where: flow > 1}"))


@pytest.mark.parametrize(
    ("step", "sets", "place"),
    [
        ("stage: cutt", [], "line 4, column 3"),
        ("cutt", [], "line 4, column 3"),
        ("{stage: cut, crf: 99}", [], "line 4, column 16"),
        ("{stage: cut, crff: 9}", [], "line 4, column 16"),
        ("{filter: f, where: num_frames > 3, with: moton}", [], "line 4, column 38"),
        ("{filter: f, where: flow > 3}", [], "line 4, column 15"),
        ("{filter: f}", [], "line 4, column 3"),
        ("split", [], "line 4, column 3"),
        ("aesthetic", [], "line 4, column 3"),
        ("{stage: cut, crf: 20}", ["cut.crf=20", "cut.crf=99"], "--set cut.crf=99"),
        ("{filter: f, where: num_frames > 3}", ["f.where=flow > 1"], "--set f.where=flow > 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, step: str, sets: list[str], place: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"pipeline:\n- probe\n- split\n- {step}\n")
    with pytest.raises(ConfigError) as error:
        resolve(path, sets, ready=False)
    assert (place if sets else f"{path}, {place}") in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "pipeline: 3", "pipeline: [split, probe]", "a: b", "pipeline: [{x: 1}]", "\t:"]
)
def test_what_is_not_a_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        resolve(path)


def test_a_stage_that_cannot_run_is_refused_unless_only_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_options: object) -> None:
        raise PackageMissing(what="cut", package="x", install="pip install x")

    monkeypatch.setattr(stages()["cut"], "check", missing)
    with pytest.raises(PackageMissing):
        resolve(None)
    assert resolve(None, ready=False)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (
            "probe, split, aesthetic",
            "of stage aesthetic is wrong: .*no stage writes them; enable clip_embed before it",
        ),
        (
            "probe, split, {stage: clip_embed, enabled: false}, nsfw",
            "enable clip_embed before it, or set nsfw.enabled",
        ),
        (
            "probe, split, {stage: option_match, texts: a dog}, clip_embed",
            "move clip_embed before option_match",
        ),
        (
            "probe, split, {stage: clip_embed, model: /other}, match",
            "set clip_embed.model and match.model alike",
        ),
        (
            "probe, split, embed_image, aesthetic",
            "embeddings of clip-vit-large-patch14, and no stage writes them; enable clip_embed",
        ),
        ("probe, split, concept", "enable clip_embed or embed_image or text_embed before it"),
    ],
    ids=["missing", "disabled", "later", "another model", "another kind", "of any model"],
)
def test_a_stage_that_would_find_no_embeddings_is_refused(
    file: Write, steps: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        resolve(file(steps))


@pytest.mark.parametrize(
    "steps",
    [
        "probe, split, clip_embed, aesthetic, nsfw, match",
        "probe, split, {stage: clip_embed, model: /other}, motion, {stage: match, model: /other}",
        "probe, split, {stage: match, enabled: false}",
    ],
)
def test_a_stage_behind_the_one_that_writes_what_it_reads_is_taken(file: Write, steps: str) -> None:
    assert resolve(file(steps), ready=False)


def test_clip_embed_cannot_be_switched_off_alone() -> None:
    with pytest.raises(ConfigError, match=r"aesthetic\.enabled=false"):
        resolve(Path("scores.yaml"), ["clip_embed.enabled=false"])
    off = [
        f"{name}.enabled=false"
        for name in ("clip_embed", "aesthetic", "nsfw", "option_match", "fair", "safe")
    ]
    assert resolve(Path("scores.yaml"), off, ready=False)


@pytest.mark.parametrize(
    ("preset", "steps"),
    [
        ("t2v-v1.yaml", "probe not_empty split dedup unique clip_embed option_match on_topic "
        "aesthetic fair pllava "
         "clean_text captioned match told cut"),
        ("t2v-final.yaml", "probe not_empty split dedup unique clip_embed ocr little_text lpips "
        "changing aesthetic "
         "fair nsfw safe qwen2_vl clean_text captioned cut"),
    ],
)  # fmt: skip
def test_the_packaged_orders_of_the_scripts_that_curate_replaces(preset: str, steps: str) -> None:
    assert names(Path(preset)) == steps.split()


@pytest.mark.parametrize(
    ("preset", "captioner"), [("t2v-v1.yaml", "pllava"), ("t2v-final.yaml", "qwen2_vl")]
)
def test_a_server_takes_the_place_of_their_captioner(preset: str, captioner: str) -> None:
    usual = names(Path(preset))
    swapped = names(
        Path(preset), f"{captioner}.enabled=false", "openai.enabled=true", "openai.model=m"
    )
    assert swapped == [{captioner: "openai"}.get(name, name) for name in usual]


class Reader(Scorer[StageOptions]):
    """Reads a table, and has no model."""

    name = "reader"
    columns = {}
    reads = ("embeddings", "filled_by_other_means")


def test_a_stage_without_a_model_reads_those_of_any(
    file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a table asked for that no stage writes at all."""
    monkeypatch.setattr(pipelines, "stages", lambda: {**stages(), "reader": Reader})
    assert names(file("probe, split, {stage: clip_embed, model: /other}, reader"))
    with pytest.raises(ConfigError, match="clip_embed"):
        resolve(file("probe, split, reader, clip_embed"), ready=False)


CLEANED = (
    "probe, split, clip_embed, aesthetic, {stage: option_match, texts: [a]}, %s"
    " {stage: clean_text, %s}, motion"
)


@pytest.mark.parametrize(
    ("before", "option", "why"),
    [
        ("", "source: match", "put stage match with captions: all before it"),
        ("match,", "source: match", "put stage match with captions: all before it"),
        ("{stage: match, captions: all, enabled: false},", "source: match", "put stage match"),
        (
            "",
            "scores: {aess: aesthetic score}",
            "no stage before it writes a number aess; did you mean aes?",
        ),
        ("", "scores: {aes: a, flow: motion score}", "writes a number flow; known: "),
        ("", "scores: {option: o}", "writes a number option;"),
        ("", "camera_motion: opton", "writes a column opton; did you mean option?"),
    ],
)
def test_a_column_that_clean_text_would_not_find_is_refused(
    file: Write, before: str, option: str, why: str
) -> None:
    with pytest.raises(ConfigError, match="of stage clean_text") as refused:
        resolve(file(CLEANED % (before, option)), ready=False)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("before", "option"),
    [
        ("{stage: match, captions: all},", "source: match"),
        ("", "scores: {aes: aesthetic score, num_frames: frames}"),
        ("", "camera_motion: option"),
        ("", "camera_motion: camera_motion"),  # of the input table, perhaps
    ],
)
def test_a_column_that_clean_text_may_find_is_taken(file: Write, before: str, option: str) -> None:
    assert "clean_text" in names(file(CLEANED % (before, option)))
