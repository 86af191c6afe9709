"""dedup is the greedy rule over an order, whatever the batches were."""

from __future__ import annotations

import math
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
from curate.tasks.video import hamming
from curate.tasks.video.hamming import HashPair, HashTable, QuarterIndex, popcount

Word = int | None
# hashes that are often near each other: a few bits of a short word
words = st.one_of(st.none(), st.integers(0, 0xFFF))
VIDEO = Video(1, 1, "/v.mp4", "v.mp4", {})


def text(word: Word) -> str | None:
    return None if word is None else f"{word:016x}"


def clip(number: int, pair: tuple[Word, Word]) -> Clip:
    values = {"hash_first": text(pair[0]), "hash_middle": text(pair[1])}
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
        dedup._survivors = HashTable("both", index_from=0)
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


near_words = st.tuples(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=20))


@settings(max_examples=100, deadline=None)
@given(st.lists(near_words, min_size=1, max_size=20), st.integers(0, 15), st.integers(0, 2**64 - 1))
def test_the_index_misses_no_word_within_the_threshold(
    drawn: list[tuple[int, set[int]]], threshold: int, wanted: int
) -> None:
    # half of them differ from the wanted word by some bits only
    values = [
        wanted ^ sum(1 << b for b in bits) if n % 2 else word
        for n, (word, bits) in enumerate(drawn)
    ]
    found = QuarterIndex(np.array(values, np.uint64), np.arange(len(values))).near(
        wanted, threshold
    )
    assert {n for n, v in enumerate(values) if bin(v ^ wanted).count("1") <= threshold} <= set(
        found.tolist()
    )


@pytest.mark.parametrize("frames", ["both", "first"])
def test_a_long_table_finds_what_comparing_all_finds(frames: str) -> None:
    chance = np.random.default_rng(3)
    base = chance.integers(0, 2**64, (3000, 2), np.uint64)
    flips = np.uint64(1) << chance.integers(0, 64, (3000, 2, 11), np.uint64)
    base[1500:] = base[:1500] ^ np.bitwise_or.reduce(flips[1500:], axis=2)  # up to 11 bits away
    pairs = [
        HashPair(*(None if chance.random() < 0.05 else text(int(w)) for w in pair)) for pair in base
    ]
    long, plain = HashTable(frames, index_from=100), HashTable(frames, index_from=10**9)
    results: list[list[object]] = [[], []]
    for at in range(0, 3000, 500):
        for table, found in zip((long, plain), results, strict=True):
            found += [table.earliest_within(p, 10) for p in pairs[at : at + 500]]
            table.extend(range(at, at + 500), pairs[at : at + 500])
            table.add(99_999, pairs[0])
            table.truncate(at + 500)
    assert results[0] == results[1]
    assert sum(r is not None for r in results[0]) > 200


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_both_ways_to_count_bits_agree(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint64)
    expected = [bin(v).count("1") for v in values]
    assert popcount(array).tolist() == expected
    assert hamming._popcount_by_sums(array).tolist() == expected


def test_the_table_grows_and_still_finds_the_earliest() -> None:
    table = HashTable()
    for n in range(3000):
        table.add(n, HashPair(text(n), text(n)))
    assert table.earliest_within(HashPair(text(2999), text(2999)), 0) == (2999, 0)
    assert table.earliest_within(HashPair(text(0b111), text(0b111)), 1) == (3, 1)


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
