"""The videos of a plan: how large they are, and which are sampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.tasks.inputs.files import Input, local_input
from curate.worker.planning import population
from curate.worker.planning.population import DRIVERS, Population, choose, look_at
from tests.media import draw, draw_bad


def made(pixels: list[float], videos: int | None = None) -> Population:
    """Videos of so many pixels; other drivers are 1."""
    inputs = [Input(f"/v/{i}.mp4", f"{i}.mp4", "1-2") for i in range(len(pixels))]
    drivers = {name: np.ones(len(pixels)) for name in DRIVERS} | {"pixels": np.array(pixels)}
    return Population(videos or len(pixels), inputs, drivers)


def test_headers_tell_what_drives_cost_and_bad_files_nothing(tmp_path: Path) -> None:
    good, bad = draw("closed", tmp_path).path, draw_bad("empty", tmp_path)
    found = look_at([local_input(str(path), str(tmp_path)) for path in (good, bad)], seed=0)
    frames, seconds = found.drivers["frames"], found.drivers["seconds"]
    assert frames[0] > 10 and seconds[0] == pytest.approx(frames[0] / 24, rel=0.05)
    assert found.drivers["pixels"][0] == frames[0] * 160 * 96
    assert list(found.drivers["bytes"]) == [good.stat().st_size, 0]
    assert frames[1] == seconds[1] == 0


def test_of_very_many_videos_some_headers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "MOST_GLANCED", 4)
    inputs = [Input(f"/nowhere/{i}.mp4", f"{i}.mp4", f"{100 + i}-1") for i in range(12)]
    found = look_at(inputs, seed=1)
    assert (found.videos, len(found.inputs)) == (12, 4)
    assert found.total("videos") == 12
    assert found.total("bytes") == pytest.approx(12 * 105, rel=0.1)
    assert 0 < found.total_error("bytes") < 0.1
    assert found.total_error("videos") == 0


def test_the_same_seed_chooses_the_same_videos_and_another_one_others() -> None:
    videos = made(list(np.random.default_rng(0).lognormal(size=200)))
    chosen = [np.concatenate([s.chosen for s in choose(videos, 20, seed)]) for seed in (3, 3, 4)]
    assert list(chosen[0]) == list(chosen[1]) != list(chosen[2])
    assert len(set(chosen[0])) == 20


def test_few_large_videos_are_not_missed() -> None:
    strata = choose(made([1.0] * 96 + [10_000.0] * 4), 8, seed=0)
    sampled = np.concatenate([stratum.chosen for stratum in strata])
    assert sum(sampled >= 96) >= 2, "which are nearly all there is to decode"
    assert sum(stratum.size for stratum in strata) == 100


@pytest.mark.parametrize("sample", [1, 2, 3, 7, 19])
def test_as_many_as_wanted_are_sampled_each_once(sample: int) -> None:
    strata = choose(made([float(i % 5) for i in range(20)]), sample, seed=0)
    sampled = np.concatenate([stratum.chosen for stratum in strata])
    assert len(set(sampled)) == len(sampled) == sample
    assert all(len(s.chosen) >= min(4, sample) for s in strata)


def test_a_sample_of_all_is_one_whole_stratum() -> None:
    (stratum,) = choose(made([1.0, 2.0]), 20, seed=0)
    assert stratum.whole and list(stratum.chosen) == [0, 1]
