"""Options of the stages that look at pictures of a video."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from curate.configs.row_errors import HighDynamicRange
from curate.tasks.stage import Video

Deinterlace = Annotated[
    Literal["auto", "off"],
    # YAML reads off as false
    BeforeValidator(lambda value: "off" if value is False else value),
    Field(
        description="auto: frames that are flagged as interlaced become whole pictures, one each "
        "(ffmpeg's bwdif); off: pictures as they are stored"
    ),
]
Hdr = Annotated[
    Literal["tonemap", "keep", "fail"],
    Field(
        description="of videos whose transfer is PQ or HLG: tonemap: pictures in BT.709, by the "
        "mapping of ffmpeg's swscale; keep: pictures as they are stored; fail: the row fails"
    ),
]


def refuse_hdr(video: Video, stage: str) -> None:
    """Raise HighDynamicRange if the video's transfer, as `probe` found it, is PQ or HLG."""
    transfer = video.values.get("transfer")
    if transfer in ("smpte2084", "arib-std-b67"):
        raise HighDynamicRange(path=video.path, transfer=transfer, stage=stage)
