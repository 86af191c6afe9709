"""Requests and answers as files, for batch APIs of servers: a line of JSON each, OpenAI's format.

A request is told by its `custom_id`: the clip, a digest of what is asked and, where it is about a
window, its time stamps. An answer is taken only by a clip that still waits for the stage and would
ask the same; so a file that is loaded twice changes nothing. Answers about windows are kept in the
database until those about all windows of the clip are there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

import curate
from curate.configs.errors import AnswersMissing, BadTable, ServiceError, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.row_errors import RowError
from curate.configs.schema import StageOptions
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.db.engine import writing
from curate.db.queue.chosen import lease_these, look_at
from curate.db.queue.leases import Claim, ClaimRequest, release_rows
from curate.db.save.batch import Outcomes, Writer, save
from curate.db.spending import (
    KeptAnswer,
    Spent,
    add_spending,
    forget_answers,
    kept_answers,
)
from curate.tasks.registry import stages
from curate.tasks.servers.server_stage import Answer, ServerLimit, ServerOptions, ServerStage, Usage
from curate.tasks.stage import Context
from curate.worker.datasets import pipeline_of
from curate.worker.outcomes import run_rows
from curate.worker.owner import new_owner, worker_name
from curate.worker.rows import stage_rows
from curate.worker.sources import leave_out_replaced

PATH = "/v1/chat/completions"
CHUNK = 200  # answers a transaction
Key = tuple[int, str]  # a clip, and the request about it
LEASE_SECONDS = 600.0  # for as long as a chunk is saved; nobody renews it
# what reading a line raises that is no answer: OverflowError, of a status of 1e999
NO_ANSWER = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass
class AnswerCounts:
    """What became of answers: clips that go on, or failed; that wait for answers about other
    windows; in lines, answers about clips that wait no more; to requests that would not be sent
    today; and not asked for here.
    """

    loaded: int = 0
    failed: int = 0
    incomplete: int = 0
    not_waiting: int = 0
    outdated: int = 0
    unknown: int = 0
    spent: Spent = field(default_factory=Spent)


@dataclass
class _FileGate:
    """A gate that lets no request through: answers came in a file."""

    contents: Mapping[Key, str] = field(default_factory=dict)
    sends: bool = True  # requests go to a file

    @contextmanager
    def permit(self, limit: ServerLimit, seconds: float) -> Iterator[None]:
        raise AnswersMissing(server=limit.name)
        yield

    def spend(self, usage: Usage, answer: Answer | None = None) -> None:
        """Nothing is asked."""

    def answers(self, request: str, row_ids: Sequence[int]) -> Mapping[Key, str]:
        return self.contents


class BatchFiles:
    """Writes requests of one stage of a dataset, and takes the answers."""

    def __init__(
        self, settings: Settings, engine: Engine, dataset: Dataset, pipeline: Pipeline, name: str
    ) -> None:
        """Raises UsageError for a stage that asks no server, ServiceError."""
        self._settings, self._engine, self._dataset = settings, engine, dataset
        self._step, self._pipeline = pipeline.by_name[name], pipeline
        self._gate = _FileGate()
        self._incomplete: set[int] = set()  # clips that wait for more answers
        cls = stages()[name]
        if not issubclass(cls, ServerStage) or not cls.exports_requests:
            asking = ", ".join(server_steps(pipeline)) or "none"
            raise UsageError(what=f"stage {name} exports no requests; those that do: {asking}")
        online: StageOptions = self._step.options.model_copy(update={"offline": False})
        context = Context(settings, pipeline, dataset.folder)
        self._stage = cls(online, dataclasses.replace(context, gate=self._gate))
        self._stage.load()
        whose = f"{dataset.created_at}-{dataset.folder}-{name}-{self._stage.request_digest()}"
        self._digest = hashlib.sha256(whose.encode()).hexdigest()[:16]

    @property
    def stage_name(self) -> str:
        """The stage whose requests these are."""
        return self._step.name

    @property
    def offline(self) -> bool:
        """Whether workers leave its requests to files."""
        options = self._step.options
        return isinstance(options, ServerOptions) and options.offline

    def request_lines(
        self, ids: Sequence[int], report: Callable[[int, int], None], failures: dict[int, str]
    ) -> Iterator[str]:
        """A line for each clip, or window of one, that still waits and whose frames can be read;
        why the others have none is added to `failures`.
        """
        done = 0
        for claim in look_at(self._engine, self._request(), ids):
            for row in stage_rows(claim, self._settings.samples):
                try:
                    bodies = self._stage.request_bodies(row)
                except RowError as error:
                    bodies = {}
                    failures[row.id] = str(error)
                for key, body in bodies.items():
                    part = key.removeprefix(self._stage.request_digest())
                    request = {"custom_id": f"{row.id}-{self._digest}{part}", "method": "POST"}
                    yield json.dumps({**request, "url": PATH, "body": body})
                done += 1
                report(done, len(ids))

    def load(
        self, lines: Iterable[str], name: object, report: Callable[[int], None]
    ) -> AnswerCounts:
        """Save what answers say: captions, or failures with a reason. Raises BadTable, with the
        name of the file, for a line that is no answer; those of the chunks before it are saved.
        """
        counts, source = AnswerCounts(), enumerate(lines, 1)
        while first := next(source, None):
            contents: dict[Key, str] = {}
            for number, line in itertools.chain([first], itertools.islice(source, CHUNK - 1)):
                if line.strip():
                    try:
                        self._read(line, contents, counts)
                    except NO_ANSWER as error:
                        why = f"line {number} is no answer of a batch API ({type(error).__name__})"
                        raise BadTable(source=name, why=why) from None
            self._save(contents, counts)
            report(number)
        return counts

    def _read(self, line: str, contents: dict[Key, str], counts: AnswerCounts) -> None:
        """Take an answer in, or count why not. Raises ValueError and others for what is none."""
        answer = json.loads(line)
        clip, _, asked = str(answer["custom_id"]).partition("-")
        digest, dash, window = asked.partition("-")
        content = content_of(answer)
        if not (clip.isascii() and clip.isdigit() and len(clip) < 19 and digest):
            counts.unknown += 1
        elif digest != self._digest:
            counts.outdated += 1
        else:
            key = int(clip), f"{self._stage.request_digest()}{dash}{window}"
            counts.not_waiting += key in contents  # a later answer to a request counts
            contents[key] = content

    def _save(self, contents: Mapping[Key, str], counts: AnswerCounts) -> None:
        claim = lease_these(self._engine, self._request(), {clip for clip, _ in contents})
        leased = {key: text for key, text in contents.items() if key[0] in claim.ids}
        counts.not_waiting += len(contents) - len(leased)
        if not claim.rows:
            return
        asked = self._stage.request_digest()
        before = kept_answers(self._engine, self._step.name, asked, claim.ids)
        new = {key: text for key, text in leased.items() if before.get(key) != text}
        self._count(new, counts)  # before it is saved: a file whose load was killed counts once
        try:
            outcomes = self._outcomes(claim, {**before, **leased})
            writer = Writer(pipeline_of, worker_name(), curate.code_version())
            saved = save(self._engine, claim, outcomes, writer)
        finally:
            with suppress(ServiceError), writing(self._engine) as connection:
                owners = [claim.request.owner]
                release_rows(connection, self._dataset.id, owners, self._step)
        waiting = set(claim.ids) - {*outcomes.scores, *outcomes.failed}
        if not outcomes.service_error:
            waiting = set()
        if saved.rows or waiting:
            ids = [*outcomes.scores, *outcomes.failed]
            forget_answers(self._engine, self._step.name, ids)
            self._incomplete = (self._incomplete | waiting) - set(ids)
            counts.incomplete = len(self._incomplete)
        counts.loaded += saved.ok + saved.dropped
        counts.failed += saved.failed
        counts.not_waiting += saved.lost + saved.released + saved.replaced - len(waiting)

    def _count(self, new: Mapping[Key, str], counts: AnswerCounts) -> None:
        """Count what answers cost, and keep them, in one transaction."""
        usages = [self._stage.usage_of(text) for text in new.values()]
        sums = (sum(u.tokens_in for u in usages), sum(u.tokens_out for u in usages))
        spent = Spent(len(new), *sums, sum(u.cost for u in usages))
        kept = [KeptAnswer(*key, text) for key, text in new.items()]
        add_spending(self._engine, self._dataset.id, self._step.name, spent, kept)
        counts.spent += spent

    def _outcomes(self, claim: Claim, contents: Mapping[Key, str]) -> Outcomes:
        self._gate.contents, self._gate.sends = contents, False
        rows = stage_rows(claim, self._settings.samples)
        try:
            outcomes = run_rows(self._stage, rows)
        except AnswersMissing as error:  # of every clip
            return Outcomes(service_error=error)
        if self._stage.opens_source:
            leave_out_replaced(rows, outcomes)
        return outcomes

    def _request(self) -> ClaimRequest:
        return ClaimRequest(
            dataset_id=self._dataset.id,
            step=self._step,
            pipeline=self._pipeline,
            owner=new_owner(),
            lease_seconds=LEASE_SECONDS,
            max_attempts=self._settings.max_attempts,
            reads=self._stage.reads,
            neighbours=self._step.neighbours,
        )


def content_of(answer: Mapping[str, Any]) -> str:
    """The reply within a line of answers, or the error in its place. Raises KeyError, TypeError."""
    response, error = answer.get("response"), answer.get("error")
    if response and int(response.get("status_code") or 200) < 300:
        return json.dumps(response["body"])
    told = error or (response or {}).get("body") or "neither an answer nor an error"
    return json.dumps(told if isinstance(told, dict) and "error" in told else {"error": told})


def server_steps(pipeline: Pipeline) -> list[str]:
    """The stages of a pipeline that ask servers, in order."""
    classes = [stages()[step.name] for step in pipeline.stages]
    return [c.name for c in classes if issubclass(c, ServerStage) and c.exports_requests]
