"""`curate search` on databases of known cosines: ``python -m tests.cli.search_cases HOME
RESULT.json``.

HOME/urls.json lists the databases, by engine. One process for all, for MindSpore takes seconds to
start.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, insert

from curate.cli.main import call
from curate.configs.pipeline import Pipeline
from curate.db import datasets, migrate
from curate.db.datasets import Dataset
from curate.db.engine import make_engine
from curate.db.schema import clips, embeddings
from curate.tasks.inputs.files import Input
from curate.tasks.models.clip_tower import TextTower
from curate.tasks.models.embeddings import stored, unit
from curate.tasks.models.towers import text_tower
from curate.worker.session.pipelines import resolve
from tests import tiny
from tests.children import main

HOME = Path(sys.argv[1])
DOG, CAT = "a dog on a beach", "a cat in a box"
# by clip: cosines of its frames and DOG; those of clips 3 and 4 are equal
COSINES: tuple[tuple[float, ...], ...] = (
    (0.1, 0.3),
    (0.5,),
    (0.2, 0.1),
    (0.25, -0.6),
    (0.25,),
    (-0.4, -0.5),
)


def engines() -> Mapping[str, str]:
    """URLs of empty databases."""
    return dict(json.loads((HOME / "urls.json").read_text()))


@cache
def held() -> TextTower:
    """The text tower, held: each search would make its own otherwise."""
    return text_tower(HOME / "models" / tiny.CLIP, "CPU", batch=1)


def directions() -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
    """Where DOG points, something at a right angle to it, and the revision of the tower."""
    tower = held()
    dog, cat = (unit(tower.embed([words]))[0] for words in (DOG, CAT))
    return dog, unit((cat - dog * (cat @ dog))[None])[0], tower.revision


def fill(engine: Engine) -> None:
    """Datasets: `pets` of COSINES, `old` embedded by other weights, `bare` not embedded, `plain`
    never to be.
    """
    migrate.ensure(engine)
    dog, other, revision = directions()
    scored = resolve(Path("scores.yaml"), ready=False).pipeline
    for name in ("pets", "old", "bare"):
        # clip 1 looks away from CAT, the others towards it
        made = [
            dog * c + (other if n != 1 else -other) * np.sqrt(1 - c * c)
            for n, cs in enumerate(COSINES)
            for c in cs
        ]
        vectors = iter([] if name == "bare" else made)
        put(engine, name, scored, vectors, revision if name == "pets" else "another")
    datasets.create(engine, "plain", "/plain", resolve(None, ready=False).pipeline)


def put(engine: Engine, name: str, pipeline: Pipeline, vectors: Any, revision: str) -> Dataset:
    """A dataset of one video with a clip for each of COSINES."""
    dataset = datasets.create(engine, name, f"/{name}", pipeline)
    datasets.enqueue(engine, dataset, [Input(f"/{name}/v.mp4", "v.mp4", "1")], pipeline)
    with engine.begin() as connection:
        video = connection.exec_driver_sql("SELECT max(id) FROM videos").scalar_one()
        for index, cosines in enumerate(COSINES):
            values = {
                "start_pts": index, "end_pts": index + 1, "start_seconds": float(index),
                "stage": "done", "status": "dropped" if index == 1 else "kept", "clip_index": index,
            }  # fmt: skip
            row = {"dataset_id": dataset.id, "video_id": video, **values}
            (clip,) = connection.execute(insert(clips).values(row).returning(clips.c.id)).one()
            rows = [
                {
                    "clip_id": clip, "model": tiny.CLIP, "frame": n, "revision": revision,
                    "position": 0.5, "vector": stored(v),
                }
                for n, v in zip(range(len(cosines)), vectors, strict=False)
            ]  # fmt: skip
            if rows:
                connection.execute(insert(embeddings), rows)
    return dataset


def said(*argv: str) -> dict[str, Any]:
    """What a command line says and ends with."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call(argv)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


LINES: Mapping[str, Sequence[str]] = {
    "all": (DOG, "pets", "--json"), "two": (DOG, "pets", "-n", "2", "--json"),
    "cat": (CAT, "pets", "--json"), "table": (DOG, "pets", "-n", "3"),
    "kept": (DOG, "pets", "--where", "status = 'kept'", "--json"),
    "none": (DOG, "pets", "--where", "clip_index > 99"),
    "wrong where": (DOG, "pets", "--where", "no_such > 1"),
    "export where": (DOG, "pets", "--where", "clip_id > 1"),
    "old": (DOG, "old"), "bare": (DOG, "bare"), "plain": (DOG, "plain"),
    "unknown": (DOG, "nowhere"), "zero": (DOG, "pets", "-n", "0"),
    "empty": ("", "pets", "--json"), "long": ("dog " * 300, "pets", "--json"),
    "no text": (),
}  # fmt: skip


def searched(url: str) -> dict[str, Any]:
    """Each of LINES on one engine, and one where the weights are gone."""
    os.environ["CURATE_DATABASE_URL"] = url
    engine = make_engine(url)
    fill(engine)
    engine.dispose()
    found = {name: said("search", *words) for name, words in LINES.items()}
    os.environ["CURATE_MODELS"] = str(HOME / "nothing")
    found["gone"] = said("search", DOG, "pets")
    del os.environ["CURATE_MODELS"]
    return found


if __name__ == "__main__":
    # there is no NPU here: whoever asks for what the workers use fails
    os.environ |= {"CURATE_HOME": str(HOME), "CURATE_DEVICE": "Ascend"}
    tiny.write_clip(HOME / "models" / tiny.CLIP)
    main({engine: lambda url=url: searched(url) for engine, url in engines().items()})  # type: ignore[misc]
