"""Where things are and how workers behave: CURATE_* environment variables over defaults."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from curate.configs.errors import ConfigError

PREFIX = "CURATE_"
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # names of this host


class Settings(BaseModel):
    """Settings of one host. Every field can be set by the environment variable CURATE_<FIELD>."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(
        Path("curate-data"),
        description="folder of the database, samples, clips and embedded broker",
    )
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the home folder")
    readonly_database_url: str = Field(
        "", description="URL with a SELECT-only login, used by curate sql on Postgres"
    )
    broker_url: str = Field(
        "", description="Celery broker URL; empty: a Redis of its own in the home folder"
    )
    media: Path | str | None = Field(
        None,
        description="folder, or fsspec URL (s3://bucket/prefix), that cut clips are written to; "
        "below a URL go the samples too; empty: clips/ in the home folder",
    )
    models: Path | None = Field(
        None,
        description="folder of model weights, one folder a model; "
        "empty: models/ in the home folder",
    )
    device: Literal["auto", "Ascend", "CPU"] = Field(
        "auto", description="what models run on; auto: Ascend where there is an NPU, else CPU"
    )
    lease_seconds: float = Field(
        60,
        ge=2,
        le=86400,
        description="a batch not renewed for so long is given to another worker; "
        "the same on all hosts",
    )
    max_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="a row that crashed its worker so often while alone in a batch fails",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="how workers log: lines for people, or a JSON object a line"
    )
    sql_seconds: float = Field(
        30, gt=0, le=3600, description="time limit of a curate sql statement"
    )

    @field_validator("media", mode="before")
    @classmethod
    def _a_folder_is_a_path(cls, value: Any) -> Any:
        """A Path for a local folder, a str without a slash at its end for a URL."""
        if not isinstance(value, str) or "://" not in value:
            return Path(value) if isinstance(value, str) else value
        scheme, _, rest = value.partition("://")
        if scheme == "file":
            return Path(rest)
        if "::" in scheme or "@" in rest.partition("/")[0] or "?" in rest or not rest.strip("/"):
            raise ValueError(
                "it must be PROTOCOL://BUCKET/PREFIX; every clip's path begins with it, so logins "
                "are given by the variables of its protocol, see docs/storage.md"
            )
        return value.rstrip("/")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.folder / 'curate.db'}"

    @property
    def folder(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def samples(self) -> Path | str:
        """Where the sampled frames are, one archive a video: below the URL that clips go to, or in
        the home folder.
        """
        return f"{self.media}/samples" if isinstance(self.media, str) else self.folder / "samples"

    @property
    def clips(self) -> Path | str:
        """Where cut clips are written: a folder, or a URL."""
        if isinstance(self.media, str):
            return self.media
        return self.media.expanduser().absolute() if self.media else self.folder / "clips"

    @property
    def model_folder(self) -> Path:
        """Folder of model weights, one folder a model."""
        return self.models.expanduser().absolute() if self.models else self.folder / "models"

    def environment(self) -> dict[str, str]:
        """The CURATE_* variables that give a child process these settings."""
        dumped = self.model_dump(mode="json", exclude_none=True) | {"home": str(self.folder)}
        return {PREFIX + name.upper(): str(value) for name, value in dumped.items() if value != ""}


# variables that are no settings: only one command reads them, and nothing shows them
LOGINS = {
    "CURATE_METRICS_AUTH": "user:password that curate metrics asks for; "
    "needed on an address that others reach",
    "FLOWER_BASIC_AUTH": "user:password that curate flower asks for; "
    "needed on an address that others reach",
}
_OTHERS = {"CURATE_VERBOSE", "CURATE_VERSION", *LOGINS}


def load_settings(environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Settings from flags (None: not given) over CURATE_* variables over defaults.

    Raises ConfigError for an unknown variable or a value out of its range.
    """
    env = os.environ if environ is None else environ
    given = {k: v for k, v in env.items() if k.startswith(PREFIX) and k not in _OTHERS and v != ""}
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = key.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, 1)
            hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else "no such setting"
            raise ConfigError(source=f"environment variable {key}", why=hint)
        values[name] = value
    values |= {k: v for k, v in flags.items() if v is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(source="environment", why=first_problem(error)) from None


def sources(settings: Settings, environ: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Each setting with its value and where it came from (default, environment or flag).

    The logins of servers follow, each as *** when it is set.
    """
    env = os.environ if environ is None else environ
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        default = value == field.default
        source = (
            "default" if default else "environment" if env.get(PREFIX + name.upper()) else "flag"
        )
        text = hide_password(str(value or ""))
        rows.append(
            {
                "setting": PREFIX + name.upper(),
                "value": text,
                "source": source,
                "description": field.description or "",
            }
        )
    for name, description in LOGINS.items():
        text, source = ("***", "environment") if env.get(name) else ("", "default")
        rows.append({"setting": name, "value": text, "source": source, "description": description})
    return rows


def hide_password(url: str) -> str:
    """The URL, fit for a log: the passwords of its login and the secrets of its query replaced by
    ***, Postgres without the driver.
    """
    return _hidden(url, r"\0")  # a password that was not quoted may hold blanks


def without_passwords(text: str) -> str:
    """The text with every URL in it as `hide_password` shows it."""
    return _hidden(text, r"\s")


def _hidden(text: str, ends: str) -> str:
    """`ends`: characters, as in a regular expression, that end a URL."""
    names = "pass(?:word|wd|file)|pwd|token|secret|signature|credential|key"
    query = rf"([?&](?:[\w.-]*(?:{names})[\w.-]*|sig)=)(?!\*\*\*)([^&{ends}]*)"
    # an @ in it is kept: a password of the login may look like a query, and then all up to the host
    # goes below
    text = re.sub(
        query, lambda part: part[1] + ("***@***" if "@" in part[2] else "***"), text, flags=re.I
    )
    text = re.sub(rf"(\w+://[^:/{ends}]*):[^{ends}]*@", r"\1:***@", text)
    return text.replace("postgresql+psycopg://", "postgresql://")


def first_problem(error: ValidationError) -> str:
    """The first problem of a validation error in one line: where, what, and the value given, but
    for one that may be a secret: where a key or an address belongs, or what belongs nowhere.
    """
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    given = problem.get("input")
    given = hide_password(given) if isinstance(given, str) else given
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "string_type" and not isinstance(given, str):
        message += "; put it in quotes, '' for an empty one"  # YAML takes {a} for a mapping
    no_place = problem["type"] == "extra_forbidden"
    secret = isinstance(given, str) and (no_place or re.search("url|key|token|pass", where, re.I))
    if isinstance(given, str | int | float | bool) and not secret:
        message += f" (given: {given!r})"
    return f"{where}: {message}" if where else message
