"""The presets of the scripts that curate replaces, as a user runs them: tiny random weights, real
workers on the CPU.

Random scores mean nothing, so the filters of scores let everything through; stages and their order
are the presets'.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from curate.tasks.captioners import prompts
from curate.tasks.text.prefix import strip_prefix
from curate.tasks.text.t5 import clean_t5
from curate.worker.session.pipelines import resolve
from tests import servers, tiny, tiny_captioners
from tests.media import CLOSED, footage, write_video
from tests.processes import CURATE

NEEDED = ("mindspore", "rapidocr", "ftfy")
TRAINED_ON = [
    "path",
    "text",
    "num_frames",
    "fps",
    "height",
    "width",
    "aspect_ratio",
    "resolution",
    "text_len",
]


@dataclass(frozen=True)
class Preset:
    """A preset: its captioner, with folder and prompt; the scores it adds to the table; what the
    test sets.
    """

    file: str
    captioner: str
    published: str
    folder: str
    prompt: str
    scores: frozenset[str]
    sets: Mapping[str, str]


TOKENS = 16  # of a caption: enough that a random one holds a word
LOOSE = {"unique.where": "duplicate >= 0", "fair.where": "aes >= -100"}
V1 = Preset(
    "t2v-v1.yaml", "pllava", "ermu2001/pllava-7b", tiny_captioners.PLLAVA, prompts.PLLAVA,
    frozenset({"match_option", "aes", "match"}),
    LOOSE | {"pllava.max_new_tokens": f"{TOKENS}", "pllava.frames": "2",
             "on_topic.where": "match_option >= -100", "told.where": "match >= -100"},
)  # fmt: skip
FINAL = Preset(
    "t2v-final.yaml", "qwen2_vl", "Qwen/Qwen2-VL-7B-Instruct", tiny_captioners.QWEN2, prompts.QWEN,
    frozenset({"ocr", "num_boxes", "max_single_percentage", "total_text_percentage", "lpips",
               "aes", "nsfw"}),
    LOOSE | {"qwen2_vl.max_new_tokens": f"{TOKENS}", "qwen2_vl.largest": "3136",
             "little_text.where": "total_text_percentage >= 0",
             "lpips.side": "32", "changing.where": "lpips >= 0", "safe.where": "nsfw >= 0"},
)  # fmt: skip


@dataclass
class Ran:
    """A finished run: its preset, its table, and rows of its database."""

    preset: Preset
    folder: Path
    table: list[dict[str, str]] = field(default_factory=list)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.folder / "home" / "curate.db")) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        environment = clean | {"CURATE_HOME": str(self.folder / "home"), "CURATE_DEVICE": "CPU"}
        command = [
            CURATE,
            "run",
            "videos",
            "-o",
            "clips.csv",
            "--config",
            self.preset.file,
            "-j",
            "1",
            *words,
        ]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300
        )


def made(preset: Preset, folder: Path) -> Ran:
    """A folder with a video of two scenes and all weights but the captioner's."""
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    (folder / "videos").mkdir()
    write_video(folder / "videos" / "two.mp4", footage(120, (60,)), CLOSED)
    tiny.write_all(folder / "home" / "models")
    return Ran(preset, folder)


@pytest.fixture(scope="module", params=[V1, FINAL], ids=lambda preset: preset.file)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The run of a preset."""
    if servers.redis_program() is None:
        pytest.skip(servers.NO_REDIS)
    ran = made(request.param, tmp_path_factory.mktemp("preset"))
    tiny_captioners.write_all(ran.folder / "home" / "models", [ran.preset.folder])
    done = ran.run(
        *(word for name, value in ran.preset.sets.items() for word in ("--set", f"{name}={value}"))
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    with (ran.folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        ran.table = list(csv.DictReader(file))
    return ran


def test_every_clip_comes_to_the_table_with_the_columns_of_the_scripts(ran: Ran) -> None:
    assert len(ran.table) == 2
    columns = list(ran.table[0])
    assert columns[: len(TRAINED_ON)] == TRAINED_ON
    assert ran.preset.scores < set(columns)
    for row in ran.table:
        assert all(row[name] != "" for name in (*TRAINED_ON, *ran.preset.scores))
        assert Path(row["path"]).is_file()


def test_the_stages_ran_in_the_order_of_the_preset(ran: Ran) -> None:
    wanted = [step.name for step in resolve(Path(ran.preset.file), ready=False).pipeline.stages]
    first = ran.rows(
        "SELECT stage, min(id) AS first, sum(n_failed) AS failed FROM batches GROUP BY stage "
        "ORDER BY 2"
    )
    assert [row["stage"] for row in first] == wanted
    assert {row["failed"] for row in first} == {0}


def test_the_captioner_ran_where_ascend_is_served(ran: Ran) -> None:
    """In the process that embeds, which has the device to itself; `cpu` stages ran in another."""
    workers = {
        row["stage"]: row["worker"]
        for row in ran.rows("SELECT DISTINCT stage, worker FROM batches")
    }
    assert workers[ran.preset.captioner] == workers["clip_embed"]
    assert workers[ran.preset.captioner] not in {
        workers[name] for name in ("split", "aesthetic", "clean_text", "cut")
    }


def test_each_caption_says_who_wrote_it_and_keeps_what_was_written(ran: Ran) -> None:
    captions = ran.rows("SELECT * FROM captions")
    assert len({row["clip_id"] for row in captions}) == len(captions) == len(ran.table)
    for row in captions:
        assert (row["model"], row["prompt"], len(row["revision"])) == (
            ran.preset.folder,
            ran.preset.prompt,
            12,
        )
        assert 1 <= row["tokens"] <= TOKENS
        assert row["text_raw"].strip()
        assert row["text"] == clean_t5(strip_prefix(row["text_raw"]))
    assert {row["clip_id"]: row["text"] for row in captions} == {
        int(r["clip_id"]): r["text"] for r in ran.table
    }


@pytest.mark.parametrize("preset", [V1, FINAL], ids=lambda preset: preset.file)
def test_without_the_captioner_nothing_starts_and_the_command_that_gets_it_is_told(
    preset: Preset, tmp_path: Path
) -> None:
    """A line for each folder that is missing: here only the captioner's."""
    ran = made(preset, tmp_path)
    done = ran.run()
    folder = tmp_path / "home" / "models" / preset.folder
    how = f"hf download {preset.published} --local-dir {folder}"
    assert done.returncode == 4
    assert [line for line in done.stderr.splitlines() if line.startswith("  ")] == [
        f"  {preset.folder}: there is no folder {folder}; get it with: {how}"
    ]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["models"]
