"""What a pipeline file may say, and where rows go by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import ConfigError
from curate.configs.pipeline import DONE, assignment, override, parse, read_yaml
from curate.tasks.registry import stages
from tests.pipelines import CATALOG, pipeline


def test_clips_enter_at_the_first_clip_stage_behind_the_filters_of_split() -> None:
    made = pipeline("long: num_frames >= 5", "score")
    assert made.entry["clip"] == "score"
    assert [f.name for f in made.filters_before("score", "clip")] == ["long"]


def test_a_stage_that_is_not_there_is_a_key_error() -> None:
    made = pipeline("score")
    assert "score" in made.by_name and "second" not in made.by_name
    with pytest.raises(KeyError):
        made.by_name["second"]


def test_videos_are_done_after_split() -> None:
    made = pipeline("score")
    assert (made.following["split"], made.filters_before(DONE, "video")) == (DONE, [])


def test_a_filter_between_probe_and_split_is_over_videos() -> None:
    raw = [{"stage": "probe"}, {"filter": "big", "where": "width > 10"}, {"stage": "split"}]
    made = parse(raw, CATALOG, "test")
    assert made.following["probe"] == "split"
    assert [f.level for f in made.filters_before("split", "video")] == ["video"]
    assert made.following["split"] == DONE
    assert len(made.filters_before(DONE, "video")) == 1


def test_filters_before_a_place_are_those_already_met() -> None:
    made = pipeline("a: num_frames > 1", "inorder", "b: score > 1", "score", "c: score > 2")
    assert [f.name for f in made.filters_before("score", "clip")] == ["a", "b"]
    assert [f.name for f in made.filters_before(DONE, "clip")] == ["a", "b", "c"]
    assert made.filters_before("split", "video") == []


def test_a_pipeline_without_clip_stages_ends_at_split() -> None:
    assert pipeline().entry["clip"] == DONE


def test_freezing_and_parsing_again_changes_nothing() -> None:
    made = pipeline({"stage": "score", "batch_size": 3}, "good: score >= 1")
    assert parse(made.frozen(), CATALOG, "test") == made


def test_a_disabled_stage_and_the_filter_with_it_are_left_out() -> None:
    steps = [
        {"stage": "score", "enabled": False},
        {"filter": "f", "where": "score > 1", "with": "score"},
    ]
    made = pipeline(*steps)
    assert [s.name for s in made.steps] == ["probe", "split"]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"stage": "scor"}, "did you mean score?"),
        ({"stage": "score", "batchsize": 3}, "did you mean batch_size?"),
        (
            {"stage": "score", "batch_size": 0},
            "batch_size: Input should be greater than or equal to 1 (given: 0)",
        ),
        ({"stage": "score", "queue": "gpu"}, "'cpu' or 'ascend'"),
        ({"stage": "probe"}, "probe is there twice"),
        ({"filter": "x y", "where": "1 = 1"}, "letters, digits and _"),
        ({"filter": "x"}, "needs where:"),
        ({"filter": "x", "where": "1 = 1", "enabled": "perhaps"}, "true or false"),
        ({"filter": "x", "when": "1 = 1"}, "did you mean where?"),
        (
            {"filter": "x", "where": "1 = 1", "with": "scor"},
            "unknown stage scor; did you mean",
        ),
        (
            {"filter": "x", "where": "1 = 1", "with": ["score"]},
            "with: it must be the name",
        ),
    ],
)
def test_a_wrong_step_is_refused_with_the_reason(step: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        pipeline(step)
    assert says in str(error.value)


def test_a_filter_with_a_stage_that_is_off_is_off_and_one_before_its_stage_is_refused() -> None:
    step = {"filter": "x", "where": "1 = 1", "with": "score"}
    assert not pipeline({"stage": "score", "enabled": False}, step).filters
    assert not pipeline(step).filters
    assert pipeline({"stage": "score"}, step).filters
    with pytest.raises(ConfigError, match="with: stage score comes later; put the filter behind"):
        pipeline(step, {"stage": "score"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_option_is_a_finite_number(value: float) -> None:
    with pytest.raises(ConfigError, match="time_limit: Input should be a finite number"):
        pipeline({"stage": "score", "time_limit": value})


def test_video_stages_cannot_come_behind_split() -> None:
    with pytest.raises(ConfigError, match="starts with the stages probe and split"):
        parse([{"stage": "split"}, {"stage": "score"}], CATALOG, "test")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("pipeline: 3", "a list called pipeline"),
        ("[1, 2]", "a list called pipeline"),
        ("pipeline: [\n", "while parsing"),
        ("pipeline: []\nextra: 1", "unknown key extra"),
        ("pipeline:\n- stage: a\n  filter: b", "either stage: or filter:"),
        ("pipeline:\n- 3", "line 2, column 3 is wrong: each step has either stage: or filter:"),
        (
            "pipeline:\n- filter: yes",
            "column 3 is wrong: the name of a filter must be text",
        ),
        ("pipeline:\n- stage:", "the name of a stage must be text, not None"),
        ("pipeline:\n- probe\npipeline: []", "line 3, column 1: the key pipeline is there twice"),
        ("pipeline: &a\n- *a", "line 2, column 3: an anchor that holds itself"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_a_bare_name_is_a_stage(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("pipeline: [probe, split]")
    assert read_yaml(path) == [{"stage": "probe"}, {"stage": "split"}]


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("pipeline: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError):
        read_yaml(path)


def test_assignments_override_options_with_yaml_values() -> None:
    steps = [{"stage": "split", "max_seconds": 3}, {"filter": "f", "where": "a > 1"}]
    changed = override(steps, ["split.max_seconds=null", "f.where=a > 2", "split.x=[1, 2]"])
    assert changed == [
        {"stage": "split", "max_seconds": None, "x": [1, 2]},
        {"filter": "f", "where": "a > 2"},
    ]
    assert steps[0]["max_seconds"] == 3


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("split", "STEP.OPTION=VALUE"),
        ("splt.x=1", "did you mean split?"),
        ("split.x=[", "not valid YAML"),
        ("split.x=2026-01-02", "is read as a date; put it in quotes"),
        ("split.x={a: 1, a: 2}", "the key a is there twice"),
    ],
)
def test_a_wrong_assignment_is_refused(assignment: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        override([{"stage": "split"}], [assignment])
    assert says in str(error.value)


def test_the_packaged_pipeline_is_right() -> None:
    import curate.configs

    path = Path(str(curate.configs.__file__)).with_name("default.yaml")
    made = parse(read_yaml(path), stages(), path)
    assert [s.name for s in made.stages] == ["probe", "split", "dedup", "motion", "cut"]


@pytest.mark.parametrize(
    "where",
    [
        "flow >= 0.5 AND black < 1",
        "a = 'x: y'",
        "'a' = b",
        "a >= 1\nAND b < 2",
        "# a",
        "é > 1",
        "1",
    ],
)
def test_an_assignment_is_read_back_as_it_was(where: str) -> None:
    steps = override([{"filter": "f", "where": "old"}], [assignment("f", "where", where)])
    assert steps == [{"filter": "f", "where": where}]
