"""What a dataset will cost: stage by stage and in all, from what a sample took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curate.configs.pipeline import Pipeline
from curate.configs.settings import Settings
from curate.db.schema import FILE_SIZE
from curate.db.spending import Spent
from curate.tasks.models.device import target_of
from curate.worker.planning.estimate import Estimate, Estimator, Interval
from curate.worker.planning.population import (
    DRIVERS,
    Floats,
    Population,
    Stratum,
    choose,
    look_at,
)
from curate.worker.planning.trial import StageTrial, Trial, run_trial
from curate.worker.processes import cores, queues_of, worker_specs
from curate.worker.session.enqueuing import EnqueueRequest, find_inputs
from curate.worker.session.home import HomeSession

# the standard deviation by which the seconds of a stage over the same videos differ between the
# sample and the run, as a share. benchmarks/plan.py finds 0.04 of a run, so 0.055 between two that
# follow each other; at other times a host may be busier
RUN_NOISE = 0.08


@dataclass(frozen=True)
class PlanRequest:
    """What to plan: the sources, how many videos are sampled, and the seed that chooses them."""

    sources: EnqueueRequest
    sample: int = 20
    seed: int = 0
    jobs: int | None = None


@dataclass(frozen=True)
class Chosen:
    """All videos, and those sampled."""

    population: Population
    strata: Sequence[Stratum]
    estimator: Estimator

    @property
    def whole(self) -> bool:
        """Whether all videos are sampled."""
        return all(stratum.whole for stratum in self.strata)


def choose_sample(
    session: HomeSession, request: PlanRequest, show: Callable[[int, int], None]
) -> Chosen:
    """Find the videos of a request and choose the sample. Raises NoInput, ServiceError."""
    inputs, _ = find_inputs(session, request.sources)
    population = look_at(inputs, request.seed, show)
    strata = choose(population, request.sample, request.seed)
    return Chosen(population, strata, Estimator(population, strata, request.seed))


def predict(
    session: HomeSession, request: PlanRequest, pipeline: Pipeline, chosen: Chosen
) -> dict[str, Any]:
    """Run the sample and predict the whole, ready for JSON; seconds, bytes, rows and money.

    Each predicted number has its interval, see Interval. Raises as `run_trial`.
    """
    population = chosen.population
    sampled = [population.inputs[i] for i in chosen.estimator.chosen]
    trial = run_trial(session, pipeline, request.sources.root, sampled, request.jobs)
    processes = _processes(session.settings, pipeline, request.jobs)
    return {
        "videos": population.videos, "sampled": len(sampled), "seed": request.seed,
        "drivers": {name: population.total(name) for name in DRIVERS},
        "processes": processes,
        **Predictor(chosen, trial, pipeline, session.settings, processes).report(),
        "failed": dict(trial.failed),
    }  # fmt: skip


class Predictor:
    """Predicts the whole from a trial."""

    def __init__(
        self,
        chosen: Chosen,
        trial: Trial,
        pipeline: Pipeline,
        settings: Settings,
        processes: Mapping[str, int],
    ) -> None:
        self._estimator = chosen.estimator
        self._sampled = len(self._estimator.chosen)
        self._trial = trial
        self._pipeline = pipeline
        self._on_npu = target_of(settings.device) == "Ascend"
        self._processes = processes

    def report(self) -> dict[str, Any]:
        """The predictions: `stages` and `totals`."""
        trial = self._trial
        rows = {
            "clips": trial.clips, "kept": trial.kept,
            "clip_bytes": trial.clip_bytes, "sample_bytes": trial.sample_bytes,
        }  # fmt: skip
        totals: dict[str, Any] = {name: self._of_rows(values) for name, values in rows.items()}
        if FILE_SIZE not in self._pipeline.columns():
            totals["clip_bytes"] = Interval(0.0, 0.0, 0.0).as_json()
        cpu = Estimate()
        busy = dict.fromkeys(self._processes, cpu)
        stages = []
        for step in self._pipeline.stages:
            found, queue = trial.stages[step.name], step.options.queue
            of_cpu = self._seconds(found, queue, found.cpu, found.start[0])
            of_wall = self._seconds(found, queue, found.wall, found.start[1])
            cpu, busy[queue] = cpu + of_cpu, busy[queue] + of_wall
            stages.append({
                "stage": step.name, "level": step.level, "queue": queue, "driver": of_cpu.driver,
                "cpu_seconds": self._interval(of_cpu), "busy_seconds": self._interval(of_wall),
                "npu_seconds": self._interval(of_wall) if self._uses_npu(queue) else None,
                "spending": self._spending(found) if found.spent.requests else None,
            })  # fmt: skip
        totals["cpu_seconds"] = self._interval(cpu)
        npu = [estimate for queue, estimate in busy.items() if self._uses_npu(queue)]
        totals["npu_seconds"] = self._interval(npu[0]) if npu else None
        # queues work beside each other; what runs on the CPU also shares its cores
        shared = [busy[queue].over(n) for queue, n in self._processes.items()]
        longest = max([*shared, cpu.over(cores())], key=lambda estimate: estimate.value)
        totals["wall_seconds"] = self._interval(longest)
        return {"stages": stages, "totals": totals}

    def _uses_npu(self, queue: str) -> bool:
        return queue == "ascend" and self._on_npu

    def _seconds(self, found: StageTrial, queue: str, values: Floats, start: float) -> Estimate:
        estimate = self._estimator.estimate(values)
        return estimate.plus(start * self._processes[queue] if values.any() else 0.0)

    def _interval(self, estimate: Estimate) -> dict[str, float | None]:
        return self._estimator.interval(estimate, RUN_NOISE).as_json()

    def _of_rows(self, values: Floats) -> dict[str, float | None]:
        return self._estimator.interval(self._estimator.estimate(values)).as_json()

    def _spending(self, found: StageTrial) -> dict[str, dict[str, float | None]]:
        """What its requests will cost; each row is taken to cost the mean of all."""
        shares = found.rows / found.rows.sum()
        spent = asdict(found.spent)
        return {name: self._of_rows(shares * spent[name]) for name in asdict(Spent())}


def _processes(settings: Settings, pipeline: Pipeline, jobs: int | None) -> dict[str, int]:
    """How many processes serve each queue on this host."""
    specs = worker_specs(settings, queues_of(pipeline), jobs)
    queues = [spec.queue for spec in specs]
    return {q: sum(s.processes for s in specs if s.queue == q) for q in dict.fromkeys(queues)}
