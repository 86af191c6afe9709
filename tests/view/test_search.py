"""The page Search: the clips, order and scores of `curate search`, and what is missing for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests import tiny
from tests.children import found_by
from tests.view.conftest import Client, Rows

Found = Mapping[str, Any]
EMBEDS = ("probe", "split", "clip_embed")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the page and the command said; the search in a database is tested on each engine."""
    home = tmp_path_factory.mktemp("search")
    (home / "urls.json").write_text(json.dumps({"sqlite": f"sqlite:///{home / 'curate.db'}"}))
    return dict(found_by("tests.view.search_cases", home)["found"])


def clips_of(answer: Any) -> list[tuple[int, float]]:
    status, body = answer
    assert status == 200, body
    return [(clip["id"], clip["score"]) for clip in body["clips"]]


@pytest.mark.parametrize("text", ["dog", "cat", "two", "kept"])
def test_order_and_scores_are_those_of_the_command(text: str, found: Found) -> None:
    said = [(row["id"], row["score"]) for row in found["cli"][text]]
    assert clips_of(found[text]) == said
    assert said == sorted(said, key=lambda clip: -clip[1])


def test_a_clip_comes_with_what_its_card_shows(found: Found) -> None:
    first = found["dog"][1]["clips"][0]
    assert (first["status"], first["relpath"], first["clip_index"]) == ("dropped", "v.mp4", 1)


def test_there_are_more_where_as_many_were_found_as_asked_for(found: Found) -> None:
    assert (found["two"][1]["more"], found["dog"][1]["more"]) == (True, False)


def test_any_text_can_be_looked_for(found: Found) -> None:
    assert [len(clips_of(answer)) for answer in found["hostile"]] == [6] * len(found["hostile"])


def test_nothing_starts_before_it_is_needed(found: Found) -> None:
    (plain, said), (nowhere, _) = found["before"]
    assert (plain, nowhere, found["started early"]) == (503, 404, 0)
    assert "run /plain -o clips.csv --config scores.yaml --name NEW" in said["error"]


def test_what_the_tower_cannot_do_is_told_and_the_next_text_is_found(found: Found) -> None:
    status, body = found["broken"]
    assert status == 503
    assert "tokenizer.json" in body["error"] and "curate models check" in body["error"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("old", "curate redo clip_embed old"), ("bare", "curate status bare")],
)
def test_what_cannot_be_searched_says_what_to_type(name: str, words: str, found: Found) -> None:
    status, body = found["others"][name]
    assert (status, words in body["error"]) == (400, True), body


def test_no_process_is_left_when_the_server_was_killed(found: Found) -> None:
    assert found["left"] == 0


def lacks(client: Client) -> Any:
    return client.get("/api/home").json["search_lacks"]


def test_a_dataset_without_embeddings_says_how_to_start_one(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    home = f"curate --home {rows.settings.home}"
    command = f"{home} run /v -o clips.csv --config scores.yaml --name NEW"
    assert lacks(client)["command"] == command
    assert "Dataset pets has no embeddings" in lacks(client)["why"]
    answer = client.get("/api/search?text=dog")
    assert (answer.status, command in answer.json["error"]) == (503, True)


def test_weights_that_are_not_there_can_be_fetched(rows: Rows, client: Client) -> None:
    rows.dataset("pets", EMBEDS)
    assert lacks(client)["command"].endswith(f"models fetch {tiny.CLIP}")
    folder = rows.settings.model_folder / tiny.CLIP
    assert str(folder) in lacks(client)["why"]
    assert "models fetch" in client.get("/api/search?text=dog").json["error"]
    tiny.write_clip(folder)
    assert lacks(client) is None


@pytest.mark.parametrize(
    "query",
    ["", "text=", "text=%20", "text=" + "x" * 1001, "text=%ff", "text=x&count=0", "text=x&count=a",
     "text=x&count=481", "text=x&status=x", "text=x&status=kept'"],
)  # fmt: skip
def test_wrong_arguments(query: str, guarded: Client) -> None:
    assert guarded.get(f"/api/search?{query}").status == 400
