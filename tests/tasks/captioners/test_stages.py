"""The stages of captioners on MindSpore: captions of good clips, reasons of bad ones, and
folders looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curate.configs.errors import BadModel, ConfigError
from curate.tasks.captioners.interface import Caption
from curate.tasks.models.catalog import CAPTIONERS, Captioner, Need
from curate.tasks.models.checkpoint import INDEX
from curate.tasks.models.model_cache import cached_model, weights_state
from curate.tasks.models.verify import check, missing
from curate.tasks.models.weights import Weights
from curate.tasks.registry import stages
from curate.tasks.sharegpt4v import ShareGpt4vStage
from tests import tiny_captioners as tiny
from tests import tiny_newer, tiny_sharegpt4v
from tests.children import found_by

Found = Mapping[str, Any]
FOLDERS: dict[Captioner, str] = {
    "pllava": tiny.PLLAVA, "qwen2_vl": tiny.QWEN2, "qwen2_5_vl": tiny.QWEN25,
    "qwen3_vl": tiny_newer.QWEN3, "internvl": tiny_newer.INTERNVL,
    "sharegpt4v": tiny_sharegpt4v.MODEL,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of the cases found."""
    return found_by("tests.tasks.captioners.cases", tmp_path_factory.mktemp("captions"))


@pytest.mark.parametrize("name", CAPTIONERS)
def test_a_video_and_a_picture_are_captioned_and_a_lost_source_fails_alone(
    name: Captioner, found: Found
) -> None:
    captioned = found[name]
    assert {clip: kind for clip, (kind, _) in captioned["failed"].items()} == {"3": "Unreadable"}
    assert captioned["captions"].keys() == captioned["scores"].keys() == {"1", "2"}
    for clip, (row,) in captioned["captions"].items():
        assert row["model"] == FOLDERS[name]
        assert len(row["revision"]) == 12
        assert row["prompt"] == stages()[name].Options().prompt  # type: ignore[attr-defined]
        assert row["text_raw"] == captioned["scores"][clip]["text"] != ""
        assert 1 <= row["tokens"] <= 4


def test_fields_are_asked_for_once_more_or_the_clip_fails(found: Found) -> None:
    told = found["fields"]["told"]
    assert {clip: kind for clip, (kind, _) in told["failed"].items()} == {
        "2": "CaptionMalformed", "3": "Unreadable",
    }  # fmt: skip
    assert "mood is missing" in told["failed"]["2"][1]
    ((clip, (row,)),) = told["captions"].items()
    assert (clip, row["fields"], row["text_raw"]) == ("1", {"short": "A", "mood": "B"}, "A B")
    first, *again = found["fields"]["asked"]
    assert row["prompt"] == first
    assert [prompt.startswith(first) for prompt in again] == [True, True]
    assert "it holds no JSON object" in again[0]
    noise = found["fields"]["noise"]
    assert {kind for kind, _ in noise["failed"].values()} == {"CaptionMalformed", "Unreadable"}
    assert noise["captions"] == {}


def test_clips_of_one_pass_have_the_captions_that_they_have_alone(found: Found) -> None:
    assert found["together"]["scores"] == found["pllava"]["scores"]
    assert found["together"]["failed"].keys() == {"3"}


def test_a_beginning_read_in_parts_has_the_captions_that_it_has_at_once(found: Found) -> None:
    for name in ("pllava", "qwen2_vl", "qwen3_vl"):
        assert found["in parts"][name]["scores"] == found["at once"][name]["scores"] != {}


def test_captioners_of_one_decode_write_of_each_window_what_they_write_of_it_alone(
    found: Found,
) -> None:
    rows = found["windows"]["rows"]
    of_windows = [row for row in rows if row["window_start_pts"] is not None]
    texts = [[row["model"], row["text_raw"]] for row in of_windows]
    assert texts == found["windows"]["alone"]
    assert [model for model, _ in texts] == [tiny.PLLAVA] * 3 + [tiny.QWEN2] * 3
    for model in (tiny.PLLAVA, tiny.QWEN2):
        *parts, whole = [row["text_raw"] for row in rows if row["model"] == model]
        assert whole == " ".join(part.strip() for part in parts)
    assert found["windows"]["failed"] == {"3": "Unreadable"}
    assert found["windows"]["picture"] == [None, None]


def test_several_frames_are_captioned_with_a_tower_by_name(found: Found) -> None:
    assert found["several"]["scores"].keys() == {"1", "2"}
    assert found["several"]["scores"]["1"] != found["sharegpt4v"]["scores"]["1"]


def test_a_prompt_that_cannot_be_asked_fails_with_the_reason(found: Found) -> None:
    assert {found["prompt"]["failed"][clip][0] for clip in "12"} == {"StageError"}
    assert "must not be in a prompt" in found["prompt"]["failed"]["1"][1]


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_a_prompt_that_no_clip_can_be_asked_is_refused_before_a_run(kind: Captioner) -> None:
    stage = stages()[kind]
    word = {"internvl": "<IMG_CONTEXT>"}.get(kind, "<image>")
    word = "<|video_pad|>" if kind.startswith("qwen") else word
    stage.check(stage.Options())
    with pytest.raises(
        ConfigError, match=f"stage {kind} is wrong: its prompt holds {re.escape(word)}"
    ):
        stage.check(stage.Options.model_validate({"prompt": f"Look at {word}"}))


def test_numbers_that_are_none_fail_their_clip_and_no_other(found: Found) -> None:
    assert found["nan"]["scores"].keys() == {"1"}
    assert found["nan"]["failed"].keys() == {"2"}
    assert "NaN" in found["nan"]["failed"]["2"][1]


def test_a_caption_with_half_a_character_or_nul_in_it_is_kept_as_databases_take_it() -> None:
    """A model that writes bytes may write any; a clip must not fail by it."""
    stage: Any = object.__new__(ShareGpt4vStage)
    stage.options = stage.Options()
    stage._captioner = SimpleNamespace(name="a", revision="b")
    outcome = stage.outcome([(None, Caption("\0a \ud83d dog\0", 3, 0.1))])
    assert outcome.scores["text"] == outcome.tables[0].rows[0]["text_raw"] == "\ufffda ? dog\ufffd"


def test_cells_of_mindone_are_replaced_where_their_kernels_are_missing(found: Found) -> None:
    """When one runs by itself, take it out of cpu_kernels.py."""
    for name, (refused, difference) in found["mindone cells"].items():
        kernel = "RmsNorm" if name == "RmsNorm" else "GeluExt"
        assert kernel in (refused or ["", "nothing"])[1]
        assert difference < 1e-5


def test_a_trial_tells_how_long_it_took(found: Found) -> None:
    assert found["trial"]["again_seconds"] > 0
    assert "4 frames" in found["trial"]["device"]
    assert found["tower trial"]["again_seconds"] > 0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny captioners."""
    return tiny.write_all(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_the_tiny_captioners_lie_where_their_stages_look(kind: Captioner, folders: Path) -> None:
    assert missing(stages()[kind].models(stages()[kind].Options()), folders) == []


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_a_published_folder_is_in_order(kind: Captioner, folders: Path) -> None:
    check(folders / FOLDERS[kind], kind)
    assert missing([Need(kind, FOLDERS[kind])], folders) == []


def test_a_folder_of_another_family_is_refused(folders: Path) -> None:
    with pytest.raises(BadModel, match="model_type is qwen2_vl, not qwen2_5_vl"):
        check(folders / tiny.QWEN2, "qwen2_5_vl")


def test_what_is_missing_is_told_with_the_command_that_gets_it(tmp_path: Path) -> None:
    (line,) = missing([Need("qwen2_vl", "Qwen2-VL-7B-Instruct")], tmp_path)
    assert line.endswith(
        f"hf download Qwen/Qwen2-VL-7B-Instruct --local-dir {tmp_path}/Qwen2-VL-7B-Instruct"
    )


def test_a_missing_tower_is_told_with_the_commands_that_get_both(tmp_path: Path) -> None:
    folder = tiny_sharegpt4v.write(tmp_path)
    tower = (tmp_path / tiny_sharegpt4v.TOWER).rename(tmp_path / "tower")
    name = tiny_sharegpt4v.TOWER
    both = (
        f"hf download Lin-Chen/ShareGPT4V-7B --local-dir {folder} && "
        f"hf download Lin-Chen/{name} --local-dir {tmp_path}/{name}"
    )
    (line,) = missing([Need("sharegpt4v", "ShareGPT4V-7B")], tmp_path)
    assert f"its image tower {tiny_sharegpt4v.TOWER} is neither beside nor in it" in line
    assert line.endswith(both)
    assert missing([Need("sharegpt4v", "ShareGPT4V-7B", "tower")], tmp_path) == []
    assert missing([Need("sharegpt4v", str(folder), str(tower))], tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["tokenizer.json", "model-00002-of-00002.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_before_anything_is_loaded(
    name: str, tmp_path: Path
) -> None:
    folder = tiny.write_qwen(tmp_path / "model", "qwen2_vl")
    (folder / name).unlink()
    (line,) = missing([Need("qwen2_vl", str(folder))], tmp_path)
    assert name in line


def test_a_captioner_is_made_anew_when_its_tower_is_replaced(tmp_path: Path) -> None:
    folder, tower = tiny_sharegpt4v.write(tmp_path), tmp_path / tiny_sharegpt4v.TOWER
    first = cached_model(Weights, folder, also=tower)
    assert cached_model(Weights, folder, also=tower) is first
    os.utime(tower / "pytorch_model.bin", (1, 1))
    assert cached_model(Weights, folder, also=tower) is not first


def test_weights_in_several_files_are_loaded_anew_when_they_are_replaced(
    folders: Path, tmp_path: Path
) -> None:
    folder = tiny.write_qwen(tmp_path / "model", "qwen2_vl")
    before = weights_state(folder)
    assert before is not None
    (folder / INDEX).write_text((folder / INDEX).read_text() + "\n")
    assert weights_state(folder) != before
