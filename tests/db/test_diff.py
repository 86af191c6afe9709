"""Clips of two datasets are matched by source and span, on both engines."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, text

from curate.db.datasets import create, enqueue
from curate.db.diff import comparable, differences
from curate.db.engine import make_engine, writing
from curate.db.migrate import ensure
from curate.db.schema import clips
from curate.tasks.inputs.files import Input
from tests.pipelines import pipeline

HOME = "/home/of/this"
# whose order differs between their bytes, their letters, and their stored forms
PATHS = (f"{HOME}/z.mp4", "/A.mp4", "/a.mp4", "/B.mp4", "/é.mp4", "s3://b/c.mp4")


def put(url: str, name: str, spans: Sequence[tuple[str, int]], score: float) -> int:
    engine = make_engine(url, home=HOME)
    ensure(engine)
    made = pipeline("score")
    dataset = create(engine, name, "/v", made)
    enqueue(engine, dataset, [Input(p, p.strip("/"), "1") for p in PATHS], made)
    with writing(engine) as connection:
        query = "SELECT path, id FROM videos WHERE dataset_id = :id"
        of_dataset = connection.execute(text(query), {"id": dataset.id})
        ids = {str(path).replace("./", f"{HOME}/"): video for path, video in of_dataset}
        for number, (path, start) in enumerate(spans):
            row = {"dataset_id": dataset.id, "video_id": ids[path], "clip_index": number}
            row |= {"start_pts": start, "end_pts": start + 10, "stage": "done", "status": "kept"}
            connection.execute(insert(clips).values(**row))
        scored = "UPDATE clips SET score = :score WHERE dataset_id = :id"
        connection.execute(text(scored), {"score": score, "id": dataset.id})
    return dataset.id


def test_clips_are_matched_whatever_the_order_of_their_paths(database_url: str) -> None:
    spans = [(path, start) for path in PATHS for start in (0, 10)]
    a = put(database_url, "a", spans, 1)
    b = put(database_url, "b", [*spans[:-1], ("/A.mp4", 30)][::-1], 1)
    engine = make_engine(database_url, home=HOME)
    found = list(differences(engine, a, b, ["score"]))
    kinds = [one.change for one in found]
    assert (kinds.count("same"), len(kinds)) == (11, 13)
    others = {(one.change, one.source) for one in found if one.change != "same"}
    assert others == {("only_a", "s3://b/c.mp4"), ("only_b", "/A.mp4")}
    assert f"{HOME}/z.mp4" in {one.source for one in found}


def test_scores_that_differ_are_told_with_both_values(database_url: str) -> None:
    a = put(database_url, "a", [("/A.mp4", 0)], 1)
    b = put(database_url, "b", [("/A.mp4", 0)], 3)
    (one,) = differences(make_engine(database_url), a, b, ["score"])
    assert (one.change, one.columns) == ("differs", {"score": (1, 3)})


def test_ids_and_files_are_not_compared() -> None:
    names = comparable(pipeline("score", "inorder"), pipeline("score", "second"))
    assert "score" in names
    assert not {"path", "file_size", "clip_id", "other", "source"} & set(names)
