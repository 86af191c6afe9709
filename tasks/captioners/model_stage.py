"""What the stages of captioners that run here have in common: options, loading, several clips in
one pass.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from pydantic import Field

from curate.configs.errors import ConfigError, RowError
from curate.tasks.captioners.frames import frames_for
from curate.tasks.captioners.interface import Caption, Captioner
from curate.tasks.captioners.stage import CaptionOptions, CaptionStage
from curate.tasks.models.catalog import Kind, Need, folder_of
from curate.tasks.stage import AscendOptions, Clip, Outcome

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames
    from curate.tasks.captioners.writing import Sampling


class ModelOptions(AscendOptions, CaptionOptions):
    """Options of a stage that captions by a model in this process. A subclass adds the `model`."""

    model: str
    batch_size: int = Field(16, ge=1, le=4096, description="rows claimed by one task")
    pass_size: int = Field(1, ge=1, le=256, description="clips that are written about together")
    temperature: float = Field(
        0, ge=0, le=10, description="0: the best word each time; above: drawn among the better"
    )
    top_p: float = Field(
        1,
        gt=0,
        le=1,
        description="of what is drawn: the likeliest words that together have so much",
    )
    top_k: int = Field(
        0, ge=0, description="of what is drawn: so many words at most; 0: any number"
    )
    seed: int = Field(
        0, ge=0, lt=1 << 63, description="where the random numbers of each clip start"
    )


class ModelCaptioner(Captioner, Protocol):
    """A captioner that writes about several clips at once."""

    def captions(
        self, clips: Sequence[Frames], prompt: str, max_new_tokens: int
    ) -> Sequence[Caption]:
        """As `caption`, of several clips."""
        ...


OptionsT = TypeVar("OptionsT", bound=ModelOptions)


class ModelStage(CaptionStage[OptionsT]):
    """Captions each clip by one model. A subclass says which."""

    kind: ClassVar[Kind]
    shown: ClassVar[str]  # the word that stands for the frames in what the model is told

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError for a prompt that no clip can be asked."""
        if cls.shown in options.prompt:
            why = f"its prompt holds {cls.shown}, which stands for the frames and is put before the prompt; leave it out"
            raise ConfigError(source=f"of stage {cls.name}", why=why)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The captioner's folder."""
        return (Need(cls.kind, options.model),)

    @abstractmethod
    def captioner(self, folder: Path) -> ModelCaptioner:
        """The captioner of a folder. Raises BadModel, NoDevice, PackageMissing."""

    def load(self) -> None:
        """Load the captioner, once a process. Raises BadModel, NoDevice, PackageMissing."""
        self._captioner = self.captioner(
            folder_of(self.options.model, self.context.settings.model_folder)
        )

    def captioners(self) -> Sequence[Captioner]:
        """The one."""
        return [self._captioner]

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """Outcomes for clips, `pass_size` at a time: frames of no others are held."""
        size = self.options.pass_size
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        return [outcome for part in parts for outcome in self._pass(part)]

    def _pass(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        seen = [self._frames(row) for row in rows]
        shown = [frames for frames in seen if not isinstance(frames, RowError)]
        asked = self.options.prompt, self.options.max_new_tokens
        written = iter(self._captioner.captions(shown, *asked) if shown else ())
        return [
            frames if isinstance(frames, RowError) else self._judged(next(written))
            for frames in seen
        ]

    def _frames(self, row: Clip) -> Frames | RowError:
        try:
            return frames_for(row, [self._captioner])[0]
        except RowError as error:
            return error

    def _judged(self, caption: Caption) -> Outcome | RowError:
        try:
            return self.outcome([(self._captioner, caption)])
        except RowError as error:
            return error

    def sampling(self) -> Sampling:
        """How words are chosen."""
        from curate.tasks.captioners.writing import Sampling

        options = self.options
        return Sampling(options.temperature, options.top_p, options.top_k, options.seed)
