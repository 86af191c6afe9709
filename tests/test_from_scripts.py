"""Each line about tables in docs/from-scripts.md gives the rows of the operation that the scripts
which curate replaces had, on the same table.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import insert, select, text

from curate.cli.main import call
from curate.db import datasets, migrate
from curate.db.engine import make_engine, reading, writing
from curate.db.schema import clips, videos
from curate.tasks.inputs.files import Input
from curate.worker.session.pipelines import resolve

Frame = pd.DataFrame
MB = 1024**2
PAGE = (Path(__file__).parent.parent / "docs" / "from-scripts.md").read_text(encoding="utf-8")
LINES = {
    found[2]: found[1]
    for found in re.finditer(r"^(curate .*?)   # ([^:;,\n]+).*$", PAGE.partition("\n## ")[2], re.M)
}
TEXTS = ["a dog", "a dog", "see http://x.com", "", None, "a cat", 'it\'s a dog, "Rex"']
FRAMES = [30, 60, 90, 120, 29, 48, 1]
FPS = [30.0, 30.0, 60.0, 30.0, 24.0, 24.0, None]
FLOW = [0.5, 3.28, 0.27, 7.5, 1.5, 0.78, 0.13]
SIZES = [100, 21 * MB, 20 * MB, 3, 50, 60, 70]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets `pets`, of seven clips with files, and `cars`, of three of the same spans."""
    folder = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{folder / 'curate.db'}"
    engine = make_engine(url, home=str(folder))
    migrate.ensure(engine)
    pipeline = resolve(None, ready=False).pipeline
    names = ["dog1", "dog2", "cat"]
    for name, numbers in (("pets", range(7)), ("cars", (1, 3, 5))):
        dataset = datasets.create(engine, name, "/v", pipeline)
        found = [Input(f"/v/{stem}.mp4", f"{stem}.mp4", "1") for stem in names]
        datasets.enqueue(engine, dataset, found, pipeline)
        with writing(engine) as connection:
            query = select(videos.c.id).where(videos.c.dataset_id == dataset.id)
            ids = connection.execute(query.order_by(videos.c.id)).scalars().all()
            for n in numbers:
                file = folder / "clips" / name / f"{names[n % 3]}_scene-{n // 3}.mp4"
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as stream:
                    stream.truncate(SIZES[n])  # takes no room on the disk
                row = {
                    "dataset_id": dataset.id, "video_id": ids[n % 3], "clip_index": n // 3,
                    "start_pts": n * 10, "end_pts": n * 10 + 10, "path": str(file), "stage": "done",
                    "status": "kept", "text": TEXTS[n], "num_frames": FRAMES[n], "fps": FPS[n],
                    "width": 320 * (n + 1), "height": 180 * (n + 1), "aspect_ratio": 0.5625,
                    "resolution": 320 * 180 * (n + 1) ** 2,
                }  # fmt: skip
                made = connection.execute(insert(clips).values(**row).returning(clips.c.id))
                values = {"flow": FLOW[n], "size": SIZES[n], "id": made.scalar_one()}
                fill = "UPDATE clips SET file_size = :size, flow = :flow, seconds = 1"
                connection.execute(text(f"{fill} WHERE id = :id"), values)
    engine.dispose()
    return folder


@pytest.fixture
def run(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Frame]:
    """Runs a line in the home; returns the table that it prints."""
    monkeypatch.setenv("CURATE_HOME", str(home))
    monkeypatch.chdir(home)

    def run(line: str) -> Frame:
        capsys.readouterr()
        code = call(shlex.split(line.replace("/data/", f"{home}/"))[1:])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return Frame() if " captions " in line else pd.read_csv(io.StringIO(captured.out))

    return run


@pytest.fixture
def tables(home: Path) -> Iterator[dict[str, Frame]]:
    """The table of each dataset, as the scripts had it, by the row's number in the database."""
    engine = make_engine(f"sqlite:///{home / 'curate.db'}", home=str(home))
    query = text(
        "SELECT c.*, d.name AS dataset, v.path AS source FROM clips c JOIN datasets d "
        "ON d.id = c.dataset_id JOIN videos v ON v.id = c.video_id "
        "ORDER BY c.video_id, c.clip_index"
    )
    with reading(engine) as connection:
        every = pd.read_sql(query, connection)
    every["path"] = every["path"].str.replace("./", f"{home}/", n=1, regex=False)
    yield {name: every[every.dataset == name].reset_index(drop=True) for name in ("pets", "cars")}
    engine.dispose()


SPAN = ["source", "start_pts", "end_pts"]


def apart(pets: Frame, cars: Frame) -> Frame:
    there = set(cars[SPAN].itertuples(index=False, name=None))
    return pets[[row not in there for row in pets[SPAN].itertuples(index=False, name=None)]]


def both(pets: Frame, cars: Frame) -> Frame:
    renamed = cars[[*SPAN, "text"]].rename(columns={"text": "text_of_cars"})
    return pets.merge(renamed, on=SPAN)


def sharded(pets: Frame) -> Frame:
    parts = np.array_split(pets.sort_values("id")["id"].to_numpy(), 3)
    return Frame([(i, shard) for shard, part in enumerate(parts) for i in part]).set_axis(
        ["id", "shard"], axis=1
    )


# what the scripts' operation makes of the tables
OPERATIONS: dict[str, Callable[[Frame, Frame], Frame]] = {
    "several inputs": lambda p, c: pd.concat([p, c]),
    "--difference": apart,
    "--intersection": both,
    "--ext": lambda p, c: p[[Path(path).exists() for path in p.path]],
    "--remove-empty-path": lambda p, c: p[p.path.str.len() > 0],
    "--remove-empty-caption": lambda p, c: p[p.text.str.len() > 0],
    "--remove-url": lambda p, c: p[~p.text.str.contains("http", na=True)],
    "--remove-path-duplication": lambda p, c: pd.concat([p, c]).drop_duplicates(SPAN),
    "--remove-text-duplication": lambda p, c: (
        p.sort_values("id").dropna(subset="text").drop_duplicates("text")
    ),
    "--path-subset": lambda p, c: p[p.path.str.contains("dog")],
    "--abspath": lambda p, c: p.assign(path=[str(Path(path).absolute()) for path in p.path]),
    "--relpath /data/clips": lambda p, c: p.assign(
        relpath=[str(Path(*Path(path).parts[-2:])) for path in p.path]
    ),
    "--path-to-id": lambda p, c: p.assign(id=[Path(path).stem for path in p.path]),
    "--sort flow": lambda p, c: p.sort_values("flow", ascending=False),
    "--sort-ascending flow": lambda p, c: p.sort_values("flow"),
    "--filesize": lambda p, c: p.assign(filesize=p.file_size / MB),
    "--fsmax 20": lambda p, c: p[p.file_size / MB <= 20],
    "--fmin 30": lambda p, c: p[p.num_frames >= 30],
    "--fmax 90": lambda p, c: p[p.num_frames <= 90],
    "--fpsmax 30": lambda p, c: p[(p.fps <= 30) | p.fps.isna()],
    "--hwmax 921600": lambda p, c: p[p.resolution <= 921600],
    "--flowmin 0.5": lambda p, c: p[p.flow >= 0.5],
    "--secondsmin 2": lambda p, c: p[p.num_frames / p.fps >= 2],
    "--secondsmax 2": lambda p, c: p[p.num_frames / p.fps <= 2],
    "--img-only": lambda p, c: p[p.fps.isna()],
    "--vid-only": lambda p, c: p[p.fps.notna()],
    "--head 3": lambda p, c: p.head(3),
    "--train-column": lambda p, c: p,
    "--shard 3": lambda p, c: sharded(p),
    "--append-text ' on film'": lambda p, c: p.assign(text=p.text + " on film").dropna(
        subset="text"
    ),
    "--score-to-text": lambda p, c: p.assign(
        text=[f"{a} [motion score: {b:.1f}]" for a, b in zip(p.text, p.flow, strict=True)]
    )[p.text.notna()],
}
ORDERED = {"--sort flow", "--sort-ascending flow", "--head 3", "several inputs", "--train-column"}
OTHERS = {"--shuffle --seed 42", "--update-text"}  # tested below


def test_each_line_has_its_operation() -> None:
    assert LINES.keys() == OPERATIONS.keys() | OTHERS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_line_gives_the_rows_of_the_operation(
    operation: str, run: Callable[[str], Frame], tables: dict[str, Frame]
) -> None:
    found = run(LINES[operation]).rename(columns={"clip_id": "id"})
    expected = OPERATIONS[operation](tables["pets"], tables["cars"])[list(found.columns)]
    assert 0 < len(found) == len(expected)
    if operation not in ORDERED:
        first = str(found.columns[0])
        found, expected = found.sort_values(first), expected.sort_values(first)
    pd.testing.assert_frame_equal(
        found.fillna("").reset_index(drop=True),
        expected.fillna("").reset_index(drop=True),
        check_dtype=False,
    )


def test_what_a_filter_leaves_out_is_something(tables: dict[str, Frame]) -> None:
    """The input tells each operation that leaves rows out from one that leaves none."""
    keep_all = {"several inputs", "--ext", "--remove-empty-path", "--abspath", "--path-to-id",
                "--relpath /data/clips", "--sort flow", "--sort-ascending flow", "--filesize",
                "--train-column", "--shard 3"}  # fmt: skip
    for name in OPERATIONS.keys() - keep_all:
        rows = 10 if name == "--remove-path-duplication" else 7  # of both tables, or of one
        assert len(OPERATIONS[name](tables["pets"], tables["cars"])) < rows


def test_clips_are_shuffled_the_same_way_each_time(
    run: Callable[[str], Frame], tables: dict[str, Frame]
) -> None:
    line = LINES["--shuffle --seed 42"].replace("clip_id", "clip_id,path")
    found, again = list(run(line).clip_id), list(run(line).clip_id)
    assert found == again != sorted(found)
    assert sorted(found) == sorted(tables["pets"].id)


def test_texts_of_another_table_are_taken(
    home: Path, run: Callable[[str], Frame], tables: dict[str, Frame]
) -> None:
    mended = tables["pets"][["path"]].assign(text="mended").head(2)
    mended.to_csv(home / "mended.csv", index=False)
    run(LINES["--update-text"])
    found = run("curate export pets --columns path,text --where \"text = 'mended'\"")
    assert list(found.path) == list(mended.path)
    run("curate captions drop pets")
