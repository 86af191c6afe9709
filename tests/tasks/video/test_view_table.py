"""The table of views finds the earliest clip that comparing all finds, in each relation."""

from __future__ import annotations

import numpy as np
import pytest

from curate.tasks.video.view_table import RELATIONS, ViewTable, frame_distances
from curate.tasks.video.views import MIRROR, VIEWS


def drawn(seed: int, frames: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**63, (frames, VIEWS), np.uint64)


def flipped(views: np.ndarray, bits: int, seed: int = 0) -> np.ndarray:
    """The views with `bits` bits of each changed."""
    chance = np.random.default_rng(seed)
    changed = views.copy()
    for place in np.ndindex(views.shape):
        for bit in chance.choice(64, bits, replace=False).tolist():
            changed[place] ^= np.uint64(1) << np.uint64(bit)
    return changed


def found(query: np.ndarray, *clips: np.ndarray, threshold: int = 10) -> tuple[int, int] | None:
    table = ViewTable()
    table.extend(clips)
    return table.earliest_within(query, threshold)


def test_a_clip_is_found_at_its_distance() -> None:
    clip = drawn(1)
    assert found(clip, drawn(2), clip) == (1, 0)
    assert found(flipped(clip, 7), drawn(2), clip) == (1, 7)
    assert found(flipped(clip, 11), drawn(2), clip) is None
    assert found(flipped(clip, 11), drawn(2), clip, threshold=11) == (1, 11)


def test_the_earliest_of_two_is_found_though_the_other_is_nearer() -> None:
    clip = drawn(1)
    assert found(clip, flipped(clip, 5), clip) == (0, 5)


def test_a_mirrored_clip_is_found() -> None:
    clip = drawn(1)
    assert found(clip ^ MIRROR, drawn(2), clip) == (1, 0)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_crop_is_found_and_so_is_its_source(step: int, mirror: bool) -> None:
    views = drawn(1, 12).reshape(8, -1)[:, : VIEWS + 3]
    source = views[:, :VIEWS]
    crop = views[:, step : step + VIEWS] ^ (MIRROR if mirror else np.uint64(0))
    assert found(crop, drawn(2), source) == (1, 0)
    assert found(source, drawn(2), crop) == (1, 0)


def test_the_smallest_views_are_enough() -> None:
    clip, marked = drawn(1), drawn(2)
    marked[:, 4:] = clip[:, 4:]
    assert found(marked, clip) == (0, 0)
    marked[:, 5] = 0
    assert found(marked, clip) is None


def test_one_view_is_not_enough() -> None:
    clip = drawn(1)
    for view in range(VIEWS):
        other = drawn(2)
        other[:, view] = clip[:, view]
        assert found(other, clip) is None


def test_a_part_of_a_clip_is_found_in_it_but_not_the_other_way_round() -> None:
    clip = drawn(1, 16)
    assert found(clip[5:9], clip) == (0, 0)
    assert found(clip, clip[5:9]) is None


def test_a_clip_with_its_beginning_left_out_is_found_both_ways() -> None:
    clip = drawn(1, 16)
    assert found(clip[4:], clip) == (0, 0)
    assert found(clip, clip[4:]) == (0, 0)


@pytest.mark.parametrize(("shared", "is_found"), [(2, False), (3, True), (4, True)])
def test_three_of_four_frames_must_be_found(shared: int, is_found: bool) -> None:
    clip, other = drawn(1, 4), drawn(2, 4)
    other[4 - shared :] = clip[4 - shared :]
    assert (found(other, clip) is not None) == is_found


def test_frames_found_in_different_relations_do_not_add_up() -> None:
    clip = drawn(1, 4)
    mixed = clip.copy()
    mixed[:3] ^= MIRROR
    assert found(mixed, clip) == (0, 0)
    mixed[2] = drawn(2, 1)
    assert found(mixed, clip) is None


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_are_compared(frames: int) -> None:
    clip = drawn(1, frames)
    assert found(flipped(clip, 4), clip) == (0, 4)
    assert found(drawn(2, frames), clip) is None


def test_clips_without_frames_are_found_by_nobody() -> None:
    nothing = drawn(1, 0)
    assert found(nothing, nothing) is None
    assert found(drawn(1), nothing) is None
    assert found(nothing, drawn(1)) is None
    assert found(drawn(1), nothing, drawn(1), nothing) == (1, 0)


def test_flat_views_are_near_nothing() -> None:
    flat = np.zeros((8, VIEWS), np.uint64)
    assert found(flat, flat, threshold=32) is None


@pytest.fixture(scope="module")
def clips_and_copies() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """300 clips, and each of them with bits changed and perhaps mirrored."""
    chance = np.random.default_rng(5)
    clips = [drawn(seed, int(chance.integers(0, 12))) for seed in range(300)]
    copies = [flipped(clip, int(chance.integers(0, 14)), n) for n, clip in enumerate(clips)]
    return clips, [copy ^ MIRROR if n % 2 else copy for n, copy in enumerate(copies)]


@pytest.mark.parametrize("threshold", [0, 10, 15, 20])
def test_a_long_table_finds_what_comparing_all_finds(
    threshold: int, clips_and_copies: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    clips, copies = clips_and_copies
    long, plain = ViewTable(index_from=100), ViewTable(index_from=10**9)
    results: list[list[object]] = [[], []]
    for at in range(0, 300, 50):
        for table, matches in zip((long, plain), results, strict=True):
            table.extend(clips[at : at + 50])
            table.extend([copies[0]])
            table.truncate(at + 50)
            matches += [table.earliest_within(copy, threshold) for copy in copies[: at + 50 : 7]]
    assert results[0] == results[1]
    assert sum(match is not None for match in results[0]) > 5


def test_an_index_does_not_survive_the_frames_it_is_of() -> None:
    table = ViewTable(index_from=10)
    table.extend([drawn(n) for n in range(300)])
    assert table.earliest_within(drawn(299), 10) == (299, 0)
    table.truncate(100)
    assert len(table) == 100
    assert table.earliest_within(drawn(299), 10) is None
    assert table.earliest_within(drawn(99), 10) == (99, 0)


def test_distances_of_frames_are_the_same_both_ways_where_the_relation_is() -> None:
    a, b = drawn(1, 3), drawn(2, 4)
    symmetric = [n for n, relation in enumerate(RELATIONS) if relation.ours == relation.theirs]
    there, back = frame_distances(a, b), frame_distances(b, a)
    assert symmetric == [0, 1]
    assert (there[..., symmetric] == back.swapaxes(1, 2)[..., symmetric]).all()
    assert there.shape == (2, 3, 4, len(RELATIONS))
