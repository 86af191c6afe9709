"""A row's hashes, plain and mirrored, as pairs."""

from __future__ import annotations

from curate.tasks.video.hash_pair import HashPair, pair_of


def test_each_pair_is_read_from_its_own_columns() -> None:
    names = ("hash_first", "hash_middle", "hash_first_mirrored", "hash_middle_mirrored")
    row = dict(zip(names, "abcd", strict=True))
    assert pair_of(row) == HashPair("a", "b")
    assert pair_of(row, mirrored=True) == HashPair("c", "d")
