"""The line with every score by a network, as a user runs it: tiny weights, real workers of both
queues on the CPU.

One `curate run` with scores.yaml and a filter more, whose worker is killed at its batch; then other
filters and another text. What reached rows and tables is compared with the formulas in NumPy
(tests/accuracy/oracle.py).
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from curate.configs.errors import ConfigError
from curate.configs.pipeline import read_yaml
from curate.configs.presets import PRESETS
from curate.tasks.clip_embed import POINTS
from curate.tasks.models.onnx_session import has_onnx_runtime
from curate.tasks.models.tokens import Tokens
from curate.tasks.video.samples import Samples
from curate.worker.session.pipelines import resolve
from tests import servers, tiny
from tests.accuracy import oracle
from tests.media import CLOSED, footage, picture, write_image, write_video
from tests.processes import CURATE, processes

TEXTS = {
    "three.mp4": "a dog on a beach",
    "more.mp4": "",
    "dot.png": "a red dot, " * 60,
    "strip.png": "",
}
FIRST, SECOND = ("a dog", "a cat"), ("a dog", "a cat", "a red bus")
PROMPT, SIDE = "a photo of {}", 32
FRAMES = POINTS[3]
SETS = {
    "split.min_seconds": "0.5", "unique.where": "duplicate >= 0", "clip_embed.frames": "3",
    "nsfw.threshold": "0.5", "option_match.enabled": "true",
    "option_match.texts": "[a dog, a cat]",
    "option_match.prompt": f"'{PROMPT}'",
    "match.enabled": "true", "told.where": "match IS NULL OR match >= -100",
    "lpips.enabled": "true",
    "lpips.side": str(SIDE), "changing.where": "lpips IS NULL OR lpips >= 0",
}  # fmt: skip
STRICT = {"fair.where": "aes >= 4.5", "safe.where": "nsfw = 0", "wanted.where": "match_option >= 0"}
LOOSE = {
    "fair.where": "aes >= -100",
    "safe.where": "nsfw >= 0",
    "wanted.where": "match_option >= -100",
}

Rows = list[dict[str, Any]]


def sets(values: Mapping[str, str]) -> list[str]:
    """Words of a command line."""
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


@dataclass
class Line:
    """A folder in which curate runs, and what was seen on the way."""

    folder: Path
    first: Rows = field(default_factory=list)  # clips after the first run
    second: Rows = field(default_factory=list)  # and when filters and texts were others
    third: Rows = field(default_factory=list)  # and under the first filters again
    vectors: list[Rows] = field(default_factory=list)  # embeddings after each
    batches: list[Rows] = field(default_factory=list)  # of clip_embed, after each
    scores: list[Rows] = field(default_factory=list)  # option_scores after each
    killed: str = ""  # owner of the batch at which its worker was killed
    mapped: dict[str, set[str]] = field(default_factory=dict)  # which engines, by queue

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start(self, *words: str) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        environment = clean | {
            "CURATE_HOME": str(self.home),
            "CURATE_DEVICE": "CPU",
            "CURATE_LEASE_SECONDS": "5",
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [CURATE, *words], cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    def curate(self, *words: str) -> str:
        """What a command says, which must end well."""
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, f"{words}\n{out}\n{err}"
        return out

    def rows(self, sql: str) -> Rows:
        """Rows of the database; none while it is not there yet."""
        import sqlite3

        if not (self.home / "curate.db").exists():
            return []
        with closing(sqlite3.connect(self.home / "curate.db", timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            with suppress(sqlite3.OperationalError):
                return [dict(row) for row in connection.execute(sql)]
        return []

    def note(self) -> Rows:
        """Remember tables; returns the clips."""
        self.vectors.append(self.rows("SELECT * FROM embeddings ORDER BY clip_id, frame"))
        self.scores.append(self.rows("SELECT * FROM option_scores ORDER BY clip_id, option"))
        self.batches.append(
            self.rows("SELECT n_ok, n_failed FROM batches WHERE stage = 'clip_embed'")
        )
        return self.rows(
            "SELECT c.*, v.relpath FROM clips c JOIN videos v ON v.id = video_id ORDER BY c.id"
        )

    def look(self) -> None:
        """Note which engines workers have mapped."""
        for pid in processes(self.home, "curate.worker"):
            with suppress(OSError):
                *_, options = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
                maps = Path(f"/proc/{pid}/maps").read_text()
                # one that was forked early shows its name in place of its options
                queue = json.loads(options)["queues"] if options.startswith("{") else "cpu"
                engines = {one for one in ("mindspore", "onnxruntime") if f"/{one}/" in maps}
                self.mapped.setdefault(queue, set()).update(engines)

    def kill(self) -> None:
        """Kill the process that has a batch of clip_embed, once."""
        held = self.rows(
            "SELECT owner FROM clips WHERE stage = 'clip_embed' AND owner IS NOT NULL LIMIT 1"
        )
        for row in held:
            os.kill(int(row["owner"].split("|")[2]), signal.SIGKILL)
            self.killed = row["owner"]

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Look and kill until the process ends, which it must do well."""
        for turn in itertools.count():
            if turn % 20 == 0:
                self.look()
            if not self.killed:
                self.kill()
            if process.poll() is not None or turn > 2400:
                break
            time.sleep(0.1)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0, f"{out}\n{err}"


def draw(folder: Path) -> None:
    """Six scenes in two videos, a picture of one pixel, a strip of 1 x 400; a table of them with
    texts.
    """
    (folder / "videos").mkdir()
    write_video(folder / "videos" / "three.mp4", footage(150, (50, 100)), CLOSED)
    write_video(
        folder / "videos" / "more.mp4", [picture(n, scene=3 + n // 50) for n in range(150)], CLOSED
    )
    write_image(folder / "videos" / "dot.png", picture(5)[:1, :1])
    write_image(folder / "videos" / "strip.png", picture(5, size=(400, 96))[:1])
    with (folder / "videos.csv").open("w", newline="") as file:
        written = csv.writer(file)
        written.writerows(
            [("path", "text"), *((f"videos/{name}", text) for name, text in TEXTS.items())]
        )
    (folder / "line.yaml").write_text(yaml.safe_dump({"pipeline": steps()}))
    tiny.write_all(folder / "home" / "models")


def steps() -> list[dict[str, Any]]:
    """Those of scores.yaml, and the filter that it proposes."""
    found = read_yaml(PRESETS / "scores.yaml")
    place = next(n for n, step in enumerate(found) if step.get("stage") == "option_match")
    return [
        *found[: place + 1],
        {"filter": "wanted", "where": "match_option >= 20"},
        *found[place + 1 :],
    ]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line after it all."""
    if not has_onnx_runtime():
        pytest.skip("ONNX Runtime is not installed")
    if servers.redis_program() is None:
        pytest.skip(servers.NO_REDIS)
    line = Line(tmp_path_factory.mktemp("line"))
    draw(line.folder)
    command = ("run", "videos.csv", "-o", "clips.csv", "--config", "line.yaml", "-j", "1")
    line.watch(line.start(*command, *sets(SETS | STRICT)))
    line.first = line.note()
    line.curate("refilter", *sets(LOOSE))
    line.curate("redo", "option_match", "--set", "option_match.texts=[a dog, a cat, a red bus]")
    line.curate("resume", "-o", "all.csv", "-j", "1")
    line.second = line.note()
    line.curate("refilter", *sets(STRICT))
    line.third = line.note()
    yield line


@pytest.fixture(scope="module")
def models(line: Line) -> Path:
    """The folder of the tiny models."""
    return line.home / "models"


def vectors_of(line: Line, clip: int, when: int = 1) -> NDArray[np.float64]:
    """The stored vectors of a clip, of unit length again."""
    rows = [row["vector"] for row in line.vectors[when] if row["clip_id"] == clip]
    return oracle.unit(np.array([np.frombuffer(row, "<f2") for row in rows], np.float64))


def samples(line: Line, row: Mapping[str, Any]) -> Samples:
    return Samples.open(line.home / "samples", row["video_id"], row["clip_index"])


def texts(models: Path, *words: str) -> NDArray[np.float64]:
    """100 times the unit embeddings of texts."""
    ids = Tokens(models / tiny.CLIP).encode(words)
    return oracle.logit_scale(models / tiny.CLIP) * oracle.unit(
        oracle.text_features(models / tiny.CLIP, ids)
    )


def test_rows_fill(line: Line) -> None:
    assert len(line.second) == 8
    for row in line.second:
        assert (row["status"], row["error"]) == ("kept", None)
        measured = ("aes", "nsfw", "nsfw_score", "match_option", "option")
        assert all(row[column] is not None for column in measured)


def test_vectors_are_those_of_the_formula_for_the_stored_samples(line: Line, models: Path) -> None:
    """float16 moves an entry by 6e-5 at most here, and a vector by 3e-4 of its length."""
    for row in line.second:
        found = samples(line, row)
        numbers = sorted({found.picture_number(point) for point in FRAMES})
        exact = oracle.image_features(
            models / tiny.CLIP, np.stack([oracle.pixels(found.picture(n)) for n in numbers])
        )
        stored = vectors_of(line, row["id"])
        assert stored.shape == (len(numbers), 768)
        np.testing.assert_allclose(
            np.linalg.norm(stored - oracle.unit(exact), axis=1), 0, atol=5e-4
        )


def test_scores_are_those_of_the_formulas_for_the_stored_vectors(line: Line, models: Path) -> None:
    options = texts(models, *(PROMPT.replace("{}", text) for text in SECOND))
    for row in line.second:
        stored = vectors_of(line, row["id"])
        best = (stored @ options.T).max(axis=0)
        unsafe = oracle.nsfw(models / tiny.NSFW, stored).max()
        assert row["aes"] == pytest.approx(
            oracle.aesthetic(models / tiny.AESTHETIC, stored).mean(), abs=1e-4
        )
        assert (row["nsfw_score"], row["nsfw"]) == (
            pytest.approx(unsafe, abs=1e-4),
            int(unsafe > 0.5),
        )
        assert (row["match_option"], row["option"]) == (
            pytest.approx(best.max(), abs=1e-3),
            SECOND[best.argmax()],
        )


def test_match_is_of_the_text_of_the_table_and_null_without(line: Line, models: Path) -> None:
    for row in line.second:
        text = TEXTS[Path(row["relpath"]).name]
        expected = (vectors_of(line, row["id"]) @ texts(models, text).T).max() if text else None
        assert row["match"] == (pytest.approx(expected, abs=1e-3) if text else None)
    assert {row["match"] is None for row in line.second} == {True, False}


def test_lpips_is_that_of_the_stored_samples_and_null_with_a_reason_for_pictures(
    line: Line, models: Path
) -> None:
    for row in (row for row in line.second if row["clip_index"] == 0):
        if row["relpath"].endswith(".png"):
            assert (row["lpips"], row["lpips_reason"]) == (
                None,
                "one frame only: it is a still image",
            )
            continue
        expected = over_time(samples(line, row), models / tiny.LPIPS)
        assert (row["lpips"], row["lpips_reason"]) == (pytest.approx(expected, abs=1e-4), None)


def over_time(found: Samples, folder: Path) -> float:
    """The mean distance of neighbouring frames, weighted by the time between them."""
    from PIL import Image

    squares = [
        np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for f in found.frames()
    ]
    distances = [oracle.lpips(folder, a, b) for a, b in itertools.pairwise(squares)]
    return float(np.average(distances, weights=np.diff(found.times)))


def test_each_text_has_its_score_in_the_table(line: Line, models: Path) -> None:
    for when, asked in enumerate((FIRST, SECOND)):
        options = texts(models, *(PROMPT.replace("{}", text) for text in asked))
        scored = {row["clip_id"] for row in line.scores[when]}
        assert len(scored) == (
            8 if when else len([r for r in line.first if r["match_option"] is not None])
        )
        for clip in scored:
            found = {
                row["option"]: row["score"] for row in line.scores[when] if row["clip_id"] == clip
            }
            expected = (vectors_of(line, clip) @ options.T).max(axis=0)
            assert found == pytest.approx(dict(zip(asked, expected, strict=True)), abs=1e-3)
    assert {(row["model"], row["prompt"]) for row in line.scores[1]} == {(tiny.CLIP, PROMPT)}


@pytest.mark.parametrize("when", ["first", "third"])
def test_filters_decide_by_the_scores(when: str, line: Line) -> None:
    """As they were first, and by `refilter` in the end, when every score is known."""
    rows = getattr(line, when)
    for row in rows:
        assert row["reason"] == verdict(row) and row["status"] == (
            "dropped" if verdict(row) else "kept"
        )
    assert {row["reason"] for row in rows} >= {"fair", "safe", None}, (
        "each of them decides something"
    )


def verdict(row: Mapping[str, Any]) -> str | None:
    """The first of STRICT that a clip does not pass."""
    if row["aes"] < 4.5:
        return "fair"
    if row["nsfw"] != 0:
        return "safe"
    return "wanted" if row["match_option"] < 0 else None


def test_what_a_filter_drops_goes_no_further(line: Line) -> None:
    unfair = [row for row in line.first if row["reason"] == "fair"]
    assert unfair and all(
        row["nsfw"] is row["match_option"] is row["path"] is None for row in unfair
    )


def test_no_picture_went_through_the_tower_again(line: Line) -> None:
    """Not for another text, not for other filters: each vector is the one that was written first,
    to the last bit.
    """
    assert line.vectors[0] == line.vectors[1] == line.vectors[2]
    assert line.batches[0] == line.batches[1] == line.batches[2]
    changed = [
        (a["match_option"], b["match_option"]) for a, b in zip(line.first, line.second, strict=True)
    ]
    assert any(before is not None and after > before for before, after in changed), (
        "the new text is the best of some"
    )


def test_a_batch_whose_worker_was_killed_is_done_again_once(line: Line) -> None:
    assert line.killed
    assert sum(batch["n_ok"] for batch in line.batches[0]) == 8
    assert sum(batch["n_failed"] for batch in line.batches[0]) == 0
    assert len(line.vectors[0]) == 6 * 3 + 2
    assert all(row["owner"] is None and row["attempts"] <= 1 for row in line.first)


def test_without_an_npu_no_worker_loads_mindspore(line: Line) -> None:
    assert line.mapped == {"cpu": set(), "ascend": {"onnxruntime"}}


def test_the_table_has_the_scores(line: Line) -> None:
    with (line.folder / "clips.csv").open(newline="") as file:
        kept = list(csv.DictReader(file))
    assert len(kept) == len([row for row in line.first if row["status"] == "kept"]) > 0
    columns = ("aes", "nsfw", "nsfw_score", "match_option", "option", "match", "lpips")
    assert kept[0].keys() >= set(columns)
    with (line.folder / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_preset_is_found_by_its_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = resolve(Path("scores.yaml"), ready=False).pipeline
    assert {"clip_embed", "aesthetic", "nsfw", "option_match"} <= {s.name for s in named.stages}
    for other in ("./sub/scores.yaml", "no_such.yaml", str(tmp_path / "scores.yaml")):
        with pytest.raises(ConfigError, match="there is no such file"):
            resolve(Path(other))


def test_a_file_of_ones_own_goes_before_a_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.yaml").write_text("pipeline: [probe, split]")
    assert "clip_embed" not in resolve(Path("scores.yaml"), ready=False).pipeline.by_name


def test_the_preset_with_everything_on_is_a_pipeline() -> None:
    made = resolve(Path("scores.yaml"), sets(SETS)[1::2], ready=False).pipeline
    assert {"option_match", "match", "lpips"} <= {s.name for s in made.stages}
    assert {s.name for s in made.filters} >= {"fair", "safe", "told", "changing"}
