"""Metrics for Prometheus, computed from the database on each scrape, with an optional login.

They come from the rows alone, so any host can serve them, and a restart loses no count.
"""

from __future__ import annotations

import base64
import hmac
import logging
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.schema import QUEUES, RUNNING
from curate.db.reports.batches import (
    BATCH_SECONDS,
    CLAIM_SECONDS,
    BatchCounters,
    BatchSums,
    Histogram,
)
from curate.db.reports.overview import Overview, overview
from curate.worker.broker import outages
from curate.worker.messages import Messages

log = logging.getLogger(__name__)

KEEP_SECONDS = 10.0  # how long an answer is cached, or ten times what it took if that is longer
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class CurateCollector(Collector):
    """Reads the database and the broker on a scrape, and caches the answer for a while."""

    def __init__(self, engine: Engine, messages: Messages, keep: float = KEEP_SECONDS) -> None:
        self._engine = engine
        self._messages = messages
        self._keep = keep
        self._counters = BatchCounters()
        self._lock = threading.Lock()
        self._answer: list[Metric] = []
        self._until = 0.0

    def collect(self) -> list[Metric]:
        """The metrics, at most `keep` seconds old, or ten times as old as collecting them took."""
        with self._lock:
            if time.monotonic() >= self._until:
                started = time.monotonic()
                self._answer = [*self._of_database(), *self._of_broker()]
                took = time.monotonic() - started
                self._until = time.monotonic() + max(self._keep, 10 * took if self._keep else 0.0)
            return self._answer

    def describe(self) -> list[Metric]:
        """No metrics, so that registering does not query the database."""
        return []

    def _of_database(self) -> list[Metric]:
        up = GaugeMetricFamily(
            "curate_database_up", "Whether the database answers; 0 leaves most other metrics out"
        )
        try:
            everything = overview(self._engine)
            sums = self._counters.read(self._engine)
        except ServiceError as error:
            log.warning("no metrics of the database: %s", error)
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        size = GaugeMetricFamily(
            "curate_database_size_bytes", "Size of the database", value=everything.size
        )
        return [
            up, *of_rows(everything), *of_batches(everything, sums), *of_workers(everything), size,
        ]  # fmt: skip

    def _of_broker(self) -> list[Metric]:
        up = GaugeMetricFamily("curate_broker_up", "Whether the broker answers")
        waiting = GaugeMetricFamily(
            "curate_doorbells", "Messages that wait in a queue of the broker", labels=["queue"]
        )
        try:
            for queue in QUEUES:
                waiting.add_metric([queue], self._messages.count_waiting(queue))
        except outages() as error:
            log.warning("no metrics of the broker: %s", error)
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, waiting]


def of_rows(everything: Overview) -> list[Metric]:
    """How many rows of each dataset are at each stage, leased, expired and failed."""
    labels = ["dataset", "stage", "status"]
    rows = {
        "video": GaugeMetricFamily(
            "curate_videos", "Videos by the stage they are at and their status", labels=labels
        ),
        "clip": GaugeMetricFamily(
            "curate_clips", "Clips by the stage they are at and their status", labels=labels
        ),
    }
    place = ["dataset", "level", "stage"]
    leased = GaugeMetricFamily("curate_rows_at_work", "Rows that a worker holds", labels=place)
    expired = GaugeMetricFamily(
        "curate_leases_expired",
        "Rows whose worker died or hangs and that nobody took again yet",
        labels=place,
    )
    failed = GaugeMetricFamily(
        "curate_failed_rows", "Failed rows by the kind of error", labels=[*place, "reason"]
    )
    running = GaugeMetricFamily(
        "curate_dataset_running",
        "Whether a dataset is worked on; 0 when it is paused or cancelled",
        labels=["dataset"],
    )
    for name, view in everything.views.items():
        running.add_metric([name], int(view.state == RUNNING))
        totals: Counter[tuple[str, str, str]] = Counter()
        for count in view.counts:
            where = [name, count.level, count.stage]
            totals[count.level, count.stage, count.status] += count.rows
            if count.status == "active":
                leased.add_metric(where, count.leased)
            if count.expired:
                expired.add_metric(where, count.expired)
            if count.status == "failed":
                failed.add_metric([*where, count.reason or "?"], count.rows)
        for (level, stage, status), total in totals.items():
            rows[level].add_metric([name, stage, status], total)
    return [*rows.values(), running, leased, expired, failed]


def of_batches(everything: Overview, sums: dict[tuple[int, str], BatchSums]) -> list[Metric]:
    """Batches and finished rows as counters, and how long batches and claims took as histograms."""
    labels = ["dataset", "stage"]
    batches = CounterMetricFamily("curate_batches", "Batches that were saved", labels=labels)
    back = CounterMetricFamily(
        "curate_batches_given_back", "Batches that failed as a whole", labels=labels
    )
    rows = CounterMetricFamily(
        "curate_rows_finished",
        "Rows that a stage finished, by outcome (ok or failed)",
        labels=[*labels, "outcome"],
    )
    stages: dict[str, BatchSums] = {}
    for (dataset, stage), one in sorted(sums.items()):
        name = everything.names.get(dataset, str(dataset))
        batches.add_metric([name, stage], one.batches - one.given_back)
        back.add_metric([name, stage], one.given_back)
        rows.add_metric([name, stage, "ok"], one.ok)
        rows.add_metric([name, stage, "failed"], one.failed)
        stages[stage] = stages.get(stage, BatchSums()) + one
    seconds = HistogramMetricFamily(
        "curate_batch_seconds", "Seconds from claim to save of a batch", labels=["stage"]
    )
    claims = HistogramMetricFamily(
        "curate_claim_seconds", "Seconds that taking a batch's rows took", labels=["stage"]
    )
    for stage, one in stages.items():
        seconds.add_metric([stage], *_histogram(one.seconds, BATCH_SECONDS))
        claims.add_metric([stage], *_histogram(one.claim, CLAIM_SECONDS))
    return [batches, back, rows, seconds, claims]


def _histogram(spread: Histogram, bounds: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
    buckets = [
        (f"{bound:g}", float(count)) for bound, count in zip(bounds, spread.within, strict=True)
    ]
    return [*buckets, ("+Inf", float(spread.count))], spread.total


def of_workers(everything: Overview) -> list[Metric]:
    """How many workers run, and how many processes they have, by queue and version."""
    labels = ["queue", "version"]
    workers = GaugeMetricFamily(
        "curate_workers", "Celery workers seen in the last 45 seconds", labels=labels
    )
    processes = GaugeMetricFamily(
        "curate_worker_processes", "Processes of these workers", labels=labels
    )
    counts: Counter[tuple[str, str]] = Counter()
    listeners: Counter[tuple[str, str]] = Counter()
    for worker in everything.workers:
        if worker.recent:
            counts[worker.queue, worker.version] += 1
            listeners[worker.queue, worker.version] += worker.processes
    for key, count in sorted(counts.items()):
        workers.add_metric(list(key), count)
        processes.add_metric(list(key), listeners[key])
    return [workers, processes]


def registry(engine: Engine, messages: Messages) -> CollectorRegistry:
    """A registry with curate's metrics and nothing else."""
    metrics = CollectorRegistry()
    metrics.register(CurateCollector(engine, messages))
    return metrics


def as_text(metrics: CollectorRegistry) -> str:
    """The metrics in Prometheus's text format."""
    return generate_latest(metrics).decode()


def with_login(app: App, login: str) -> App:
    """The WSGI app behind HTTP basic authentication; `login` is user:password, empty for none."""
    expected = b"Basic " + base64.b64encode(login.encode())

    def app_with_login(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if not login or hmac.compare_digest(given, expected):
            return app(environ, start)
        start(
            "401 Unauthorized",
            [("WWW-Authenticate", 'Basic realm="curate"'), ("Content-Type", "text/plain")],
        )
        return [b"a login is needed\n"]

    return app_with_login


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 30  # seconds until a silent client is dropped

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def server(metrics: CollectorRegistry, address: str, port: int, login: str) -> WSGIServer:
    """A server of the metrics that already listens; run it with serve_forever. Raises OSError."""

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    return make_server(address, port, with_login(make_wsgi_app(metrics), login), Server, _Handler)
