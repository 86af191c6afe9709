"""How much a clip changes to the eye, by LPIPS of its frames a second apart: the stage `lpips`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import Field

from curate.configs.schema import Column
from curate.tasks.borders import without_bars
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.models.onnx_session import check_queue, device_of
from curate.tasks.stage import Clip, EngineOptions, Scorer, Scores

if TYPE_CHECKING:
    from curate.tasks.models.vgg import Features
    from curate.tasks.video.geometry import RGB


class LpipsOptions(EngineOptions):
    """Options of `lpips`."""

    batch_size: int = Field(8, ge=1, le=4096, description="rows claimed by one task")
    model: str = Field(
        "lpips-vgg16", min_length=1, description="folder of the LPIPS model: a name or a path"
    )
    side: int = Field(
        224, ge=32, le=1024, description="frames are resized to a square of so many pixels"
    )


class Lpips(Scorer[LpipsOptions]):
    """VGG16 LPIPS of neighbouring sampled frames about 1 s apart, weighted by the time between.

    Frames come from the samples of split; the features of each are computed once. A frame takes
    0.3 CPU seconds on ONNX Runtime, and 0.8 by MindSpore on a CPU.
    """

    name = "lpips"
    Options = LpipsOptions
    stops_at_once = True
    columns = {
        "lpips": Column(
            "float",
            "LPIPS (VGG16, v0.1) of frames about 1 s apart, mean over time; low: hardly moves, "
            "high: changes fast; NULL with less than two frames",
            0,
        ),
        "lpips_reason": Column("text", "why lpips is NULL"),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without ONNX Runtime, which the queue cpu needs."""
        check_queue(options.queue, cls.name)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """VGG16 with the weights of LPIPS."""
        return (Need("lpips", options.model),)

    def load(self) -> None:
        """Load the network. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.vgg import lpips_model

        settings, options = self.context.settings, self.options
        folder = folder_of(options.model, settings.model_folder)
        device = device_of(options.queue, settings.device, self.name)
        self._model = lpips_model(folder, device, options.dtype)

    def score(self, clip: Clip) -> Scores:
        """The distance of neighbouring frames, averaged over time. Raises SamplesMissing."""
        samples = clip.samples
        times = samples.times
        if len(times) < 2:
            what = "a still image" if not samples.seconds else f"{samples.seconds:.2g} s long"
            return {"lpips": None, "lpips_reason": f"one frame only: it is {what}"}
        gaps = [later - earlier for earlier, later in pairwise(times)]
        total, before = 0.0, self._features(without_bars(clip, samples.frame(0)))
        for number, gap in enumerate(gaps, 1):
            after = self._features(without_bars(clip, samples.frame(number)))
            total += gap * self._model.distance(before, after)
            before = after
        return {"lpips": total / sum(gaps), "lpips_reason": None}

    def _features(self, frame: RGB) -> Features:
        from curate.tasks.models.preprocess import squeezed

        return self._model.features([squeezed(frame, self.options.side)])[0]
