"""filter: the funnel follows the pipeline."""

from __future__ import annotations

from tests.cli.conftest import Call, Filled


def test_the_funnel_follows_the_pipeline(curate: Call, filled: Filled) -> None:
    rows = {r["step"]: r for r in curate("filter", "--json").json}
    assert list(rows) == ["probe", "split", "dedup", "unique", "motion", "not_black", "cut"]
    flow = [(r["came_in"], r["kept"]) for r in rows.values()]
    assert flow == [(3, 2), (2, 2), (7, 7), (7, 6), (6, 4), (4, 4), (4, 3)]
    assert rows["unique"]["dropped"] == 1
    assert rows["unique"]["where"] == "duplicate = 0"


def test_the_funnel_for_people(curate: Call, filled: Filled) -> None:
    line = next(x for x in curate("filter").out.splitlines() if x.startswith("unique"))
    assert line.split() == [
        "unique",
        "filter",
        "clips",
        "7",
        "6",
        "1",
        "0",
        "0",
        "85.7",
        "%",
        "duplicate",
        "=",
        "0",
    ]
