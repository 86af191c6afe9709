"""How well a clip matches each of a list of texts, by CLIP: the stage `option_match`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from curate.configs.errors import ConfigError
from curate.configs.schema import Column
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.models.onnx_session import check_queue, device_of
from curate.tasks.stage import Clip, EngineOptions, Outcome, Rows, Scores, Stage, Storable

_FILE = "file://"


class OptionMatchOptions(EngineOptions):
    """Options of `option_match`."""

    batch_size: int = Field(256, ge=1, le=4096, description="rows claimed by one task")
    texts: tuple[Storable, ...] = Field(
        (),
        description="what to look for: a text, a list of texts, or file://list.txt with a text "
        "a line",
    )
    prompt: Storable = Field(
        "{}", description="what CLIP is asked, {} being the text, such as: a photo of {}"
    )
    keep: int = Field(
        0, ge=0, description="scores kept of each clip in option_scores, the best ones; 0: all"
    )
    model: Storable = Field(CLIP_MODEL, min_length=1, description="the model of clip_embed")

    @field_validator("texts", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """The texts, with those of files read now, so that they are frozen with the pipeline."""
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(
            isinstance(text, str) for text in listed
        ):
            raise ValueError("give a text, a list of texts, or file://list.txt")
        texts = [line.strip() for text in listed for line in _lines(text)]
        return tuple(dict.fromkeys(text for text in texts if text))

    @field_validator("prompt")
    @classmethod
    def _has_one_placeholder(cls, prompt: str) -> str:
        if prompt.count("{}") != 1:
            raise ValueError("it needs {} once, where the text goes")
        return prompt


def _lines(text: str) -> list[str]:
    if not text.startswith(_FILE):
        return [text]
    try:
        # -sig: some editors begin a file with a byte order mark
        path = Path(text.removeprefix(_FILE)).expanduser()
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{text} cannot be read: {error}") from None
    # a worker would read it as the name of a file when it loads the frozen pipeline
    if named := next((line.strip() for line in lines if line.strip().startswith(_FILE)), None):
        raise ValueError(f"{text} names another file: {named}")
    return lines


class OptionMatch(Stage[Clip, OptionMatchOptions]):
    """The CLIP score of each text, from the stored embeddings.

    A score is logit_scale (100) times the cosine of text and frame, the largest over the frames.
    All go to the table `option_scores`. Another text later costs the text tower only: ``curate redo
    option_match --set "option_match.texts=[a dog, a cat]"``.
    """

    name = "option_match"
    level = "clip"
    Options = OptionMatchOptions
    reads = ("embeddings",)
    writes = ("option_scores",)
    columns = {
        "match_option": Column(
            "float",
            "100 * cosine of the best of the option texts and the best frame; usually 10 to 35",
            -100,
            100,
            "higher",
        ),
        "option": Column("text", "which of the option texts that is"),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError without a text, PackageMissing without what the queue cpu needs."""
        check_queue(options.queue, cls.name, reads_texts=True)
        if not options.texts:
            why = (
                "it needs texts to look for, such as: texts: [a dog, a cat], "
                "or texts: file://list.txt"
            )
            raise ConfigError(source="of stage option_match", why=why)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The CLIP model."""
        return (Need("clip", options.model),)

    def load(self) -> None:
        """Load the text tower and embed the texts. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.embeddings import unit
        from curate.tasks.models.towers import text_tower

        settings, options = self.context.settings, self.options
        folder = folder_of(options.model, settings.model_folder)
        device = device_of(options.queue, settings.device, self.name)
        tower = text_tower(folder, device, options.dtype)
        prompts = [options.prompt.replace("{}", text) for text in options.texts]
        self._revision = tower.revision
        self._texts = tower.logit_scale * unit(tower.embed(prompts))

    def run(self, row: Clip) -> Outcome:
        """The best text with its score, and the scores of all texts.

        Raises EmbeddingMissing, OtherEmbeddings.
        """
        from curate.tasks.models.embeddings import matching, of_clip

        options = self.options
        vectors = matching(of_clip(row, options.model, self.name), self._revision, self.name)
        scores = (vectors @ self._texts.T).max(axis=0)
        best_first = [int(i) for i in (-scores).argsort(kind="stable")]
        made_by = {"model": options.model, "revision": self._revision, "prompt": options.prompt}
        stored = [
            {"option": options.texts[i], "score": float(scores[i]), **made_by}
            for i in best_first[: options.keep or None]
        ]
        best = best_first[0]
        values: Scores = {"match_option": float(scores[best]), "option": options.texts[best]}
        return Outcome(values, tables=[Rows("option_scores", {}, stored)])
