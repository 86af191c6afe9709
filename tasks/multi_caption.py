"""Captions by several captioners, of frames from one decode: the stage `multi_caption`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError, model_validator

from curate.configs.errors import ConfigError, ServiceError
from curate.configs.pipeline import hint
from curate.configs.row_errors import RowError
from curate.configs.schema import StageOptions
from curate.configs.settings import first_problem
from curate.tasks.captioners.frames import Part, parts_for
from curate.tasks.captioners.stages import CaptionOptions, CaptionStage
from curate.tasks.captioners.windows import Windows
from curate.tasks.models.catalog import Need
from curate.tasks.registry import stages_of
from curate.tasks.servers.server_stage import ServerOptions, ServerStage, Usage
from curate.tasks.stage import BatchStage, Clip, Outcome

Member = tuple[type[CaptionStage[Any]], CaptionOptions]


class MultiCaptionOptions(StageOptions):
    """Options of `multi_caption`."""

    change_no_score = (*StageOptions.change_no_score, "max_cost")

    captioners: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=16,
        description="the captioners, each with stage: NAME and the options of the stage NAME",
    )
    windows: Windows | None = Field(
        None, description="those of captioners that name none, see docs/captions.md"
    )
    pass_size: int = Field(
        4, ge=1, le=256, description="clips whose frames are in memory at a time"
    )
    time_limit: float = Field(
        3600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    max_cost: float = Field(
        0, ge=0, description="once the dataset's requests have cost so much, it pauses; 0: never"
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, given: Any) -> Any:
        """With all options of each captioner, and on the queue that they need."""
        if not isinstance(given, dict) or not isinstance(given.get("captioners"), list):
            return given
        members = [member_of(one, given.get("windows")) for one in given["captioners"]]
        keys = [
            (cls.name, getattr(o, "model", ""), getattr(o, "system", ""), o.asked)
            for cls, o in members
        ]
        if len(set(keys)) < len(keys):
            raise ValueError("captioners holds one twice, with the same model and prompt")
        queue = "ascend" if any(o.queue == "ascend" for _, o in members) else "cpu"
        if queue == "ascend" and given.get("queue", queue) != queue:
            raise ValueError("queue must be ascend: one of its captioners is a network")
        full = [{"stage": cls.name, **o.model_dump(mode="json")} for cls, o in members]
        return {"queue": queue, **given, "captioners": full}

    def changes_no_score(self, option: str) -> bool:
        """Also of where a captioner asks, such as captioners.openai.url or captioners.0.url."""
        listed, _, part = option.partition(".")
        which, _, own = part.partition(".")
        if listed != "captioners" or not own:
            return super().changes_no_score(option)
        members = [member_of(one, None) for one in self.captioners]
        named = [o for n, (cls, o) in enumerate(members) if which in (str(n), cls.name)]
        return any(options.changes_no_score(own) for options in named)

    def deciding(self) -> dict[str, Any]:
        """Of its captioners too only what decides."""
        members = [member_of(one, None) for one in self.captioners]
        own = [{"stage": cls.name, **options.deciding()} for cls, options in members]
        return {**super().deciding(), "captioners": own}

    @property
    def members(self) -> list[Member]:
        """The captioners that are switched on, each with its options."""
        members = [member_of(one, None) for one in self.captioners]
        return [member for member in members if member[1].enabled]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that captioners are asked for."""
        return tuple({name: None for _, options in self.members for name in options.fields})

    @property
    def summaries(self) -> tuple[str, ...]:
        """How captions of clips are made of those of windows."""
        return tuple(summary for _, options in self.members for summary in options.summaries)


def member_of(given: Any, windows: Any) -> Member:
    """A captioner and its options. Raises ValueError."""
    if not isinstance(given, dict) or not isinstance(given.get("stage"), str):
        raise ValueError("each of captioners needs stage: the name of a captioner")
    name = given["stage"]
    catalog = stages_of([{"stage": name}])
    cls = catalog.get(name)
    if cls is None or not issubclass(cls, CaptionStage):
        known = [n for n, c in catalog.items() if issubclass(c, CaptionStage)]
        near = f"; {hint(name, known)}" if known else ""
        raise ValueError(f"{name} is no captioner{near}")
    named = {"windows": windows, **{key: v for key, v in given.items() if key != "stage"}}
    try:
        options = cls.Options(**named)
    except ValidationError as error:
        raise ValueError(f"{name}: {first_problem(error)}") from None
    if isinstance(options, ServerOptions):
        if options.offline:
            raise ValueError(f"{name}: a captioner that is offline is a stage of its own")
        if options.max_cost:
            raise ValueError(f"{name}: max_cost is an option of the stage multi_caption")
    assert isinstance(options, CaptionOptions)
    return cls, options


class MultiCaption(ServerStage, BatchStage[Clip, MultiCaptionOptions]):
    """Captions by several captioners, of frames from one decode.

    Each captioner writes what it writes as a stage of its own; until clean_text chooses, `text` is
    the caption of the first. A clip fails when one of them does; answers of servers that came are
    kept until the clip is through.
    """

    name = "multi_caption"
    level = "clip"
    Options = MultiCaptionOptions
    writes = CaptionStage.writes
    opens_source = True
    columns = CaptionStage.columns
    exports_requests = False

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise what the captioners raise; ConfigError for none, or max_cost without a price."""
        members = options.members
        source = f"of stage {cls.name}"
        if not members:
            raise ConfigError(source=source, why="captioners must name one or more")
        for stage, own in members:
            stage.check(own)
        entries = [e for _, own in members if isinstance(own, ServerOptions) for e in own.entries]
        if options.max_cost and not all(any((e.price or {}).values()) for e in entries):
            why = "max_cost needs prices of its servers, such as price: {input: 0.4, output: 1.6}"
            raise ConfigError(source=source, why=why)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The folders of the captioners."""
        return tuple(need for stage, own in options.members for need in stage.models(own))

    def load(self) -> None:
        """Load the captioners, once per process. Raises what they raise."""
        self._stages = [stage(own, self.context) for stage, own in self.options.members]
        for stage in self._stages:
            stage.load()

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError | ServiceError]:
        """The captions of clips, `pass_size` at a time, or an error in place of those of one."""
        size = self.options.pass_size
        passes = [rows[start : start + size] for start in range(0, len(rows), size)]
        return [outcome for some in passes for outcome in self._caption_together(some)]

    def _caption_together(self, rows: Sequence[Clip]) -> list[Outcome | RowError | ServiceError]:
        wanted = [(stage.captioner, stage.options.windows) for stage in self._stages]
        decoded: dict[int, list[list[Part]]] = {}
        failed: dict[int, RowError] = {}
        for row in rows:
            try:
                decoded[row.id] = parts_for(row, wanted)
            except RowError as error:
                failed[row.id] = error
        good = [row for row in rows if row.id in decoded]
        written = []
        for number, stage in enumerate(self._stages):
            stage.given = {clip: parts[number] for clip, parts in decoded.items()}
            try:
                written.append(stage.run_batch(good) if good else [])
            finally:
                stage.given = {}
        merged = iter([_merged(of_clip) for of_clip in zip(*written, strict=True)])
        return [failed.get(row.id) or next(merged) for row in rows]

    def request_digest(self) -> str:
        """None: its captioners have their own."""
        return ""

    def request_bodies(self, row: Any) -> dict[str, dict[str, Any]]:
        """None: requests of several captioners are not exported."""
        return {}

    def usage_of(self, content: str) -> Usage:
        """None: its captioners count theirs."""
        return Usage()


def _merged(of_captioners: Sequence[Any]) -> Any:
    """The outcomes of a clip as one, or what failed it: first what retrying does not mend."""
    wrong = [found for found in of_captioners if not isinstance(found, Outcome)]
    if wrong:
        return min(wrong, key=lambda error: isinstance(error, ServiceError))
    texts = [found.scores["text"] for found in of_captioners]
    text = next((text for text in texts if text is not None), None)
    return Outcome(
        {"text": text}, tables=[rows for found in of_captioners for rows in found.tables]
    )
