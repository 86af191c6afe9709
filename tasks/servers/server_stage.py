"""Servers that stages ask: their options, and the gate that every request goes through.

The limits of a server hold for all processes together, so the gate is made where the database is
(curate.worker.gate). Without one, as in a script, requests go through as they come.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from curate.configs.schema import StageOptions


@dataclass(frozen=True)
class ServerLimit:
    """What a server takes, of all processes together; `name` is its address.

    `per_minute` 0: any number.
    """

    name: str
    at_a_time: int
    per_minute: float = 0.0


@dataclass(frozen=True)
class Usage:
    """What an answer cost: tokens read and written, and money."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a server sent about a row, with a digest of what was asked and, behind it, about which
    window: kept until it is saved.
    """

    row_id: int
    request: str
    content: str


class RequestGate(Protocol):
    """Lets requests of a stage through, and counts what they cost. Thread-safe."""

    sends: bool
    """Whether requests are sent; if not, their answers came in a file."""

    def permit(self, limit: ServerLimit, seconds: float) -> AbstractContextManager[None]:
        """Wait until the server takes one more request, which is sent within the block.

        Raises ServiceError when that takes longer than `seconds`, and BudgetSpent, which pauses
        the dataset, when the stage has spent its `max_cost`.
        """

    def spend(self, usage: Usage, answer: Answer | None = None) -> None:
        """Count what a request cost, and keep its answer in case the process is killed."""

    def answers(self, request: str, row_ids: Sequence[int]) -> Mapping[tuple[int, str], str]:
        """The kept answers to requests that begin so, by row and request: they need not be asked
        for again.
        """


class OpenGate:
    """A gate without a database: it lets everything through and counts nothing."""

    sends = True

    @contextmanager
    def permit(self, limit: ServerLimit, seconds: float) -> Iterator[None]:
        """At once."""
        yield

    def spend(self, usage: Usage, answer: Answer | None = None) -> None:
        """Nobody counts."""

    def answers(self, request: str, row_ids: Sequence[int]) -> Mapping[tuple[int, str], str]:
        """None."""
        return {}


class ServerStage:
    """A stage that asks servers; it comes before Stage among the bases. The worker gives its
    Context a gate, and `curate captions export-requests` takes its requests.
    """

    exports_requests: ClassVar[bool] = True
    """Whether its requests may be sent as files, see curate.worker.batch_files."""

    @classmethod
    def max_cost(cls, options: Any) -> float:
        """What its requests in a dataset may cost; 0: any sum."""
        return float(options.max_cost)

    @abstractmethod
    def request_digest(self) -> str:
        """Hexadecimal digits that change with whatever changes the answers."""

    @abstractmethod
    def request_bodies(self, row: Any) -> dict[str, dict[str, Any]]:
        """The bodies of the requests about a row: by the digest, with what tells one from another
        behind it. Raises RowError.
        """

    @abstractmethod
    def usage_of(self, content: str) -> Usage:
        """What an answer cost, by the server's own counts; none where it tells none."""


def plain_url(url: str) -> str:
    """The address of a server. Raises ValueError for one that holds a secret or is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must begin with http:// or https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it must hold no login and no query: a key belongs into the environment")
    return url


Url = Annotated[str, AfterValidator(plain_url)]
Price = dict[Literal["input", "output"], Annotated[float, Field(ge=0, allow_inf_nan=False)]]
VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"  # names of environment variables


class ServerEntry(BaseModel):
    """One of several servers; what is None is as the stage's option of that name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: Url
    weight: float = Field(1, gt=0, le=1000)
    model: str | None = None
    key_variable: str | None = Field(None, pattern=VARIABLE)
    concurrency: int | None = Field(None, ge=1, le=256)
    per_minute: float | None = Field(None, ge=0)
    price: Price | None = None


class ServerOptions(StageOptions):
    """Options of every stage that asks servers with OpenAI's protocol."""

    change_no_score: ClassVar[tuple[str, ...]] = (
        *StageOptions.change_no_score,
        "url",
        "servers",
        "key_variable",
        "concurrency",
        "per_minute",
        "timeout",
        "tries",
        "wait",
        "longest_wait",
        "price",
        "max_cost",
        "offline",
    )

    time_limit: float = Field(
        3600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    url: Url = Field(
        "http://127.0.0.1:8000/v1",
        description="the server's address, up to /v1; without login or key",
    )
    servers: list[ServerEntry] = Field(
        default_factory=list,
        description="several servers instead of url, each with url and, if they differ, weight, "
        "model, key_variable, concurrency, per_minute, price",
    )
    model: str = Field("", description="the server's name for the model")
    key_variable: str = Field(
        "OPENAI_API_KEY", pattern=VARIABLE, description="environment variable that holds the key"
    )
    concurrency: int = Field(
        8, ge=1, le=256, description="requests at a time to a server, of all workers together"
    )
    per_minute: float = Field(
        0,
        ge=0,
        description="requests a minute to a server at most, of all workers together; 0: any number",
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
    price: Price = Field(
        default_factory=dict,
        description="of a million tokens, such as {input: 0.4, output: 1.6}; the sum is in status",
    )
    max_cost: float = Field(
        0, ge=0, description="once the dataset's requests have cost so much, it pauses; 0: never"
    )
    offline: bool = Field(
        False, description="send nothing: clips wait for curate captions load-responses"
    )

    @property
    def entries(self) -> list[ServerEntry]:
        """The servers, with nothing left None."""
        usual = {
            "model": self.model,
            "key_variable": self.key_variable,
            "concurrency": self.concurrency,
            "per_minute": self.per_minute,
            "price": self.price,
        }
        own = [e.model_dump(exclude_none=True) for e in self.servers] or [{"url": self.url}]
        return [ServerEntry(**usual | one) for one in own]
