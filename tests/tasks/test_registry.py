"""The stages there are, their order, and those that join a pipeline by themselves."""

from __future__ import annotations

from curate.tasks.registry import add_default_steps, stages, stages_in_order


def test_every_stage_has_one_position_and_the_last_one_is_last() -> None:
    names = [stage.name for stage in stages_in_order()]
    assert sorted(names) == sorted(stages())
    assert names[:3] == ["probe", "split", "dedup"]
    assert [stage.name for stage in stages_in_order() if stage.comes_last] == names[-1:]


def test_a_default_step_joins_once_before_the_last_stage() -> None:
    class Joining(stages()["motion"]):  # type: ignore[misc]
        name = "joining"
        default_step = True

    catalog = {**stages(), "joining": Joining}
    steps = [{"stage": "probe"}, {"stage": "cut", "crf": 18}, {"filter": "f", "where": "a"}]
    joined = add_default_steps(steps, catalog)
    assert joined == [steps[0], {"stage": "joining"}, *steps[1:]]
    assert add_default_steps(joined, catalog) == joined
    assert add_default_steps(steps[:1], catalog) == [steps[0], {"stage": "joining"}]
