"""How much of a clip somebody speaks: the stage `speech`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from curate.configs.schema import Column
from curate.tasks.loudness import may_sound
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions


class Speech(Scorer["Speech.Options"]):
    """Speech by Silero VAD in the sound of the source, of the clip's span, mixed to one channel.

    Stretches of speech are made as by its package: longer than 0.25 seconds, with 0.03 more at both
    ends; pauses of less than 0.1 belong to them. All columns are NULL without sound, and where the
    clip is too short for a stretch. Animals may count as people (0.42 in Big Buck Bunny). About 0.6
    CPU seconds a minute with the decoding of the sound, on ONNX Runtime; pictures are not decoded.
    `loudness` tells how much is silent.
    """

    name = "speech"
    opens_source = True
    columns = {
        "speech": Column("float", "share of the time in stretches of speech", 0, 1),
        "speech_longest": Column("float", "longest stretch of speech, seconds; 0: none", 0),
        "pause_longest": Column(
            "float", "longest stretch without speech, at either end too, seconds; 0: none", 0
        ),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `speech`."""

        model: str = Field(
            "silero-vad", min_length=1, description="folder of Silero VAD: a name or a path"
        )
        threshold: float = Field(
            0.5, gt=0, lt=1, description="how likely speech must be where a stretch begins"
        )

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without ONNX Runtime."""
        check_onnx_runtime("stage speech")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """Silero VAD."""
        return (Need("silero_vad", options.model),)

    def load(self) -> None:
        """Load the network. Raises BadModel, PackageMissing."""
        from curate.tasks.models.silero_vad import silero_vad

        folder = folder_of(self.options.model, self.context.settings.model_folder)
        self._network = silero_vad(folder)

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises MediaError."""
        span, threshold = clip.span, self.options.threshold
        found = self._network.speech(clip.video.path, span, threshold) if may_sound(clip) else None
        if found is None:
            return dict.fromkeys(self.columns)
        ends = [0.0, *(end for stretch in found for end in stretch), 1.0]
        shares = [after - before for before, after in pairwise(ends)]
        seconds = float(span.seconds)
        return {
            "speech": round(sum(shares[1::2]), 6),
            "speech_longest": round(seconds * max(shares[1::2], default=0.0), 3),
            "pause_longest": round(seconds * max(shares[::2]), 3),
        }
