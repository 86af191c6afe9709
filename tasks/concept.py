"""Which concept of its dataset a clip belongs to: the stage `concept`."""

from __future__ import annotations

from collections.abc import Sequence

from curate.configs.errors import NotFitted
from curate.configs.row_errors import RowError
from curate.tasks.stage import BatchStage, Clip, Column, Field, Outcome, StageOptions


class ConceptOptions(StageOptions):
    """Options of `concept`."""

    batch_size: int = Field(1024, ge=1, le=4096, description="rows claimed by one task")


class Concept(BatchStage[Clip, ConceptOptions]):
    """The nearest of the centroids that `curate concepts fit` found in the dataset's embeddings.

    Until concepts are fitted the stage is blocked, and clips wait. Of a clip with several frames it
    takes the mean direction of their embeddings. When concepts are fitted anew, clips keep those
    they have until `curate redo concept`; concept_fit tells by which fit they have them.
    """

    name = "concept"
    level = "clip"
    Options = ConceptOptions
    reads = ("embeddings",)
    fitted = "concept"
    columns = {
        "concept": Column("int", "number of the concept; 0 had most clips when it was fitted", 0),
        "concept_distance": Column(
            "float", "1 - cosine of the clip and the concept's centroid", 0, 2, "lower"
        ),
        "concept_fit": Column("int", "the fit that the concept is of", 1),
    }

    def load(self) -> None:
        """Read the centroids. Raises NotFitted."""
        from curate.tasks.models.concepts import Concepts

        if self.context.fit is None:
            raise NotFitted(stage=self.name)
        self._number = self.context.fit.number
        self._concepts = Concepts(self.context.fit)

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """The concepts of the clips; those that cannot be compared fail alone."""
        outcomes: list[Outcome | RowError] = []
        for found in self._concepts.of(rows, self.name):
            if isinstance(found, RowError):
                outcomes.append(found)
                continue
            concept, distance = found
            scores = {"concept": concept, "concept_distance": distance}
            outcomes.append(Outcome(scores | {"concept_fit": self._number}))
        return outcomes
