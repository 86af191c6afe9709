"""Options of the stages that run networks: which texts, which prompt, which frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.configs.errors import ConfigError, PackageMissing
from curate.configs.pipeline import parse
from curate.configs.schema import describe_options
from curate.tasks.clip_embed import ClipEmbedOptions
from curate.tasks.models.onnx_session import device_of
from curate.tasks.option_match import OptionMatch, OptionMatchOptions
from curate.tasks.registry import stages


def texts(given: Any) -> tuple[str, ...]:
    return OptionMatchOptions(texts=given).texts


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A file of texts as people write them."""
    file = tmp_path / "list.txt"
    file.write_text("a dog\n\n  a cat  \na dog\r\n\u732b\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a dog", ("a dog",)),
        (["a dog", "a cat"], ("a dog", "a cat")),
        (["a cat", "a dog", "a cat", " a cat "], ("a cat", "a dog")),
        (["", "  ", "a dog"], ("a dog",)),
        ([], ()),
    ],
)
def test_a_text_or_a_list_in_its_order_each_once(given: Any, expected: tuple[str, ...]) -> None:
    assert texts(given) == expected


def test_a_file_has_a_text_a_line(listed: Path) -> None:
    assert texts(f"file://{listed}") == ("a dog", "a cat", "\u732b")
    assert texts(["a bus", f"file://{listed}"]) == ("a bus", "a dog", "a cat", "\u732b")


def test_the_mark_at_the_start_of_a_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a dog\n", encoding="utf-8-sig")
    assert texts(f"file://{tmp_path}/list.txt") == ("a dog",)


def test_texts_of_a_file_are_frozen_with_the_pipeline(listed: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"stage": "probe"}, {"stage": "split"}, {"stage": "clip_embed"},
        {"stage": "option_match", "texts": f"file://{listed}"},
    ]  # fmt: skip
    made = parse(steps, stages(), "test")
    frozen = made.frozen()
    listed.unlink()
    again: Any = parse(frozen, stages(), "test").by_name["option_match"].options
    assert again.texts == ("a dog", "a cat", "\u732b")


def test_a_line_of_a_file_never_names_a_file(tmp_path: Path) -> None:
    """A worker reads the frozen pipeline again: such a line would make it read what enqueue did
    not.
    """
    file = tmp_path / "list.txt"
    file.write_text("a dog\nfile:///etc/hostname\n", encoding="utf-8")
    with pytest.raises(ValidationError, match=r"file:///etc/hostname"):
        texts(f"file://{file}")


@pytest.mark.parametrize("given", [3, None, {"a": 1}, ["a dog", 3], [["a dog"]]])
def test_what_is_no_list_of_texts_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match=r"give a text, a list of texts, or file://list\.txt"):
        texts(given)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"nothing\.txt cannot be read"):
        texts(f"file://{tmp_path}/nothing.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValidationError, match=r"bytes\.txt cannot be read"):
        texts(f"file://{tmp_path}/bytes.txt")


@pytest.mark.parametrize("given", ["a\0dog", "a dog \ud83d", "\udc80"], ids=ascii)
def test_texts_that_no_database_takes_are_refused(given: str, tmp_path: Path) -> None:
    for options in (
        {"texts": [given]},
        {"texts": given},
        {"prompt": f"{given} {{}}"},
        {"model": given},
    ):
        with pytest.raises(ValidationError, match=r"it holds|unicode"):
            OptionMatchOptions(**options)
    with pytest.raises(ValidationError, match=r"it holds|unicode"):
        ClipEmbedOptions(model=given)
    (tmp_path / "list.txt").write_bytes(b"a cat\na \0 dog\n")
    with pytest.raises(ValidationError, match="NUL"):
        texts(f"file://{tmp_path}/list.txt")


@pytest.mark.parametrize("prompt", ["a photo", "", "{} and {}", "a photo of {text}"])
def test_a_prompt_has_one_place_for_the_text(prompt: str) -> None:
    with pytest.raises(ValidationError, match=r"it needs \{\} once"):
        OptionMatchOptions(prompt=prompt)


def test_option_match_without_a_text_is_refused_at_enqueue() -> None:
    with pytest.raises(ConfigError, match="it needs texts to look for"):
        OptionMatch.check(OptionMatchOptions(texts=["", "  "]))
    OptionMatch.check(OptionMatchOptions(texts="a dog"))


@pytest.mark.parametrize(
    "wrong", [{"keep": -1}, {"model": ""}, {"dtype": "int8"}, {"texts": ["x"], "text": "y"}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OptionMatchOptions(**wrong)


@pytest.mark.parametrize("stage", ["clip_embed", "option_match", "match", "lpips"])
def test_the_queue_cpu_is_for_onnx_runtime(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = stages()[stage]
    texts = {"texts": ["a dog"]} if stage == "option_match" else {}
    options = cls.Options(queue="cpu", **texts)
    cls.check(options)
    assert device_of("cpu", "Ascend", stage) == "CPU"
    assert device_of("ascend", "Ascend", stage) == "Ascend"
    real = importlib.util.find_spec
    gone = lambda name, *rest: None if name == "onnxruntime" else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", gone)
    with pytest.raises(PackageMissing, match=f"{stage} on the queue cpu"):
        cls.check(options)
    cls.check(cls.Options(**texts))


@pytest.mark.parametrize(("stage", "refused"), [("match", True), ("clip_embed", False)])
def test_texts_need_tokenizers_on_the_queue_cpu(
    stage: str, refused: bool, hide_package: Callable[[str], None]
) -> None:
    hide_package("tokenizers")
    cls = stages()[stage]
    cls.check(cls.Options())
    expected = pytest.raises(PackageMissing, match="tokenizers") if refused else nullcontext()
    with expected:
        cls.check(cls.Options(queue="cpu"))


@pytest.mark.parametrize("stage", ["pllava", "qwen2_5_vl", "internvl"])
def test_no_process_of_the_queue_cpu_loads_mindspore(stage: str) -> None:
    options = stages()[stage].Options
    assert options(queue="ascend").queue == options().queue == "ascend"
    with pytest.raises(ValidationError, match="should be 'ascend'"):
        options(queue="cpu")
    assert {o["option"]: o["range"] for o in describe_options(options)}["queue"] == "ascend"


@pytest.mark.parametrize("frames", [0, 4, "many", 1.5])
def test_frames_are_1_2_or_3(frames: Any) -> None:
    with pytest.raises(ValidationError):
        ClipEmbedOptions(frames=frames)


def test_a_model_is_a_name_or_a_path() -> None:
    by_name, by_path = (
        OptionMatch.models(OptionMatchOptions(model=model))[0] for model in ("mine", "/models/mine")
    )
    assert (by_name.kind, by_name.model, by_path.model) == ("clip", "mine", "/models/mine")


@pytest.mark.parametrize("stage", ["clip_embed", "lpips"])
@pytest.mark.parametrize(("queue", "divides"), [("cpu", True), ("ascend", False)])
def test_processes_of_the_queue_cpu_share_what_waits(stage: str, queue: str, divides: bool) -> None:
    """A batch of clip_embed takes a minute there; on an NPU a full one is the faster way."""
    steps = [{"stage": "probe"}, {"stage": "split"}, {"stage": stage, "queue": queue}]
    assert parse(steps, stages(), "test").by_name[stage].divides == divides
