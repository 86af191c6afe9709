"""The engines that benchmarks/clip.py compares, each in a process of its own: ``python
clip_engines.py LINE FOLDER``.

FOLDER holds the weights. After loading, and for each line on stdin, one batch is run and one JSON
object printed. Functions whose names end with _torch run in an environment with PyTorch and without
curate.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # weights and videos are made by what tests use

BATCH, SCENES = 8, 12
_THINGS = ("dog", "cat", "bus", "man", "kite", "sun", "ship", "crab")
_CAPTION = (
    "The camera slowly moves over a wide green valley with trees and a small river while birds fly "
    "past, and people walk along the path near an old stone bridge under a cloudy sky at dusk. "
)
TEXTS = {  # such as labels have, and such as captioners write: cut to 77 tokens
    "text": [f"a {thing} on a beach, seen from {far} metres" for far, thing in enumerate(_THINGS)],
    "long_text": [f"{thing.capitalize()}. {_CAPTION * 3}" for thing in _THINGS],
}

Run = Callable[[], Any]


def pixels() -> Any:
    """Eight preprocessed pictures of noise."""
    import numpy as np

    return np.random.RandomState(1).standard_normal((BATCH, 3, 224, 224)).astype(np.float32)


def frames() -> Any:
    """Eight frames, each a little different from the one before."""
    import numpy as np

    random = np.random.RandomState(2)
    steps = [random.randint(0, 256, (224, 224, 3))] + [
        random.randint(-20, 21, (224, 224, 3)) for _ in range(BATCH - 1)
    ]
    return np.cumsum(steps, axis=0).clip(0, 255).astype(np.uint8)


# ---------------------------------------------------------------- engines: each returns a function
# that runs one batch


def image_curate(models: Path) -> Run:
    """The image tower as clip_embed runs it on a CPU."""
    from curate.tasks.models.towers import image_tower

    tower, batch = image_tower(models / "clip", "CPU"), pixels()
    return lambda: tower.embed(batch)


def image_mindspore(models: Path) -> Run:
    """The image tower as clip_embed runs it on an NPU, here on MindSpore's CPU target."""
    from curate.tasks.models.towers_mindspore import MindSporeImageTower

    tower, batch = MindSporeImageTower(models / "clip", "CPU", "auto", BATCH), pixels()
    return lambda: tower.embed(batch)


def text_curate(models: Path, part: str = "text") -> Run:
    """The text tower as match and option_match run it on a CPU, tokenizer included."""
    from curate.tasks.models.towers import text_tower

    tower = text_tower(models / "clip", "CPU")
    return lambda: tower.embed(TEXTS[part])


def text_mindspore(models: Path, part: str = "text") -> Run:
    """The same as on an NPU, here on MindSpore's CPU target."""
    from curate.tasks.models.towers_mindspore import MindSporeTextTower

    tower = MindSporeTextTower(models / "clip", "CPU", "auto", BATCH)
    return lambda: tower.embed(TEXTS[part])


def long_text_curate(models: Path) -> Run:
    """As text_curate, of texts that are cut."""
    return text_curate(models, "long_text")


def long_text_mindspore(models: Path) -> Run:
    """As text_mindspore, of texts that are cut."""
    return text_mindspore(models, "long_text")


def lpips_curate(models: Path) -> Run:
    """Distances of neighbours as the stage lpips computes them: each frame's features once."""
    import numpy as np

    from curate.tasks.models.vgg import lpips_model

    model, batch = lpips_model(models / "lpips", "CPU"), frames()

    def run() -> Any:
        found = [model.features([frame])[0] for frame in batch]
        return np.array([model.distance(a, b) for a, b in itertools.pairwise(found)])

    return run


def _torch_clip(models: Path, name: str) -> Any:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_grad_enabled(False)
    return getattr(transformers, name).from_pretrained(models / "clip").eval()


def image_torch(models: Path) -> Run:
    """transformers' image tower, with the attention that it takes by itself (torch's fused one)."""
    import torch

    model, batch = _torch_clip(models, "CLIPVisionModelWithProjection"), torch.from_numpy(pixels())
    return lambda: model(batch).image_embeds.numpy()


def text_torch(models: Path, part: str = "text", length: int | None = None) -> Run:
    """transformers' text tower on the same tokens, as long as the longest text."""
    import numpy as np
    import torch

    model = _torch_clip(models, "CLIPTextModelWithProjection")
    ids = torch.from_numpy(np.load(models / f"{part}.tokens.npy"))
    ids = ids[:, : length or int(ids.argmax(1).max()) + 1]
    return lambda: model(ids).text_embeds.numpy()


def text_torch_77(models: Path) -> Run:
    """The same on 77 tokens each."""
    return text_torch(models, length=77)


def long_text_torch(models: Path) -> Run:
    """The same on texts that are cut."""
    return text_torch(models, "long_text")


def lpips_torch(models: Path) -> Run:
    """The layers of torchvision's VGG16 and LPIPS' formula, frame by frame, each once."""
    import numpy as np
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional as f

    torch.set_grad_enabled(False)
    weights, batch = load_file(models / "lpips" / "model.safetensors"), frames()
    shift, scale = (
        torch.tensor(v).reshape(3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
    )

    def features(frame: Any) -> list[Any]:
        x, found = (
            ((torch.from_numpy(frame).permute(2, 0, 1) / 127.5 - 1 - shift) / scale)[None],
            [],
        )
        for number, layers in enumerate(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))):
            x = f.max_pool2d(x, 2, 2) if number else x
            for layer in layers:
                weight, bias = (weights[f"features.{layer}.{what}"] for what in ("weight", "bias"))
                x = f.relu(f.conv2d(x, weight, bias, padding=1))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def distance(first: list[Any], second: list[Any]) -> float:
        parts = [weights[f"lin{n}.model.1.weight"].reshape(1, -1, 1, 1) for n in range(5)]
        return sum(
            float((w * (a - b).square()).sum(1).mean())
            for a, b, w in zip(first, second, parts, strict=True)
        )

    return lambda: np.array(
        [distance(a, b) for a, b in itertools.pairwise([features(frame) for frame in batch])]
    )


# ---------------------------------------------------------------- passes of the tower


def passes() -> dict[str, float]:
    """Pictures that went through the image tower, per clip: once for all scores, and with a pass
    for each score.
    """
    from tests import tiny
    from tests.accuracy.run_stages import outcomes, with_tables

    from curate.configs.settings import Settings
    from curate.tasks import aesthetic, clip_embed, match, option_match
    from curate.tasks.models.towers_onnx import OnnxImageTower

    embed, seen = OnnxImageTower.embed, []

    def counted(tower: OnnxImageTower, pictures: Any) -> Any:
        seen.append(len(pictures))
        return embed(tower, pictures)

    OnnxImageTower.embed = counted  # type: ignore[method-assign, assignment]
    scorers: list[tuple[Any, dict[str, Any]]] = [
        (option_match.OptionMatch, {"texts": ["a dog", "a cat"]}),
        (aesthetic.Aesthetic, {}), (match.Match, {}),
    ]  # fmt: skip

    def embedded(rows: list[Any]) -> list[Any]:
        found = outcomes(clip_embed.ClipEmbed, rows, settings)
        return [with_tables(row, outcome) for row, outcome in zip(rows, found, strict=True)]

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), device="CPU")
        tiny.write_all(settings.model_folder)
        clips = _clips(settings)
        rows = embedded(clips)
        once = [outcomes(scorer, rows, settings, **options) for scorer, options in scorers]
        shared = sum(seen)
        each = [
            outcomes(scorer, embedded(clips), settings, **options) for scorer, options in scorers
        ]
    assert once == each, "the scores depend on the way"
    return {
        "clips": len(clips),
        "curate": shared / len(clips),
        "each": (sum(seen) - shared) / len(clips),
    }


def _clips(settings: Any) -> list[Any]:
    from fractions import Fraction

    from tests.media import CLOSED, footage, write_video

    from curate.tasks.split import Split
    from curate.tasks.stage import Clip, Context, Video

    cuts = range(24, 24 * SCENES, 24)
    path = write_video(
        settings.folder / "drawn.mp4", footage(24 * SCENES, tuple(cuts), size=(320, 180)), CLOSED
    )
    video = Video(1, 1, str(path), path.name, {})
    return [
        Clip(
            new.index, 1, new.index, video, new.start_pts, new.end_pts, Fraction(1, 12288),
            {**new.scores, "text": f"scene {new.index}"}, settings.samples,
        )
        for new in Split(Split.Options(min_seconds=0.0), Context(settings)).run(video).clips
    ]  # fmt: skip


# ---------------------------------------------------------------- one process


def cpu() -> float:
    """User and system seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """Most megabytes that this process had in memory. ru_maxrss counts those of the parent it was
    forked from.
    """
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) // 1024


def timed(run: Run) -> tuple[dict[str, float], Any]:
    """What a call cost and returned."""
    before, clock = cpu(), time.perf_counter()
    found = run()
    return {"cpu": cpu() - before, "wall": time.perf_counter() - clock, "mb": peak()}, found


def work(line: str, models: Path, orders: Iterable[str]) -> Iterator[dict[str, float]]:
    """What loading cost, with the imports, then what each batch cost; features of the last go to
    LINE.npy.
    """
    import numpy as np

    took, run = timed(lambda: globals()[line](models))
    yield took | {"cpu": cpu()}
    for _ in orders:
        took, features = timed(run)
        np.save(models / f"{line}.npy", features)
        yield took


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    for answer in (
        [passes()] if sys.argv[1] == "passes" else work(sys.argv[1], Path(sys.argv[2]), sys.stdin)
    ):
        print(json.dumps(answer), file=answers, flush=True)
