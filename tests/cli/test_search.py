"""`curate search`: the best clips first, each once, by the best of its frames; and what it says
when it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.children import found_by

Found = Mapping[str, Mapping[str, Any]]
BEST = {0: 30.0, 1: 50.0, 2: 20.0, 3: 25.0, 4: 25.0, 5: -40.0}  # 100 * largest of COSINES, by clip


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Found]]:
    """What each command line said, by engine."""
    home = tmp_path_factory.mktemp("search")
    urls = {"sqlite": f"sqlite:///{home / 'curate.db'}"}
    if servers.postgres_package() is None:
        (home / "urls.json").write_text(json.dumps(urls))
        yield found_by("tests.cli.search_cases", home)
        return
    with request.getfixturevalue("postgres").database() as url:
        (home / "urls.json").write_text(json.dumps(urls | {"postgresql": url}))
        yield found_by("tests.cli.search_cases", home)


@pytest.fixture(params=["sqlite", "postgresql"])
def found(both: Mapping[str, Found], request: pytest.FixtureRequest) -> Found:
    """What each command line said, on each engine."""
    if request.param not in both:
        pytest.skip(servers.NO_POSTGRES)
    return both[request.param]


def rows(done: Mapping[str, Any]) -> list[dict[str, Any]]:
    assert done["code"] == 0, done["err"]
    return list(json.loads(done["out"]))


def test_clips_come_by_their_best_frame_each_once(found: Found) -> None:
    best = rows(found["all"])
    assert [row["clip_index"] for row in best] == [1, 0, 3, 4, 2, 5], "equal ones by their id"
    for row in best:
        assert row["score"] == pytest.approx(BEST[row["clip_index"]], abs=0.05)


def test_json_says_where_a_clip_is(found: Found) -> None:
    first = rows(found["all"])[0]
    assert (first["dataset"], first["video"], first["start_seconds"], first["status"]) == (
        "pets", "/pets/v.mp4", 1.0, "dropped",
    )  # fmt: skip
    assert first.keys() >= {"id", "end_seconds", "path", "text"}


def test_n_takes_the_best(found: Found) -> None:
    assert rows(found["two"]) == rows(found["all"])[:2]


def test_where_leaves_clips_out(found: Found) -> None:
    assert [row["clip_index"] for row in rows(found["kept"])] == [0, 3, 4, 2, 5]


def test_another_text_finds_others(found: Found) -> None:
    dog, cat = ([row["clip_index"] for row in rows(found[name])] for name in ("all", "cat"))
    assert sorted(dog) == sorted(cat) and dog != cat


@pytest.mark.parametrize("text", ["empty", "long"])
def test_any_text_can_be_looked_for(text: str, found: Found) -> None:
    assert len(rows(found[text])) == len(BEST)


def test_for_people_it_is_a_table_with_what_to_do_next(found: Found) -> None:
    table = found["table"]
    head, *lines = table["out"].splitlines()
    assert head.split() == [
        "score",
        "id",
        "video",
        "start_seconds",
        "end_seconds",
        "status",
        "path",
    ]
    assert [float(line.split()[0]) for line in lines] == pytest.approx([50, 30, 25], abs=0.05)
    assert "curate sql" in table["err"]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("none", 2, "No clip of dataset pets for which --where is true is embedded"),
        ("wrong where", 3, "no_such"),
        ("export where", 3, "there is no column clip_id"),
        ("old", 2, "curate redo clip_embed old"),
        ("bare", 2, "No clip of dataset bare is embedded yet"),
        ("plain", 2, "has no stage clip_embed"),
        ("unknown", 2, "There is no dataset nowhere"),
        ("zero", 2, "--count"),
        ("no text", 2, "TEXT"),
        ("gone", 4, "/nothing/clip-vit-large-patch14 cannot be used: there is no such folder"),
    ],
)
def test_what_cannot_be_searched_says_why(line: str, code: int, words: str, found: Found) -> None:
    done = found[line]
    assert done["code"] == code, done["err"]
    assert words in " ".join(done["err"].split())
    assert done["out"] == "" and "Traceback" not in done["err"]


def test_other_weights_are_named(found: Found) -> None:
    assert "embedded by other weights (another)" in found["old"]["err"]


def test_the_order_of_engines_is_no_matter(both: Mapping[str, Found], tmp_path: Path) -> None:
    """Scores are those of NumPy, so both engines say the same."""
    if len(both) < 2:
        pytest.skip(servers.NO_POSTGRES)
    assert both["sqlite"]["all"] == both["postgresql"]["all"]
