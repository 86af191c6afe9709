"""dedup is the greedy rule over an order, whatever the batches were."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.settings import Settings
from curate.tasks.dedup import Dedup, DedupOptions
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.hamming import HashTable
from curate.tasks.video.survivors import Survivors
from curate.tasks.video.views import VIEWS, encode_views

Word = int | None
# hashes that are often near each other: a few bits of a short word
words = st.one_of(st.none(), st.integers(0, 0xFFF))
VIDEO = Video(1, 1, "/v.mp4", "v.mp4", {})


def text(word: Word) -> str | None:
    return None if word is None else f"{word:016x}"


def clip(number: int, pair: tuple[Word, Word], mirrored: tuple[Word, Word] = (None, None)) -> Clip:
    values = {
        "hash_first": text(pair[0]),
        "hash_middle": text(pair[1]),
        "hash_first_mirrored": text(mirrored[0]),
        "hash_middle_mirrored": text(mirrored[1]),
        "hash_views": None,
    }
    return Clip(number, 1, number, VIDEO, 0, 1, Fraction(1), values, Path())


def distance(a: tuple[Word, Word], b: tuple[Word, Word]) -> int | None:
    """The definition, word by word: the larger distance of the frames that both have."""
    found = [
        bin(x ^ y).count("1") for x, y in zip(a, b, strict=True) if x is not None and y is not None
    ]
    return max(found) if found else None


def greedy(pairs: list[tuple[Word, Word]], threshold: int) -> list[int | None]:
    """The definition: the earliest survivor within the threshold, for each in order."""
    survivors: list[int] = []
    result: list[int | None] = []
    for n, pair in enumerate(pairs):
        near = [
            s for s in survivors if (d := distance(pairs[s], pair)) is not None and d <= threshold
        ]
        result.append(near[0] if near else None)
        survivors += [] if near else [n]
    return result


def stage(**options: Any) -> Dedup:
    return Dedup(DedupOptions(**options), Context(Settings()))


def run(dedup: Dedup, clips: list[Clip]) -> list[dict[str, Any]]:
    """One batch, and what the database would tell the stage afterwards."""
    outcomes = [dict(o.scores) for o in dedup.run_batch(clips)]
    dedup.recall([{"id": c.id, **c.values, **o} for c, o in zip(clips, outcomes, strict=True)])
    return outcomes


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(words, words), max_size=30),
    st.integers(0, 5),
    st.integers(1, 30),
    st.booleans(),
)
def test_batches_do_not_change_the_greedy_result(
    pairs: list[tuple[Word, Word]], threshold: int, size: int, indexed: bool
) -> None:
    dedup = stage(threshold=threshold)
    if indexed:
        dedup._survivors._pairs = HashTable("both", index_from=0)
    clips = [clip(n, p) for n, p in enumerate(pairs)]
    found = [o for at in range(0, len(clips), size) for o in run(dedup, clips[at : at + size])]
    assert [o["duplicate_of"] for o in found] == greedy(pairs, threshold)
    assert [o["dedup_seq"] for o in found] == list(range(1, len(pairs) + 1))


def test_the_distance_is_the_larger_of_both_frames() -> None:
    (_, second) = run(stage(threshold=10), [clip(0, (0, 0)), clip(1, (0b11, 0b1))])
    assert second == {"duplicate": 1, "duplicate_of": 0, "duplicate_distance": 2, "dedup_seq": 2}


def test_one_near_frame_is_not_enough() -> None:
    (_, second) = run(stage(threshold=2), [clip(0, (0, 0)), clip(1, (0, 0xFFFF))])
    assert second["duplicate"] == 0


def test_the_seed_compares_the_first_frame_only() -> None:
    (_, second) = run(stage(threshold=2, frames="first"), [clip(0, (0, 0)), clip(1, (0, 0xFFFF))])
    assert second["duplicate"] == 1


def viewed(
    number: int,
    views: list[Any],
    pair: tuple[Word, Word] = (None, None),
    mirrored: tuple[Word, Word] = (None, None),
) -> Clip:
    """A clip with views of its frames, and hash pairs that say nothing unless given."""
    plain = clip(number, pair, mirrored)
    return replace(plain, values={**plain.values, "hash_views": encode_views([views])})


def frames(seed: int, number: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**63, (number, VIEWS), np.uint64)


PAIR, OTHER = (0x123, 0x456), (0xFFFF0000, 0xFFFF00000000)


@pytest.mark.parametrize(("views", "duplicate"), [("none", 0), ("mirror", 1), ("all", 1)])
def test_a_mirrored_clip_is_found_when_asked_for(views: str, duplicate: int) -> None:
    (_, second) = run(stage(views=views), [clip(0, PAIR), clip(1, OTHER, PAIR)])
    assert (second["duplicate"], second["duplicate_of"]) == (duplicate, 0 if duplicate else None)
    assert second["duplicate_distance"] == (0 if duplicate else None)


def test_frames_are_compared_in_all_views_when_asked_for() -> None:
    source = frames(1)
    (_, other, crop) = run(
        stage(views="all"),
        [viewed(0, [*source]), viewed(1, [*frames(2)]), viewed(2, [*np.roll(source, -2, axis=1)])],
    )
    assert (other["duplicate"], crop["duplicate_of"]) == (0, 0)
    assert crop["duplicate_distance"] == 0


pairs_of_words = st.tuples(words, words)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(pairs_of_words, pairs_of_words, st.integers(0, 9)), max_size=12),
    st.tuples(pairs_of_words, pairs_of_words, st.integers(0, 9)),
)
def test_each_setting_finds_what_the_one_before_it_finds(
    earlier: list[tuple[Any, Any, int]], copy: tuple[Any, Any, int]
) -> None:
    """Among the same survivors, and none of a later clip than the setting before."""
    *rows, row = (
        viewed(n, [*frames(seed)] if seed else [], pair, mirrored)
        for n, (pair, mirrored, seed) in enumerate([*earlier, copy])
    )
    found = []
    for views in ("none", "mirror", "all"):
        survivors = Survivors("both", views)
        survivors.extend([r.id for r in rows], rows)
        match = survivors.earliest_within(row, 3)
        found.append(match[0] if match else math.inf)
    assert found == sorted(found, reverse=True)


def test_the_earliest_of_both_ways_counts() -> None:
    by_pair, by_views = (5, 5), frames(1)
    for first, second in [(0, 1), (1, 0)]:
        earlier = [viewed(first, [*frames(2)], by_pair), viewed(second, [*by_views], (None, None))]
        earlier.sort(key=lambda c: c.id)
        (*_, last) = run(stage(views="all"), [*earlier, viewed(2, [*by_views], by_pair)])
        assert last["duplicate_of"] == 0


def test_batches_do_not_change_what_views_find() -> None:
    chance = np.random.default_rng(3)
    clips = [viewed(n, [*frames(int(chance.integers(40)), 6)]) for n in range(120)]
    whole = run(stage(views="all"), clips)
    parts = stage(views="all")
    found = [o for at in range(0, 120, 13) for o in run(parts, clips[at : at + 13])]
    assert found == whole
    assert 60 < sum(o["duplicate"] for o in whole) < 100


@pytest.mark.parametrize(("views", "asked"), [("none", False), ("mirror", False), ("all", True)])
def test_views_are_read_from_the_rows_only_when_compared(views: str, asked: bool) -> None:
    assert ("hash_views" in Dedup.order(DedupOptions(views=views)).recalled) == asked


def test_clips_without_any_hash_are_never_duplicates() -> None:
    found = run(stage(threshold=32), [clip(n, (None, None)) for n in range(3)])
    assert [o["duplicate"] for o in found] == [0, 0, 0]


def test_a_batch_that_was_not_saved_is_forgotten() -> None:
    dedup = stage(threshold=0)
    dedup.run_batch([clip(0, (5, 5))])
    (again,) = dedup.run_batch([clip(0, (5, 5))])
    assert (again.scores["dedup_seq"], again.scores["duplicate"]) == (1, 0)


def test_best_takes_large_then_long_clips_first_and_waits_for_all() -> None:
    order = Dedup.order(DedupOptions(keep="best"))
    assert order.by == ("-resolution", "-seconds", "video_id", "clip_index")
    assert order.whole
    assert not Dedup.order(DedupOptions()).whole


@pytest.mark.parametrize(
    ("threshold", "documented"), [(8, "2.8e-10"), (10, "1.0e-08"), (12, "2.3e-07"), (15, "1.2e-05")]
)
def test_the_documented_chance_of_a_false_match_is_the_binomial_sum(
    threshold: int, documented: str
) -> None:
    chance = sum(math.comb(64, k) for k in range(threshold + 1)) / 2**64
    assert f"{chance:.1e}" == documented
    page = (Path(__file__).parents[2] / "docs" / "dedup.md").read_text(encoding="utf-8")
    assert documented in page
