"""How values are distributed: over all rows, by status, of numbers and of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from curate.configs.schema import Column
from curate.db.reports import distribution
from curate.db.reports.distribution import (
    ALL,
    BINS,
    CommonValue,
    Distribution,
    TextDistribution,
    distributions,
    known_columns,
    measures,
)
from curate.db.reports.histogram import SHARES, histogram
from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Ten kept clips and ten dropped ones, not measured yet."""
    made = make_line(database_url, home, ["score", "second", "dedup"])
    made.put_clips(10, "done", "/v/a.mp4", "kept")
    made.put_clips(10, "done", "/v/b.mp4", "dropped")
    return made


def score(line: Line, values: Sequence[float | None], column: str = "score") -> None:
    """Give the clips these values, in order; the others stay as they are."""
    rows = [{"v": value, "i": number} for number, value in enumerate(values, 1)]
    with line.engine.begin() as connection:
        connection.execute(text(f"UPDATE clips SET {column} = :v WHERE id = :i"), rows)


def of(line: Line, *names: str) -> list[Distribution | TextDistribution]:
    known = known_columns(line.pipeline, "clip")
    return list(
        distributions(line.engine, line.dataset.id, "clip", {name: known[name] for name in names})
    )


def numbers(line: Line, name: str = "score") -> Distribution:
    (found,) = of(line, name)
    assert isinstance(found, Distribution)
    return found


def test_null_counts_as_not_measured_and_nothing_else(line: Line) -> None:
    score(line, [1.0, None, 3.0])
    found = numbers(line)
    assert (found.rows, found.nulls, found.not_finite) == (20, 18, 0)
    assert (found.summaries[ALL].count, found.summaries["kept"].count) == (2, 2)
    assert found.summaries["dropped"].count == 0
    assert sum(found.histograms[ALL]) == 2


def test_quantiles_are_those_of_numpy_and_of_curate_sql(line: Line) -> None:
    values = [float(n * n) for n in range(20)]
    score(line, values)
    found = numbers(line).summaries
    assert list(found[ALL].quantiles) == list(SHARES)
    assert list(found[ALL].quantiles.values()) == pytest.approx(np.quantile(values, SHARES))
    assert (found["kept"].quantiles[0], found["kept"].quantiles[1]) == (0.0, 81.0)
    assert found["dropped"].quantiles[0.5] == pytest.approx(np.median(values[10:]))


def test_histograms_of_all_statuses_have_the_same_bins(line: Line) -> None:
    score(line, [float(n) / 4 for n in range(20)])
    found = numbers(line)
    assert len(found.edges) == BINS + 1
    assert (found.edges[0], found.edges[-1], found.log) == (0.0, 4.75, False)
    assert sum(found.histograms["kept"]) == sum(found.histograms["dropped"]) == 10
    both = np.array(found.histograms["kept"]) + found.histograms["dropped"]
    assert both.tolist() == found.histograms[ALL]


def test_bins_of_a_skewed_column_grow_as_those_of_the_page(line: Line) -> None:
    score(line, [0.0] * 9 + [0.125] * 10 + [1000.0])
    found = numbers(line)
    assert found.log
    ratios = np.divide(found.edges[2:], found.edges[1:-1])
    assert ratios == pytest.approx(ratios[0])
    assert (found.histograms[ALL][:2], found.histograms[ALL][-1]) == ([9, 10], 1)
    page = histogram(np.array([0.0] * 9 + [0.125] * 10 + [1000.0]), False, BINS)
    assert page is not None
    assert (found.edges, found.histograms[ALL]) == (page.edges.tolist(), page.counts())


def test_whole_numbers_have_a_bin_each(line: Line) -> None:
    score(line, [0, 1, 1, 3], "num_frames")
    found = numbers(line, "num_frames")
    assert found.edges == [0, 1, 2, 3, 4]
    assert found.histograms[ALL] == [1, 2, 0, 1]


@pytest.mark.parametrize("values", [[5.0] * 3, [-1e300, 1e300], [1e15, 1e15 + 1], [0.0], [0.1] * 9])
def test_odd_ranges_count_each_value_once(line: Line, values: list[float]) -> None:
    score(line, values)
    found = numbers(line)
    assert sum(found.histograms[ALL]) == len(values)
    assert all(np.isfinite(found.edges))


def test_what_is_not_finite_is_counted_by_itself(line: Line) -> None:
    nan = "9e999 - 9e999" if line.engine.dialect.name == "sqlite" else "'NaN'"  # NULL on SQLite
    infinite = "9e999" if line.engine.dialect.name == "sqlite" else "'Infinity'"
    score(line, [1.0, 2.0])
    with line.engine.begin() as connection:
        connection.execute(text(f"UPDATE clips SET score = {infinite} WHERE id = 3"))
        connection.execute(text(f"UPDATE clips SET score = {nan} WHERE id = 4"))
    found = numbers(line)
    assert found.nulls + found.not_finite == 18
    assert found.not_finite == (1 if line.engine.dialect.name == "sqlite" else 2)
    assert (found.summaries[ALL].count, found.summaries[ALL].quantiles[1]) == (2, 2.0)


def test_nothing_measured_has_no_bins(line: Line) -> None:
    found = numbers(line)
    assert (found.summaries[ALL].count, found.edges, found.histograms) == (0, (), {})


def test_columns_are_read_together_or_in_several_passes(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(line, [1.0, 2.0])
    score(line, [5.0], "other")
    score(line, [7, 9], "num_frames")
    together = of(line, "score", "stage", "other", "num_frames")
    monkeypatch.setattr(distribution, "VALUES_AT_ONCE", 40)
    told: list[tuple[int, int]] = []
    names = ("score", "stage", "other", "num_frames")
    known = known_columns(line.pipeline, "clip")
    columns: dict[str, Column] = {name: known[name] for name in names}
    apart = distributions(
        line.engine, line.dataset.id, "clip", columns, lambda *seen: told.append(seen)
    )
    assert list(apart) == together
    assert [one.column for one in together] == list(names)
    assert told == [(20, 40), (40, 40)]


def test_the_most_common_texts_come_first(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'b' WHERE id > 8"))
        connection.execute(text("UPDATE clips SET text = 'a' WHERE id = 1"))
    (found,) = of(line, "text")
    assert found == TextDistribution(
        "text", 20, 7, 2, [CommonValue("b", 12, 2), CommonValue("a", 1, 1)]
    )


def test_other_datasets_do_not_count(line: Line) -> None:
    score(line, [1.0])
    with line.engine.begin() as connection:
        copied = "INSERT INTO datasets (name, root, pipeline, created_at) VALUES ('n', '', '', 0)"
        connection.execute(text(copied))
        connection.execute(text("UPDATE clips SET dataset_id = 2 WHERE id > 5"))
    assert numbers(line).rows == 5


def test_measures_are_numbers_that_stages_measure(line: Line) -> None:
    names = measures(line.pipeline, "clip")
    assert {"num_frames", "score", "other", "duplicate"} <= set(names)
    assert not {"duplicate_of", "dedup_seq", "text", "path", "clip_id", "id"} & set(names)
    assert list(measures(line.pipeline, "video")) == ["num_frames", "width"]
