"""A random sample of a dataset's clips, by their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from curate.configs.errors import NoEmbedder, NothingEmbedded, UsageError
from curate.configs.shown import counted
from curate.db.vectors import embedded, embedders
from curate.tasks.models.embeddings import TABLE, read, unit
from curate.tasks.registry import stages
from curate.worker.session.database import OpenDataset

COUNTED = "status IN ('kept', 'active')"  # clips that are sampled
MOST_CONCEPTS = 1000  # by default, and a tenth of the clips at most
CLIPS_A_CONCEPT = 64  # sampled
LEAST_SAMPLE = 20_000


@dataclass(frozen=True)
class ConceptSample:
    """What to sample: about `size` of the `clips` that a revision of a model embedded, for so many
    concepts.
    """

    model: str
    revision: str
    clips: int
    concepts: int
    size: int
    seed: int
    others: str = ""  # who else embedded how many clips


def check_embeds(opened: OpenDataset) -> None:
    """Raise NoEmbedder if no clip is embedded, nor will be by a stage of the pipeline."""
    names = [name for name, cls in stages().items() if TABLE in cls.writes]
    if set(names) & set(opened.stage_names):
        return
    if not embedders(opened.engine, opened.dataset.id, COUNTED):
        anew = opened.dataset.run_anew("--config", "quality.yaml")
        raise NoEmbedder(name=opened.name, stages=", ".join(names), anew=anew)


def choose_sample(
    opened: OpenDataset, count: int | None, size: int | None, seed: int, model: str | None
) -> ConceptSample:
    """Whose embeddings to take, and how many. Raises NothingEmbedded, UsageError."""
    found = embedders(opened.engine, opened.dataset.id, COUNTED)
    if not found:
        check_embeds(opened)
        raise NothingEmbedded(name=opened.name, which="")
    known = list(dict.fromkeys(name for name, _, _ in found))
    if model and model not in known:
        raise UsageError(what=f"--model {model}: clips were embedded by {', '.join(known)}")
    name, revision, clips = next(one for one in found if model in (None, one[0]))
    others = ", ".join(
        f"{counted(n, 'clip')} {'is' if n == 1 else 'are'} embedded by {m} {r}".rstrip()
        for m, r, n in found
        if (m, r) != (name, revision)
    )
    concepts = count or max(1, min(MOST_CONCEPTS, clips // 10))
    if concepts > clips:
        embedded = f"{counted(clips, 'clip')} of {opened.name} are embedded"
        raise UsageError(what=f"-k {concepts}: only {embedded}; take fewer concepts")
    at_least = max(LEAST_SAMPLE, CLIPS_A_CONCEPT * concepts)
    size = max(concepts, size or at_least)
    return ConceptSample(name, revision, clips, concepts, size, seed, others)


def sample_vectors(
    engine: Engine, dataset_id: int, sampling: ConceptSample, report: Callable[[int], None]
) -> NDArray[np.float32]:
    """Vectors (n, width), of unit length, of clips whose id has a hash below a bound, by id.

    So the same clips are taken whatever the order in which the database gives them.
    """
    # some more, so that chance seldom leaves fewer than were asked for
    share = min(1.0, 1.05 * sampling.size / max(1, sampling.clips))
    sums: dict[int, NDArray[np.float32]] = {}
    done = 0
    for ids, revision, vectors in embedded(engine, dataset_id, sampling.model, COUNTED):
        done += len(ids)
        report(done)
        if revision != sampling.revision:
            continue
        taken = np.flatnonzero(hashes(ids, sampling.seed) < share)
        if not len(taken):
            continue
        for place, vector in zip(taken, read([vectors[n] for n in taken]), strict=True):
            clip = ids[place]
            sums[clip] = sums[clip] + vector if clip in sums else vector
    found = sorted(sums)
    first = np.argsort(hashes(found, sampling.seed), kind="stable")[: sampling.size]
    return unit(np.stack([sums.pop(found[place]) for place in sorted(first)]))


def hashes(ids: Sequence[int], seed: int) -> NDArray[np.float64]:
    """A number from 0 to 1 for each id, by splitmix64."""
    golden = 0x9E3779B97F4A7C15
    start = np.uint64((seed + 1) * golden % 2**64)
    mixed = np.array(ids, np.uint64) * np.uint64(golden) + start
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64
