"""The table of hash pairs finds what comparing all of them finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.video.hamming import HashPair, HashTable, QuarterIndex, popcount, popcount_by_sums


def as_hex(word: int) -> str:
    return f"{word:016x}"


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
        HashPair(*(None if chance.random() < 0.05 else as_hex(int(w)) for w in pair))
        for pair in base
    ]
    long, plain = HashTable(frames, index_from=100), HashTable(frames, index_from=10**9)
    results: list[list[object]] = [[], []]
    for at in range(0, 3000, 500):
        for table, found in zip((long, plain), results, strict=True):
            found += [table.earliest_within(p, 10) for p in pairs[at : at + 500]]
            table.extend(pairs[at : at + 500])
            table.extend([pairs[0]])
            table.truncate(at + 500)
    assert results[0] == results[1]
    assert sum(r is not None for r in results[0]) > 200


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_both_ways_to_count_bits_agree(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint64)
    expected = [bin(v).count("1") for v in values]
    assert popcount(array).tolist() == expected
    assert popcount_by_sums(array).tolist() == expected


def test_the_table_grows_and_still_finds_the_earliest() -> None:
    table = HashTable()
    for n in range(3000):
        table.extend([HashPair(as_hex(n), as_hex(n))])
    assert table.earliest_within(HashPair(as_hex(2999), as_hex(2999)), 0) == (2999, 0)
    assert table.earliest_within(HashPair(as_hex(0b111), as_hex(0b111)), 1) == (3, 1)
