"""What every page asks first."""

from __future__ import annotations

from tests.view.conftest import Client, Rows


def test_the_dataset_that_is_shown_first(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    rows.dataset("newer")
    found = client.get("/api/home").json
    assert (found["dataset"], found["datasets"]) == ("pets", ["pets", "newer"])
    assert [f["name"] for f in found["filters"]] == ["unique", "moving"]


def test_another_dataset_by_its_name(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    rows.dataset("newer", ("probe", "split"))
    found = client.get("/api/home?dataset=newer").json
    assert (found["dataset"], found["filters"]) == ("newer", [])


def test_a_changed_filter_shows_without_a_new_start(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    assert client.get("/api/home").json["filters"][0]["where"] == "duplicate = 0"
    rows.run("UPDATE datasets SET pipeline = replace(pipeline, 'duplicate = 0', 'seconds > 1')")
    assert client.get("/api/home").json["filters"][0]["where"] == "seconds > 1"


def test_a_dataset_that_is_not_there_is_404_and_says_which_are(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    answer = client.get("/api/home?dataset=petz")
    assert answer.status == 404
    assert "pets" in answer.json["error"]
