"""Takes captions from files beside the media: the stage `load_captions`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from curate.configs.row_errors import NoSidecar
from curate.configs.schema import Column, StageOptions
from curate.tasks.stage import Clip, Outcome, Rows, Stage
from curate.tasks.text.captions import FILE, TABLE, choose_caption, input_text, new_caption


class LoadCaptionsOptions(StageOptions):
    """Options of `load_captions`."""

    batch_size: int = Field(256, ge=1, le=4096, description="rows claimed by one task")
    kind: Literal["json", "txt", "both"] = Field(
        "both", description="which files: .json, .txt, or .txt without a .json"
    )
    key: str = Field("caption", description="key of the text in a .json")
    missing: Literal["skip", "fail"] = Field(
        "skip", description="what happens to a clip without a file"
    )


class LoadCaptions(Stage[Clip, LoadCaptionsOptions]):
    """The caption in the .json or .txt beside the source of a clip: a.b.mp4 has a.b.json.

    For inputs that are clips already.
    """

    name = "load_captions"
    level = "clip"
    Options = LoadCaptionsOptions
    reads = (TABLE,)
    may_lack = (TABLE,)
    writes = (TABLE,)
    columns = {"text": Column("text", "the caption, as it is in the file")}

    @classmethod
    def reads_beside(cls, options: Any) -> tuple[str, ...]:
        """The endings by the option `kind`, first the one that goes first."""
        return {"json": (".json",), "txt": (".txt",), "both": (".json", ".txt")}[options.kind]

    def run(self, row: Clip) -> Outcome:
        """The caption of one clip. Raises BadSidecar, NoSidecar."""
        from curate.tasks.text.sidecar import read_sidecar

        endings = self.reads_beside(self.options)
        for ending in endings:
            text = read_sidecar(row.video.path, ending, self.options.key)
            if text is not None:
                return Outcome({"text": text}, tables=[new_caption(FILE, text)])
        if self.options.missing == "fail":
            raise NoSidecar(path=row.video.path, endings=" or ".join(endings))
        # the caption of a deleted file is deleted; the newest of the others becomes the text
        captions = row.tables[TABLE]
        others = [
            {**caption, "text": caption["text_raw"]}
            for caption in captions
            if caption["model"] != FILE
        ]
        if len(others) == len(captions):
            return Outcome({})
        newest = choose_caption(others, "last")
        text = newest["text"] if newest else input_text(row.video)
        return Outcome({"text": text}, tables=[Rows(TABLE, {"model": FILE}, [])])
