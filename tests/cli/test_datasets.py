"""datasets: all of a home, with their size on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call, Filled


def test_each_dataset_has_its_rows_and_its_state(curate: Call, filled: Filled) -> None:
    (found,) = curate("datasets", "--json").json
    names = ("dataset", "state", "videos", "clips", "kept", "failed", "root")
    expected = ["pets", "running", 3, 7, 3, 2, "/videos/pets"]
    assert [found[name] for name in names] == expected
    assert found["made_at"] > 1e9
    shown = curate("datasets")
    assert shown.out.split()[:4] == ["dataset", "state", "videos", "clips"]
    assert "Next: curate status pets" in shown.err


def test_the_size_is_that_of_its_clips_and_samples(
    curate: Call, filled: Filled, home: Path
) -> None:
    for name, size in (
        ("clips/pets/a.mp4", 3000),
        ("clips/pets/b/c.mp4", 72),
        ("clips/other/a.mp4", 1 << 20),
        ("samples/0/2.zip", 512),
        ("samples/0/9.zip", 1 << 20),  # of no video of it
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(bytes(size))
    (found,) = curate("datasets", "--json").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (3072, 512)
    assert "3.5 kB" in curate("datasets").out
    (found,) = curate("datasets", "--json", "--no-size").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (None, None)


def test_what_lies_at_urls_is_not_counted(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_MEDIA", "s3://bucket/clips")
    (found,) = curate("datasets", "--json").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (None, None)


def test_a_home_without_any(curate: Call, home: Path) -> None:
    result = curate("datasets", "--json")
    assert (result.code, result.json) == (0, [])
    result = curate("datasets")
    assert (result.code, result.out, "no dataset yet" in result.err) == (0, "", True)
    assert not home.exists()
