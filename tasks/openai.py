"""Captions by servers with OpenAI's API (vLLM, MindIE, LMDeploy, a cloud): the stage `openai`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.configs.row_errors import CaptionMalformed
from curate.tasks.captioners.asking import AskingStage, pool_of
from curate.tasks.captioners.fields import FieldsWrong, quoted
from curate.tasks.captioners.frames import Part
from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.openai_client import Completion, Counts, ask, ask_until_right
from curate.tasks.captioners.stages import CaptionOptions, CaptionStage
from curate.tasks.captioners.windows import Window
from curate.tasks.servers.server_pool import ServerPool
from curate.tasks.servers.server_stage import ServerOptions
from curate.tasks.stage import Clip, Outcome
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

FORMAT = "response_format"


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

    def __init__(self, options: OpenaiOptions, stage: str, pool: ServerPool | None = None) -> None:
        self._options = options
        self._stage = stage
        self._pool = pool or pool_of(options, stage)
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
        found = ask_until_right(
            lambda body: ask(self._pool, body, self.counts, optional=self.optional).checked(),
            self.request(frames, fps, prompt, max_new_tokens),
            self.problem,
        )
        return self.read(found, time.monotonic() - started)

    @property
    def optional(self) -> str:
        """The key of requests that not every server takes."""
        return FORMAT if self._options.fields else ""

    def problem(self, text: str) -> str:
        """What the model is told of an answer that lacks fields; empty: it has them."""
        schema = self._options.field_schema
        why = schema.problem(text)
        return schema.asked_again(why) if why else ""

    def read(self, found: Completion, seconds: float) -> Caption:
        """The caption in a completion. Raises CaptionMalformed."""
        caption = Caption(found.text, found.tokens_out, seconds, found.revision)
        try:
            return self._options.field_schema.filled(caption)
        except FieldsWrong as wrong:
            wrote = found.text
            for server in self._pool.servers:
                wrote = server.hide_key(wrote)
            told = {"why": wrong, "wrote": quoted(wrote), "stage": self._stage}
            raise CaptionMalformed(model=self.name, **told) from None

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
        in_fields = {FORMAT: options.field_schema.response_format} if options.fields else {}
        system = [{"role": "system", "content": options.system}] if options.system else []
        body = {
            "model": self.name,
            "messages": [*system, {"role": "user", "content": content}],
            "max_tokens": max_new_tokens,
            "temperature": 0,
            **in_fields,
            **options.body,
        }
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True)
class _Question:
    """What is asked about a clip or a window of it; `key` tells it from other requests."""

    window: Window | None
    key: str
    body: dict[str, Any]  # empty: it is answered already


class Openai(AskingStage, CaptionStage[OpenaiOptions]):
    """Captions by servers that speak OpenAI's protocol.

    The key comes from the environment of the workers and is written nowhere. A clip for which no
    server gives a caption fails with the reason, and so does one that is denied (401, 403, 404,
    405) where others of its batch are answered. A wrong key, model or address, or servers that are
    not there, fail no clip: they wait. What requests cost is in `curate status`.
    """

    name = "openai"
    Options = OpenaiOptions

    def recorded_prompt(self) -> str:
        """The system prompt and the prompt: the captions depend on both."""
        return "\n\n".join(part for part in (self.options.system, self.options.asked) if part)

    def load(self) -> None:
        """Make the captioner. No request is sent yet. Raises AskedOffline."""
        super().load()
        self._captioner = OpenaiCaptioner(self.options, self.name, self.pool)
        self.optional = self._captioner.optional
        # decode one clip at a time, or memory would grow with the concurrency
        self._decoding = threading.Lock()

    @property
    def captioner(self) -> OpenaiCaptioner:
        """The captioner."""
        return self._captioner

    def request_bodies(self, row: Clip) -> dict[str, dict[str, Any]]:
        """What is asked about a clip, or its windows. Raises MediaError, StageError."""
        return {asked.key: asked.body for asked in self._requests(row)}

    def _requests(self, row: Clip) -> list[_Question]:
        """What is asked about a clip; nothing is decoded for what is answered already."""
        digest = self.request_digest()

        def key(window: Window | None) -> str:
            return f"{digest}-{window.start_pts}-{window.end_pts}" if window else digest

        def needed(window: Window | None) -> bool:
            return self.context.gate.sends and not self.is_kept(row.id, key(window))

        if self.options.windows is None and self.is_kept(row.id, digest):
            return [_Question(None, digest, {})]
        with self._decoding:
            parts = self.parts_of(row, needed)
        return [_Question(part.window, key(part.window), self._body(row, part)) for part in parts]

    def _body(self, row: Clip, part: Part) -> dict[str, Any]:
        """The body of a request; none without frames."""
        if not len(part.frames):
            return {}
        where = part.window or row
        seconds = float((where.end_pts - where.start_pts) * row.time_base)
        fps = len(part.frames) / seconds if seconds > 0 else 1.0
        request = self.options.asked, self.options.max_new_tokens
        return self._captioner.request(part.frames, fps, *request)

    def run(self, row: Clip) -> Outcome:
        """The captions of one clip. Raises MediaError, StageError, ServiceError."""
        written, problem = [], self._captioner.problem
        for asked in self._requests(row):
            started, about = time.monotonic(), (row.id, asked.body, asked.key)
            found = self.kept(row.id, asked.key) or self.ask_about(*about, problem)
            caption = self._captioner.read(found, time.monotonic() - started)
            written.append((asked.window, caption))
        return self.outcome(written)
