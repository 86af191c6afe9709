"""Finds clips that look like an earlier one, by their embeddings: the stage `semantic_dedup`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.configs.errors import ConceptMissing, ConfigError, NotFitted, RowError
from curate.configs.pipeline import Pipeline
from curate.tasks.stage import Clip, Column, Context, Field, Order, Outcome, Stage, StageOptions


class SemanticDedupOptions(StageOptions):
    """Options of `semantic_dedup`."""

    batch_size: int = Field(4096, ge=1, le=4096, description="rows claimed by one task")
    eps: float = Field(
        0.07,
        ge=0,
        le=1,
        description="1 - cosine up to which a clip is a duplicate; see: curate concepts rates",
    )


class SemanticDedup(Stage[Clip, SemanticDedupOptions]):
    """Marks a clip as duplicate when an earlier surviving clip of its concept lies within `eps`.

    Clips are taken in the order (video id, clip index), so the result depends neither on which
    worker was faster nor on the size of the batches. A process remembers the vectors of all
    survivors: 1.5 kB a clip with ViT-L/14. When concept is done again for all clips, so is this
    stage.
    """

    name = "semantic_dedup"
    level = "clip"
    Options = SemanticDedupOptions
    reads = ("embeddings",)
    fitted = "concept"
    redone_with = ("concept",)
    columns = {
        "semantic_duplicate": Column(
            "int", "1 when an earlier surviving clip of the concept is within eps", 0, 1, "lower"
        ),
        "semantic_duplicate_of": Column("int", "id of the earliest such clip"),
        "semantic_distance": Column("float", "1 - cosine of both", 0, 2),
        "semantic_seq": Column("int", "the order in which clips were looked at", 1),
    }

    def __init__(self, options: SemanticDedupOptions, context: Context) -> None:
        super().__init__(options, context)
        self._last = 0

    @classmethod
    def order(cls, options: Any) -> Order:
        """(video id, clip index)."""
        return Order(
            number="semantic_seq",
            recalled=("semantic_duplicate", "concept", "concept_fit"),
            tables=("embeddings",),
            duplicate_of="semantic_duplicate_of",
            duplicate="semantic_duplicate",
        )

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError unless a stage before it writes the concepts."""
        if not before.has(cls.fitted):
            why = f"it compares clips of one concept; put the stage {cls.fitted} before it"
            raise ConfigError(source=f"of stage {cls.name}", why=why)

    def load(self) -> None:
        """Raise NotFitted when there are no concepts."""
        from curate.tasks.models.kept_vectors import KeptClips

        if self.context.fit is None:
            raise NotFitted(stage=self.name)
        self._kept = KeptClips(self.context.fit, self.name)

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn the clips that any process took since the last call, this one included."""
        self._last = max([self._last, *(row["semantic_seq"] for row in rows)])
        self._kept.extend(row for row in rows if row["semantic_duplicate"] == 0)

    def run(self, row: Clip) -> Outcome:
        """The outcome of one clip. Raises EmbeddingMissing, OtherFit, ConceptMissing."""
        outcome = self.run_batch([row])[0]
        if isinstance(outcome, RowError):
            raise outcome
        return outcome

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """Outcomes of clips in order; each is also compared with earlier survivors of the batch."""
        outcomes: list[Outcome | RowError] = []
        able = [row for row in rows if row["concept"] is not None]
        matches = iter(self._kept.matches(able, self.options.eps))
        for number, row in enumerate(rows, self._last + 1):
            match = ConceptMissing(stage=self.name) if row["concept"] is None else next(matches)
            if isinstance(match, RowError):
                outcomes.append(match)
                continue
            original, distance = match or (None, None)
            columns = {
                "semantic_duplicate": int(match is not None),
                "semantic_duplicate_of": original,
                "semantic_distance": distance,
                "semantic_seq": number,
            }
            outcomes.append(Outcome(columns))
        return outcomes
