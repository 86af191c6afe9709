"""Finds clips that look like an earlier one, by their embeddings: the stage `semantic_dedup`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.configs.errors import ConfigError, NotFitted
from curate.configs.pipeline import Pipeline
from curate.configs.row_errors import RowError
from curate.tasks.models.catalog import usual_eps
from curate.tasks.stage import Clip, Column, DuplicateStage, Field, Order, StageOptions


class SemanticDedupOptions(StageOptions):
    """Options of `semantic_dedup`."""

    batch_size: int = Field(4096, ge=1, le=4096, description="rows claimed by one task")
    eps: float | None = Field(
        None,
        ge=0,
        le=1,
        description="1 - cosine up to which a clip is a duplicate; null: 0.07 by CLIP, 0.2 by "
        "EfficientNet-Lite0, 0.05 by all-MiniLM-L6-v2; see: curate concepts rates",
    )


class SemanticDedup(DuplicateStage[SemanticDedupOptions]):
    """Marks a clip as duplicate when an earlier surviving clip lies within `eps`.

    Concepts tell where to look: in the clip's own and in those that may have a clip within `eps`,
    so the result does not depend on where the borders between concepts are. Clips are taken in the
    order (video id, clip index), so it depends neither on which worker was faster nor on the size
    of the batches. A process has 16 bytes in memory for each survivor, and its vector in files in
    TMPDIR: 1.9 kB with ViT-L/14. When concept is done again for all clips, so is this stage.
    """

    name = "semantic_dedup"
    Options = SemanticDedupOptions
    reads = ("embeddings",)
    fitted = "concept"
    redone_with = ("concept",)
    columns = {
        "semantic_duplicate": Column(
            "int", "1 when an earlier surviving clip is within eps", 0, 1, "lower"
        ),
        "semantic_duplicate_of": Column("int", "id of the earliest such clip"),
        "semantic_distance": Column("float", "1 - cosine of both", 0, 2),
        "semantic_seq": Column("int", "the order in which clips were looked at", 1),
    }

    @classmethod
    def order(cls, options: Any) -> Order:
        """(video id, clip index)."""
        return Order(
            number="semantic_seq",
            recalled=("semantic_duplicate",),
            tables=cls.reads,
            duplicate_of="semantic_duplicate_of",
            duplicate="semantic_duplicate",
        )

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError unless a stage before it writes the concepts."""
        if cls.fitted not in before.by_name:
            why = f"it searches clips by their concepts; put the stage {cls.fitted} before it"
            raise ConfigError(source=f"of stage {cls.name}", why=why)

    def load(self) -> None:
        """Read the centroids. Raises NotFitted."""
        from curate.tasks.models.concepts import Concepts
        from curate.tasks.models.kept_vectors import KeptVectors

        if self.context.fit is None:
            raise NotFitted(stage=self.name)
        self._concepts = Concepts(self.context.fit)
        eps = self.options.eps
        eps = usual_eps(self.context.fit.model) if eps is None else eps
        self._kept = KeptVectors(self._concepts.centroids, eps)

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn survivors, in order; without those that other weights have embedded since."""
        faults, vectors = self._concepts.vectors([row["embeddings"] for row in rows], self.name)
        self._kept.extend([row["id"] for n, row in enumerate(rows) if n not in faults], vectors)

    def matches(self, rows: Sequence[Clip]) -> list[tuple[int, float] | RowError | None]:
        """For each clip the earliest survivor within eps with its distance, or what is wrong with
        its embeddings.
        """
        found = [row.tables["embeddings"] for row in rows]
        faults, vectors = self._concepts.vectors(found, self.name)
        able = [row.id for n, row in enumerate(rows) if n not in faults]
        matches = iter(self._kept.matches(able, vectors))
        return [faults[n] if n in faults else next(matches) for n in range(len(rows))]
