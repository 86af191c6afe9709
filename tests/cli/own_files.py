"""A dataset whose clips have files, without any stage having run: for tests of its life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, insert, text, update

from curate.db import datasets, migrate
from curate.db.datasets import Dataset
from curate.db.engine import make_engine, writing
from curate.db.schema import clips, videos
from curate.tasks.inputs.files import local_input
from curate.worker.session.pipelines import resolve

SIZE = 100  # bytes of each file


@dataclass(frozen=True)
class Owned:
    """Dataset `pets` of a home, of three videos with two clips each, all kept and cut."""

    engine: Engine
    dataset: Dataset
    home: Path
    sources: Path

    @property
    def clips(self) -> Path:
        """The folder of its clips."""
        return self.home / "clips" / self.dataset.folder

    def files(self) -> list[str]:
        """The files of clips and samples that are there, below the home."""
        found = [p for name in ("clips", "samples") for p in (self.home / name).rglob("*")]
        return sorted(str(p.relative_to(self.home)) for p in found if p.is_file())

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the database."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]


def make_owned(
    home: Path,
    sources: Path,
    name: str = "pets",
    database: str = "",
    values: Mapping[str, object] | None = None,
) -> Owned:
    """The dataset, with files of SIZE bytes; `values` are set on all its clips."""
    engine = make_engine(database or f"sqlite:///{home / 'curate.db'}", home=str(home))
    migrate.ensure(engine)
    pipeline = resolve(None, ready=False).pipeline
    dataset = datasets.create(engine, name, str(sources), pipeline)
    sources.mkdir(parents=True, exist_ok=True)
    for stem in "abc":
        (sources / f"{stem}.mp4").write_bytes(bytes(SIZE))
    found = [local_input(str(sources / f"{stem}.mp4"), str(sources)) for stem in "abc"]
    datasets.enqueue(engine, dataset, found, pipeline)
    done = {"stage": "done", "status": "kept"}
    with writing(engine) as connection:
        of_dataset = videos.c.dataset_id == dataset.id
        connection.execute(update(videos).where(of_dataset).values(num_clips=2, **done))
        query = videos.select().where(of_dataset).order_by(videos.c.id)
        for video in connection.execute(query).mappings().all():
            archive = home / "samples" / "0" / f"{video['id']}.zip"
            archive.parent.mkdir(parents=True, exist_ok=True)
            archive.write_bytes(bytes(SIZE))
            for index in (0, 1):
                file = home / "clips" / dataset.folder / f"{video['clip_stem']}_scene-{index}.mp4"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(bytes(SIZE))
                row = {"dataset_id": dataset.id, "video_id": video["id"], "clip_index": index}
                row |= {"start_pts": index * 10, "end_pts": index * 10 + 10, "path": str(file)}
                made = connection.execute(insert(clips).values(**row, **done).returning(clips.c.id))
                sized = {"size": SIZE, "id": made.scalar_one()}
                fill = "UPDATE clips SET file_size = :size, duplicate = 0, black = 0, flow = 5"
                connection.execute(text(f"{fill} WHERE id = :id"), sized)
        if values:
            of_dataset = clips.c.dataset_id == dataset.id
            connection.execute(update(clips).where(of_dataset).values(**values))
    return Owned(engine, dataset, home, sources)
