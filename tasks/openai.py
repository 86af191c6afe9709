"""Captions by servers with OpenAI's API (vLLM, MindIE, LMDeploy, a cloud): the stage `openai`."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.configs.errors import AskedOffline, ConfigError
from curate.configs.row_errors import CaptionFailed
from curate.tasks.captioners.frames import frames_for
from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.openai_client import (
    Completion,
    Counts,
    TryFailed,
    ask,
    blame_denied,
    read_completion,
    told_error,
)
from curate.tasks.captioners.stages import CaptionOptions, CaptionStage
from curate.tasks.servers.server_pool import Server, ServerPool
from curate.tasks.servers.server_stage import (
    Answer,
    OpenGate,
    RequestGate,
    ServerEntry,
    ServerOptions,
    ServerStage,
    Usage,
)
from curate.tasks.stage import Clip, Outcome
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

log = logging.getLogger(__name__)

MOST_THREADS = 256


class OpenaiOptions(ServerOptions, CaptionOptions):
    """Options of `openai`."""

    system: str = Field(
        "", description="system prompt, kept with each caption in front of the prompt; empty: none"
    )
    send: Literal["frames", "video"] = Field(
        "frames", description="frames as JPEG pictures, or as a small MP4"
    )
    prompt_first: bool = Field(
        True, description="the prompt goes before the frames, so that servers cache its beginning"
    )
    frames: int = Field(
        8, ge=1, le=256, description="frames of a clip, evenly spread; no frame is sent twice"
    )
    longer_size: int = Field(
        768, ge=32, le=4096, description="pixels of the longer side, never enlarged"
    )
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="put into each request, such as {seed: 1}; null takes a key out of it",
    )


class OpenaiCaptioner:
    """A Captioner that asks servers, through the gate to them. Thread-safe."""

    def __init__(self, options: OpenaiOptions, stage: str, gate: RequestGate | None = None) -> None:
        self._options = options
        servers = [_server(entry, stage, options) for entry in options.entries]
        patience = (options.tries, options.wait, options.longest_wait)
        self.pool = ServerPool(servers, gate or OpenGate(), *patience)
        self.counts = Counts()
        self.name = options.model
        self.revision = ""

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The middle frames of equal parts of the clip."""
        count = min(self._options.frames, clip.num_frames)
        scale = min(1.0, self._options.longer_size / max(clip.width, clip.height))
        size = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        middles = [(2 * n + 1) * clip.num_frames // (2 * count) for n in range(count)]
        return Pick(middles, size)

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int) -> Caption:
        """The caption of one clip, its frames taken as one second apart.

        Raises StageError, CaptionServer.
        """
        return self.caption_at(frames, 1.0, prompt, max_new_tokens)

    def caption_at(self, frames: Frames, fps: float, prompt: str, max_new_tokens: int) -> Caption:
        """As `caption`, at `fps` frames per second of the clip."""
        started = time.monotonic()
        completion = ask(
            self.pool, self.request(frames, fps, prompt, max_new_tokens), self.counts
        ).checked()
        seconds = time.monotonic() - started
        return Caption(completion.text, completion.tokens_out, seconds, completion.revision)

    def request(
        self, frames: Frames, fps: float, prompt: str, max_new_tokens: int
    ) -> dict[str, Any]:
        """The body of the request for a caption."""
        from curate.tasks.captioners.media_urls import jpeg_urls, mp4_url

        options = self._options
        if options.send == "video":
            media = [{"type": "video_url", "video_url": {"url": mp4_url(frames, fps)}}]
        else:
            media = [{"type": "image_url", "image_url": {"url": url}} for url in jpeg_urls(frames)]
        asked = [{"type": "text", "text": prompt}]
        content = [*asked, *media] if options.prompt_first else [*media, *asked]
        system = [{"role": "system", "content": options.system}] if options.system else []
        body = {
            "model": self.name,
            "messages": [*system, {"role": "user", "content": content}],
            "max_tokens": max_new_tokens,
            "temperature": 0,
            **options.body,
        }
        return {name: value for name, value in body.items() if value is not None}


def _server(entry: ServerEntry, stage: str, options: OpenaiOptions) -> Server:
    price = entry.price or {}
    return Server(
        entry.url,
        entry.key_variable or options.key_variable,
        stage,
        timeout=options.timeout,
        model=entry.model or options.model,
        weight=entry.weight,
        at_a_time=entry.concurrency or options.concurrency,
        per_minute=entry.per_minute or 0,
        prices=(price.get("input", 0.0), price.get("output", 0.0)),
    )


class Openai(ServerStage, CaptionStage[OpenaiOptions]):
    """Captions by servers that speak OpenAI's protocol.

    The key comes from the environment of the workers and is written nowhere. A clip for which no
    server gives a caption fails with the reason, and so does one that is denied (401, 403, 404,
    405) where others of its batch are answered. A wrong key, model or address, or servers that are
    not there, fail no clip: they wait. What requests cost is in `curate status`.
    """

    name = "openai"
    Options = OpenaiOptions

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError for a missing model or price, or too short a time_limit.

        Raises CaptionServer for a key that no HTTP header can hold.
        """
        entries = options.entries
        if not all(entry.model for entry in entries):
            why = "it needs the server's name of a model: model: NAME"
            raise ConfigError(source="of stage openai", why=why)
        if not options.model:
            why = "captions are told apart by model: give it besides those of servers"
            raise ConfigError(source="of stage openai", why=why)
        if len({entry.url for entry in entries}) < len(entries):
            raise ConfigError(source="of stage openai", why="servers holds an address twice")
        if options.max_cost and not all(any((e.price or {}).values()) for e in entries):
            why = "max_cost needs prices, such as price: {input: 0.4, output: 1.6}"
            raise ConfigError(source="of stage openai", why=why)
        cls._check_time(options)
        for entry in entries:  # no error when a key is not set: it may be set for the workers
            _ = _server(entry, cls.name, options).key

    @classmethod
    def _check_time(cls, options: OpenaiOptions) -> None:
        paces = [entry.per_minute or 0 for entry in options.entries]
        batch, each, tries = options.batch_size, sum(paces), options.tries
        paced = 60 * batch / each if all(paces) else 0
        tried = tries * options.timeout + (tries - 1) * options.longest_wait
        clips_text = f"{batch} clips at {each:g} a minute"
        tries_text = f"{tries} tries of {options.timeout:g} s, {options.longest_wait:g} s apart,"
        for seconds, what, option in (
            (paced, clips_text, "batch_size"),
            (tried, tries_text, "tries"),
        ):
            if seconds > options.time_limit:
                limit = f"its time_limit of {options.time_limit:g} s"
                why = f"{what} take {seconds:g} s, more than {limit}"
                raise ConfigError(
                    source="of stage openai", why=f"{why}; raise time_limit or lower {option}"
                )

    def recorded_prompt(self) -> str:
        """The system prompt and the prompt: the captions depend on both."""
        return "\n\n".join(part for part in (self.options.system, self.options.prompt) if part)

    def load(self) -> None:
        """Make the captioner. No request is sent yet. Raises AskedOffline."""
        if self.options.offline:
            raise AskedOffline(stage=self.name)
        self._captioner = OpenaiCaptioner(self.options, self.name, self.context.gate)
        # decode one clip at a time, or memory would grow with the concurrency
        self._decoding = threading.Lock()
        self._kept: Mapping[int, str] = {}  # answers of this batch that are there already
        self._until = math.inf

    def captioners(self) -> Sequence[OpenaiCaptioner]:
        """The one captioner."""
        return [self._captioner]

    def request_digest(self) -> str:
        """Hexadecimal digits of the options that change captions."""
        options = self.options.model_dump(mode="json", exclude=set(self.options.change_no_score))
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]

    def request_body(self, row: Clip) -> dict[str, Any]:
        """The body of the request about a clip. Raises MediaError, StageError."""
        with self._decoding:
            (frames,) = frames_for(row, self.captioners())
        seconds = float((row.end_pts - row.start_pts) * row.time_base)
        fps = len(frames) / seconds if seconds > 0 else 1.0
        request = self.options.prompt, self.options.max_new_tokens
        return self._captioner.request(frames, fps, *request)

    def usage_of(self, content: str) -> Usage:
        """What an answer cost at the first server's prices."""
        server = self._captioner.pool.servers[0]
        try:
            found = read_completion(content, self.options.model, server)
        except TryFailed:
            return Usage()
        return Usage(found.tokens_in or 0, found.tokens_out or 0, found.cost)

    def run(self, row: Clip) -> Outcome:
        """The caption of one clip. Raises MediaError, StageError, ServiceError."""
        started = time.monotonic()
        found = self._read(self._kept[row.id]) if row.id in self._kept else self._ask(row)
        text, tokens, seconds = found.text, found.tokens_out, time.monotonic() - started
        caption = Caption(text, tokens, seconds, found.revision)
        return self.outcome([(self._captioner, caption)])

    def _ask(self, row: Clip) -> Completion:
        def spend(found: Completion) -> None:
            usage = Usage(found.tokens_in or 0, found.tokens_out or 0, found.cost)
            answer = Answer(row.id, self.request_digest(), found.content)
            self.context.spend(usage, None if found.error else answer)

        captioner, body = self._captioner, self.request_body(row)
        return ask(captioner.pool, body, captioner.counts, spend, self._until).checked()

    def _read(self, content: str) -> Completion:
        """An answer that came earlier, or in a file. Raises StageError."""
        server = self._captioner.pool.servers[0]
        try:
            return read_completion(content, self.options.model, server).checked()
        except TryFailed as error:
            why = told_error(content, server) or str(error)
            raise CaptionFailed(server=server.url, tries=1, why=why, stage=self.name) from None

    def run_batch(self, rows: Sequence[Clip]) -> list[Any]:
        """The captions, or an error in place of one, with several requests at a time.

        It raises no error of a clip, so the runner never asks for a clip twice.
        """
        counts = self._captioner.counts = Counts()
        self._kept = self.context.answers(self.request_digest(), [row.id for row in rows])
        # the last try may begin then
        last = self.options.time_limit * 0.9 - self.options.timeout
        self._until = time.monotonic() + max(last, self.options.time_limit / 2)
        at_a_time = sum(server.at_a_time for server in self._captioner.pool.servers)
        with ThreadPoolExecutor(min(at_a_time, len(rows), MOST_THREADS)) as pool:
            futures = [pool.submit(self.run, row) for row in rows]
        # a warning, because the workers of `curate run` log nothing less severe
        log.log(
            logging.WARNING if counts.requests else logging.INFO,
            "openai: %d clips, %d requests in %d tries, %d tokens read, %d written%s",
            len(rows),
            counts.requests,
            counts.tries,
            counts.tokens_in,
            counts.tokens_out,
            f", cost {counts.cost:.4f}" if counts.cost else "",
        )
        outcomes = [future.exception() or future.result() for future in futures]
        return blame_denied(outcomes, self.name)
