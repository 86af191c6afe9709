"""Captions by a server with OpenAI's API (vLLM, MindIE, LMDeploy, a cloud): the stage `openai`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from curate.configs.errors import ConfigError
from curate.tasks.captioners.frames import frames_for
from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.openai_client import Pace, Server, Spent, ask, blame_denied
from curate.tasks.captioners.stages import CaptionOptions, CaptionStage
from curate.tasks.stage import Clip, Outcome
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

log = logging.getLogger(__name__)


class OpenaiOptions(CaptionOptions):
    """Options of `openai`."""

    time_limit: float = Field(
        3600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    url: str = Field(
        "http://127.0.0.1:8000/v1",
        description="the server's address, up to /v1; without login or key",
    )
    model: str = Field("", description="the server's name for the model")
    key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern="[A-Za-z_][A-Za-z0-9_]*",
        description="environment variable that holds the key",
    )
    system: str = Field(
        "", description="system prompt, kept with each caption in front of the prompt; empty: none"
    )
    send: Literal["frames", "video"] = Field(
        "frames", description="frames as JPEG pictures, or as a small MP4"
    )
    frames: int = Field(
        8, ge=1, le=256, description="frames of a clip, evenly spread; no frame is sent twice"
    )
    longer_size: int = Field(
        768, ge=32, le=4096, description="pixels of the longer side, never enlarged"
    )
    concurrency: int = Field(
        8, ge=1, le=256, description="requests at a time, of each worker process"
    )
    per_minute: float = Field(
        0, ge=0, description="requests a minute at most, of each worker process; 0: any number"
    )
    timeout: float = Field(120, gt=0, le=3600, description="seconds that one try may take")
    tries: int = Field(5, ge=1, le=20, description="tries of a request before its clip fails")
    wait: float = Field(
        1,
        ge=0,
        le=600,
        description="seconds before the second try; doubled before each that follows",
    )
    longest_wait: float = Field(
        60, ge=0, le=3600, description="seconds waited at most, whatever Retry-After says"
    )
    price_in: float = Field(
        0, ge=0, description="price of a million tokens read, for the cost in the log"
    )
    price_out: float = Field(0, ge=0, description="price of a million tokens written")
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="put into each request, such as {seed: 1}; null takes a key out of it",
    )

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it must begin with http:// or https://")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "it must hold no login and no query: a key belongs into the environment"
            )
        return url


class OpenaiCaptioner:
    """A Captioner that asks a server. Thread-safe."""

    def __init__(self, options: OpenaiOptions, stage: str) -> None:
        self._options = options
        self._server = Server(
            options.url,
            options.key_variable,
            stage,
            options.timeout,
            options.tries,
            options.wait,
            options.longest_wait,
        )
        self._pace = Pace(options.per_minute)
        self.spent = Spent()
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
        from curate.tasks.captioners.media_urls import jpeg_urls, mp4_url

        started, options = time.monotonic(), self._options
        if options.send == "video":
            media = [{"type": "video_url", "video_url": {"url": mp4_url(frames, fps)}}]
        else:
            media = [{"type": "image_url", "image_url": {"url": url}} for url in jpeg_urls(frames)]
        system = [{"role": "system", "content": options.system}] if options.system else []
        user = {"role": "user", "content": [*media, {"type": "text", "text": prompt}]}
        body = {
            "model": self.name,
            "messages": [*system, user],
            "max_tokens": max_new_tokens,
            "temperature": 0,
            **options.body,
        }
        body = {name: value for name, value in body.items() if value is not None}
        completion = ask(self._server, body, self._pace, self.spent)
        seconds = time.monotonic() - started
        return Caption(completion.text, completion.tokens_out, seconds, completion.revision)


class Openai(CaptionStage[OpenaiOptions]):
    """Captions by a server that speaks OpenAI's protocol.

    The key comes from the environment of the workers and is written nowhere. A clip for which the
    server gives no caption fails with the reason, and so does one that is denied (401, 403, 404,
    405) where others of its batch are answered. A wrong key, model or address, or a server that is
    not there, fails no clip: they wait. Tokens and cost of each batch are in the workers' log.
    """

    name = "openai"
    Options = OpenaiOptions

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError for a missing model or too short a time_limit.

        Raises CaptionServer for a key that no HTTP header can hold.
        """
        if not options.model:
            why = "it needs the server's name of a model: model: NAME"
            raise ConfigError(source="of stage openai", why=why)
        batch, each, tries = options.batch_size, options.per_minute, options.tries
        paced = 60 * batch / each if each else 0
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
        # no error when the key is not set: it may be set for the workers
        _ = Server(options.url, options.key_variable, cls.name).key

    def recorded_prompt(self) -> str:
        """The system prompt and the prompt: the captions depend on both."""
        return "\n\n".join(part for part in (self.options.system, self.options.prompt) if part)

    def load(self) -> None:
        """Make the captioner. No request is sent yet."""
        self._captioner = OpenaiCaptioner(self.options, self.name)
        # decode one clip at a time, or memory would grow with the concurrency
        self._decoding = threading.Lock()

    def captioners(self) -> Sequence[OpenaiCaptioner]:
        """The one captioner."""
        return [self._captioner]

    def run(self, row: Clip) -> Outcome:
        """The caption of one clip. Raises MediaError, StageError, CaptionServer."""
        with self._decoding:
            (frames,) = frames_for(row, self.captioners())
        seconds = float((row.end_pts - row.start_pts) * row.time_base)
        fps = len(frames) / seconds if seconds > 0 else 1.0
        caption = self._captioner.caption_at(
            frames, fps, self.options.prompt, self.options.max_new_tokens
        )
        return self.outcome([(self._captioner, caption)])

    def run_batch(self, rows: Sequence[Clip]) -> list[Any]:
        """The captions, or an error in place of one, with several requests at a time.

        It raises no error of a clip, so the runner never asks for a clip twice.
        """
        spent = self._captioner.spent = Spent()
        with ThreadPoolExecutor(min(self.options.concurrency, len(rows))) as pool:
            futures = [pool.submit(self.run, row) for row in rows]
        price_in, price_out = self.options.price_in, self.options.price_out
        cost = (spent.tokens_in * price_in + spent.tokens_out * price_out) / 1e6
        # a warning, because the workers of `curate run` log nothing less severe
        log.warning(
            "openai: %d clips, %d requests in %d tries, %d tokens read, %d written%s",
            len(rows),
            spent.requests,
            spent.tries,
            spent.tokens_in,
            spent.tokens_out,
            f", cost {cost:.4f}" if price_in or price_out else "",
        )
        outcomes = [future.exception() or future.result() for future in futures]
        return blame_denied(outcomes, self.name)
