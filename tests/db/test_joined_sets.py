"""Sets of sources and copies on disk, compared with the same sets in memory."""

from __future__ import annotations

import random
import sqlite3

import pytest

from curate.configs.errors import ServiceError
from curate.db.joined_sets import JoinedSets

Copies = list[tuple[int, int, int, str | None]]  # clip, original, source, side


def in_memory(copies: Copies, stored: dict[int, str]) -> tuple[dict[int, str], set[int]]:
    """The side of each source, named after the oldest where it has none, and what is left out."""
    sets = {video: {("source", video)} for _, _, video, _ in copies}
    nodes = {node: nodes for nodes in sets.values() for node in nodes}
    sides = {id(nodes[("source", video)]): side for video, side in stored.items() if video in sets}
    left_out = set()
    by_clip: dict[int, tuple[bool, int, int, set[int]]] = {}
    for clip, original, video, side in copies:
        by_clip.setdefault(clip, (side is None, video, clip, set()))[3].add(original)
    for no_side, video, clip, originals in sorted(by_clip.values(), key=lambda c: c[:3]):
        named = [("source", video), *(("copies", one) for one in sorted(originals))]
        found = {id(s): s for s in (nodes.setdefault(node, {node}) for node in named)}
        known = {sides[key] for key in found if key in sides}
        if len(known) > 1:
            left_out |= {clip} if no_side else set()
            continue
        joined = set().union(*found.values())
        sides.update({id(joined): side for side in known})
        nodes.update(dict.fromkeys(joined, joined))
        sets[-clip] = joined  # it is kept, so that no other gets its id
    found_sides = {}
    for video in [key for key in sets if key > 0]:
        members = nodes["source", video]
        oldest = min(number for kind, number in members if kind == "source")
        found_sides[video] = sides.get(id(members)) or f"as {oldest}"
    return found_sides, left_out


@pytest.mark.parametrize("seed", range(20))
def test_sets_are_joined_as_in_memory(seed: int) -> None:
    chance = random.Random(seed)
    stored = {video: chance.choice("ab") for video in range(1, 60) if chance.random() < 0.4}
    copies: Copies = []
    for clip in range(1, 200):
        video = 1 + clip // 4
        side = stored.get(video) if chance.random() < 0.5 else None
        originals = {chance.randint(1, 80) for _ in range(chance.randint(0, 3))}
        copies += [(clip, original, video, side) for original in originals]
    expected, left_out = in_memory(copies, stored)
    with JoinedSets() as joined:
        joined.add_copies(chance.sample(copies * 2, 2 * len(copies)))
        joined.add_sources()
        for ids in joined.sources():
            joined.give_sides((video, stored[video]) for video in ids if video in stored)
        joined.join_copies()
        for ids in joined.sources(without_side=True):
            joined.give_sides([(video, f"as {video}") for video in ids])
        assert {video: joined.side_of_source(video) for video in expected} == expected
        assert {clip for clip, *_ in copies if joined.is_left_out(clip)} == left_out
        assert joined.count_left_out() == len(left_out)
        assert joined.side_of_source(1000) is None


def test_a_file_of_two_datasets_is_one_source() -> None:
    with JoinedSets() as joined:
        joined.add_files([("/a", 1), ("/a", 5), ("/b", 2), ("/b", 6)])
        joined.add_sources()
        joined.give_sides([(1, "x"), (2, "x"), (6, "y")])
        assert not joined.join_files()
        assert joined.side_of_source(5) == "x"


def test_no_room_for_the_file_is_told() -> None:
    with pytest.raises(ServiceError, match="TMPDIR"), JoinedSets():
        raise sqlite3.OperationalError("database or disk is full")
