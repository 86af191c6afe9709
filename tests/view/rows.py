"""A dataset whose rows stand everywhere that rows can stand, for tests of what a refilter does."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import text

from curate.configs.pipeline import parse
from curate.configs.settings import Settings
from curate.db import datasets, migrate
from curate.db.engine import make_engine
from curate.db.schema import DROP, KEEP, PICKED
from tests.pipelines import CATALOG, Line

GRID = [n / 8 for n in range(-8, 17)]  # values that rows share, and thresholds fall on
STEPS: list[dict[str, Any]] = [
    {"stage": "probe"},
    {"filter": "long", "where": "num_frames >= 3 AND 12 > num_frames AND path <> '/v/odd'"},
    {"stage": "split"},
    {"stage": "score"},
    {"filter": "good", "where": "score >= -0.25"},
    {"filter": "first", "where": "clip_index < 11"},
    {"stage": "second"},
    {"filter": "fine", "where": "(other BETWEEN -.5 AND 1.75) AND score <> 0.5 AND 1.5 >= score"},
    {"filter": "unusual", "where": "other <> 0.25 OR score = 0"},
    {"stage": "third"},
]
CLIP_STAGES = ("score", "second", "third", "done")
CLIP_FILTERS = ("good", "first", "fine", "unusual", "long")
VIDEO_ENDS = [
    ("kept", None),
    ("kept", None),
    ("active", None),
    ("dropped", "long"),
    ("dropped", "no_scene_long_enough"),
    ("failed", "MediaError"),
]
VIDEOS, CLIPS = 14, 14


def make_rows(url: str, home: Any, seed: int = 1) -> Line:
    """Videos and clips with every status, reason and place, at work and free, measured and not."""
    rng = random.Random(seed)
    engine = make_engine(url)
    migrate.ensure(engine)
    pipeline = parse(STEPS, CATALOG, "test")
    other = datasets.create(engine, "another", "/w", pipeline)
    dataset = datasets.create(engine, "set", "/v", pipeline)
    line = Line(engine, dataset, pipeline, Settings(home=home, database_url=url))
    with engine.begin() as connection:
        for number in range(VIDEOS):
            status, reason = rng.choice(VIDEO_ENDS)
            stage = "done" if status == "kept" else rng.choice(["probe", "split", "split"])
            video = connection.execute(
                text(
                    "INSERT INTO videos (dataset_id, path, relpath, clip_stem, fingerprint, stage,"
                    " status, reason, owner, num_frames, num_clips) VALUES (:dataset, :path, :path,"
                    " :path, '1', :stage, :status, :reason, :owner, :frames, :clips) RETURNING id"
                ),
                {
                    "dataset": other.id if number % 5 == 0 else dataset.id,
                    "path": "/v/odd" if number == 3 else f"/v/{number}",
                    "stage": stage,
                    "status": status,
                    "reason": reason,
                    "owner": rng.choice([None] * 5 + ["me"]),
                    "frames": rng.choice([None, *range(1, 14)]),
                    "clips": CLIPS,
                },
            ).scalar_one()
            for index in range(CLIPS):
                connection.execute(
                    text(
                        "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts,"
                        " stage, status, reason, owner, picked, score, other) VALUES (:dataset,"
                        " :video, :index, 0, 1, :stage, :status, :reason, :owner, :picked, :score,"
                        " :other)"
                    ),
                    _clip(rng, other.id if number % 5 == 0 else dataset.id, video, index),
                )
    return line


def _clip(rng: random.Random, dataset: int, video: int, index: int) -> dict[str, Any]:
    stage = rng.choice(CLIP_STAGES)
    going_on = ("kept" if stage == "done" else "active", None)
    status, reason = rng.choice(
        [going_on] * 4
        + [("dropped", rng.choice(CLIP_FILTERS)) for _ in range(3)]
        + [("dropped", "of_old"), ("failed", "RunError"), ("dropped", PICKED)]
    )
    return {
        "dataset": dataset,
        "video": video,
        "index": index,
        "stage": stage,
        "status": status,
        "reason": reason,
        "owner": rng.choice([None] * 8 + ["me"]),
        "picked": rng.choice([None] * 8 + [KEEP, DROP]),
        "score": rng.choice([None, *GRID, *GRID]),
        "other": rng.choice([None, *GRID, *GRID]) if stage != "score" else None,
    }
