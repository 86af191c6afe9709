"""A database with kept clips whose files are drawn, for tests of what is exported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from sqlalchemy import Engine, insert, text

from curate.configs.pipeline import Pipeline
from curate.db import datasets, migrate
from curate.db.datasets import Dataset
from curate.db.engine import make_engine, writing
from curate.db.export import plan_several
from curate.db.schema import clips, videos
from curate.db.selection import Selection
from curate.export.folder import FolderExport, Side, Written
from curate.export.format import NEEDED, MediaFormat, Way
from curate.export.registry import FORMATS
from curate.worker.session.pipelines import resolve_steps
from tests.drawing import picture
from tests.media import write_video

STEPS = ({"stage": "probe"}, {"stage": "split"}, {"stage": "dedup"}, {"stage": "cut"})
FRAMES, SIZE = 6, (64, 48)  # of a drawn clip; width, height
CAPTIONS = ("a cat", "ein Hund, der bellt", 'said "hi",\nthen left', None, "猫 🐈", "=1+1", "")


@cache
def _drawn(number: int) -> bytes:
    """The bytes of a clip that shows numbered frames."""
    frames = (picture(number * FRAMES + n, size=SIZE) for n in range(FRAMES))
    with TemporaryDirectory() as folder:
        return write_video(Path(folder) / "drawn.mp4", frames).read_bytes()


@dataclass
class Shelf:
    """A database with datasets, whose clips lie in `folder`."""

    engine: Engine
    folder: Path
    pipeline: Pipeline
    datasets: list[Dataset] = field(default_factory=list)

    def dataset(self, name: str) -> Dataset:
        """A dataset without clips."""
        made = datasets.create(self.engine, name, "/v", self.pipeline)
        self.datasets.append(made)
        return made

    def put(
        self,
        video: str,
        captions: Iterable[str | None],
        ending: str = ".mp4",
        dataset: Dataset | None = None,
    ) -> list[int]:
        """Kept clips of a source with their files, one a caption; returns their ids."""
        of = (dataset or self.datasets[0]).id
        source = {
            "dataset_id": of, "path": f"/v/{video}", "relpath": video, "clip_stem": video,
            "fingerprint": "1", "stage": "done", "status": "kept",
        }  # fmt: skip
        made = []
        with writing(self.engine) as connection:
            key = connection.execute(insert(videos).values(**source)).inserted_primary_key
            assert key is not None
            for index, caption in enumerate(captions):
                clip = {
                    "dataset_id": of, "video_id": key[0], "clip_index": index, "text": caption,
                    "start_pts": index, "end_pts": index + 1, "num_frames": FRAMES, "fps": 24.0,
                    "width": SIZE[0], "height": SIZE[1], "stage": "done", "status": "kept",
                }  # fmt: skip
                row = connection.execute(insert(clips).values(**clip)).inserted_primary_key
                assert row is not None
                made.append(int(row[0]))
        for clip_id in made:
            path = self.folder / f"{video} {clip_id}{ending}"
            path.write_bytes(_drawn(clip_id % 5))
            self.change(f"path = '{path}', file_size = {path.stat().st_size}", clip_id)
        return made

    def change(self, values: str, clip_id: int) -> None:
        """Set columns of a clip, in SQL."""
        with writing(self.engine) as connection:
            connection.execute(text(f"UPDATE clips SET {values} WHERE id = {clip_id}"))

    def file(self, clip_id: int) -> Path:
        """The file of a clip."""
        with self.engine.connect() as connection:
            found = connection.execute(text(f"SELECT path FROM clips WHERE id = {clip_id}"))
            return Path(found.scalar_one())

    def job(self, format: str, selection: Selection | None = None, **way: Any) -> FolderExport:
        """An export of all datasets; `way` changes options."""
        layout = FORMATS[format]
        assert isinstance(layout, MediaFormat)
        selection = selection or Selection()
        asked = bool(selection.columns)
        chosen = [(each.id, self.pipeline) for each in self.datasets]
        needs = (*NEEDED, *layout.needs(Way((), {}, **way)))
        plan = plan_several(self.engine, chosen, selection, needs)
        names = plan.names if asked or layout.columns == "usual" else ()
        full = Way(names, plan.kinds, **way)
        request = {"to": format, "names": list(names), "way": {k: str(v) for k, v in way.items()}}
        return FolderExport(self.engine, layout, full, [Side("", plan)], request)

    def export(self, format: str, target: Path | str, **way: Any) -> Written:
        """Write all datasets in a format."""
        return self.job(format, **way).write(str(target))


def make_shelf(home: Path, folder: Path) -> Shelf:
    """A shelf without datasets."""
    engine = make_engine(f"sqlite:///{home / 'curate.db'}")
    migrate.ensure(engine)
    pipeline = resolve_steps([dict(s) for s in STEPS], (), "test", ready=False).pipeline
    datasets.add_columns(engine, pipeline.columns())
    folder.mkdir(parents=True, exist_ok=True)
    return Shelf(engine, folder, pipeline)


def frames_of(path: Path) -> list[bytes]:
    """The pictures of a file, as a reader decodes them."""
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in source.decode(video=0)]


def tree(folder: Path) -> dict[str, bytes]:
    """Each file below a folder, by its path, with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in files_below(folder)}


def files_below(folder: Path) -> Iterator[Path]:
    """Each file below a folder, in order."""
    return (p for p in sorted(folder.rglob("*")) if p.is_file())
