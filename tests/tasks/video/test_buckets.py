"""The choice of a bucket keeps most of a clip, and says why it finds none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.buckets import (
    MOST,
    BucketShape,
    BucketTable,
    parse_bucket,
    presets,
    read_table,
)

sides = st.integers(8, 1024).map(lambda half: 2 * half)
buckets = st.builds(BucketShape, sides, sides, st.integers(1, 300))
tables = st.lists(buckets, min_size=1, max_size=12, unique=True)
clips = st.tuples(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 400))
shares = st.integers(0, 100).map(lambda percent: percent / 100)
factors = st.sampled_from([1.0, 1.05, 1.5, 4.0])


def lost(bucket: BucketShape, height: int, width: int) -> Fraction:
    """The share of the picture, or of the bucket, outside the other's shape."""
    one, other = Fraction(bucket.width, bucket.height), Fraction(width, height)
    return 1 - min(one / other, other / one)


def fits(bucket: BucketShape, clip: tuple[int, int, int], enlarge: float, most: float) -> bool:
    height, width, frames = clip
    factor = Fraction(enlarge).limit_denominator(1000)
    covered = bucket.height <= height * factor and bucket.width <= width * factor
    worst = Fraction(most).limit_denominator(1_000_000)
    return covered and bucket.frames <= frames and lost(bucket, height, width) <= worst


@given(tables, clips, factors, shares)
def test_the_bucket_fits_and_no_other_that_fits_keeps_more(
    table: list[BucketShape], clip: tuple[int, int, int], enlarge: float, most: float
) -> None:
    found = BucketTable(table, enlarge, most).choose(*clip)
    fitting = [bucket for bucket in table if fits(bucket, clip, enlarge, most)]
    kept = {b: b.volume * (1 - lost(b, *clip[:2])) for b in fitting}
    if not fitting:
        assert found.bucket is None
        return
    assert found.bucket in fitting
    assert kept[found.bucket] == max(kept.values())
    assert found.lost == float(lost(found.bucket, *clip[:2]))
    assert found.misfit is None


@given(tables, clips, shares)
def test_a_clip_without_a_bucket_is_told_why(
    table: list[BucketShape], clip: tuple[int, int, int], most: float
) -> None:
    height, width, frames = clip
    found = BucketTable(table, 1.0, most).choose(*clip)
    short_enough = [b for b in table if b.frames <= frames]
    covered = [b for b in short_enough if b.height <= height and b.width <= width]
    expected = "too_short" if not short_enough else "too_small" if not covered else "other_aspect"
    assert (found.bucket is None) == (found.misfit is not None)
    assert found.misfit in (None, expected)


@given(tables, clips, shares, st.randoms())
def test_the_order_of_the_table_changes_nothing(
    table: list[BucketShape], clip: tuple[int, int, int], most: float, random: Any
) -> None:
    shuffled = table[:]
    random.shuffle(shuffled)
    assert BucketTable(table, 1.0, most).choose(*clip) == BucketTable(shuffled, 1.0, most).choose(
        *clip
    )


@given(tables, clips, shares)
def test_a_longer_clip_is_in_a_bucket_at_least_as_good(
    table: list[BucketShape], clip: tuple[int, int, int], most: float
) -> None:
    height, width, frames = clip
    chosen = BucketTable(table, 1.0, most)
    short, long = chosen.choose(*clip), chosen.choose(height, width, frames + 50)
    if short.bucket is not None:
        assert long.bucket is not None
        kept = [b.volume * (1 - lost(b, height, width)) for b in (short.bucket, long.bucket)]
        assert kept[0] <= kept[1]


@given(tables, clips)
def test_twice_the_picture_never_loses_the_bucket(
    table: list[BucketShape], clip: tuple[int, int, int]
) -> None:
    height, width, frames = clip
    chosen = BucketTable(table)
    small, large = chosen.choose(*clip), chosen.choose(2 * height, 2 * width, frames)
    if small.bucket is not None:
        assert large.bucket is not None and large.bucket.volume >= 0
        assert large.misfit is None


@given(tables, clips)
def test_a_bucket_of_the_clip_s_own_shape_loses_nothing(
    table: list[BucketShape], clip: tuple[int, int, int]
) -> None:
    own = table[0]
    assert BucketTable([own]).choose(*own) == (own, 0.0, None)


def test_the_largest_picture_that_is_covered_wins_over_a_nearer_shape() -> None:
    table = BucketTable([parse_bucket(n) for n in read_table(["480p", "720p"])], max_lost=0.3)

    def name(height: int, width: int, frames: int) -> str | None:
        found = table.choose(height, width, frames)
        return found.bucket.name if found.bucket else found.misfit

    assert name(1080, 1920, 300) == "704x1280x121"
    assert name(720, 1248, 60) == "480x832x49"  # too narrow for 704x1280
    assert name(1920, 1080, 81) == "1280x704x81"
    assert name(360, 640, 100) == "too_small"
    assert name(1080, 1920, 24) == "too_short"
    assert name(800, 3000, 100) == "other_aspect"


def test_presets_are_in_multiples_of_32_and_four_k_and_one_frames() -> None:
    assert set(presets()) == {"256p", "480p", "720p"}
    for name in presets():
        listed = [parse_bucket(one) for one in read_table(name)]
        assert len(listed) == 20
        assert {side % 32 for bucket in listed for side in bucket[:2]} == {0}
        assert {bucket.frames % 4 for bucket in listed} == {1}
        turned = {BucketShape(b.width, b.height, b.frames) for b in listed}
        assert turned == set(listed), "clips that stand upright have the same choice"


def test_a_table_is_a_preset_names_rows_a_file_or_a_list_of_them(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text("- 256p\n- {sizes: [64x64], frames: [9, 17]}\n- 32x32x5\n")
    found = read_table(f"file://{file}")
    assert found == (*read_table("256p"), "64x64x9", "64x64x17", "32x32x5")
    assert read_table(found) == found, "what is frozen is read again"
    row = {"sizes": ["64x32", "32x64"], "frames": 5}
    assert read_table([row, "32x64x5"]) == ("64x32x5", "32x64x5")
    assert read_table(()) == ()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("large", "no preset; known: 256p, 480p, 720p"),
        ("48p", "did you mean 480p"),
        ("480x833x9", "even numbers of pixels from 16 to 8192, not 833"),
        ("8x16x9", "not 8"),
        ("16x16x0", "no preset"),
        ("16x16x100001", "more than 100000 frames"),
        ([{"sizes": ["16x16"]}], "a row has sizes: and frames:, not sizes"),
        ([{"sizes": ["16"], "frames": [1]}], "write HEIGHTxWIDTH"),
        ([{"sizes": ["16x16"], "frames": [0]}], "whole numbers from 1"),
        ([{"sizes": ["16x16"], "frames": [True]}], "whole numbers from 1"),
        ("file:///no/table.yaml", "/no/table.yaml: No such file"),
        (7, "7 is no bucket"),
        (None, "None is no bucket"),
        ([f"16x16x{n}" for n in range(1, MOST + 2)], "1000 is the most"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(written: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_table(written)


def test_a_file_of_a_table_names_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(f"file://{file}")
    with pytest.raises(ValueError, match="no bucket"):
        read_table(f"file://{file}")
