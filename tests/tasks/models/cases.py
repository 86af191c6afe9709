"""Towers, kernels, trials and devices on MindSpore: ``python -m tests.tasks.models.cases HOME
RESULT.json``.

One process for all, for MindSpore takes seconds to start. Tests say what the found numbers must be.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from curate.configs.settings import Settings
from curate.tasks.models import checkpoint, cpu_kernels, device, towers
from curate.tasks.models.clip_tower import ImageTower, TextTower
from curate.tasks.models.device import Device
from curate.tasks.models.towers_mindspore import MindSporeImageTower, MindSporeTextTower
from curate.tasks.models.towers_onnx import OnnxImageTower, OnnxTextTower
from curate.tasks.models.transnet import OnnxTransNet
from curate.tasks.models.transnet_mindspore import MindSporeTransNet
from curate.tasks.models.trial import trial
from tests import tiny
from tests.accuracy.run_models import alone
from tests.children import main, said

Array = NDArray[np.float32]


@cache
def settings() -> Settings:
    """Of a home folder with the tiny models in it."""
    home = Path(sys.argv[1])
    tiny.write_all(home / "models")
    return Settings(home=home, device="CPU")


def folder(name: str = tiny.CLIP) -> Path:
    """Of a tiny model."""
    return settings().model_folder / name


def altered(name: str, model: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model, its tensors changed."""
    from safetensors.numpy import load_file, save_file

    copy = settings().folder / name
    shutil.copytree(folder(model), copy)
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    return copy


@dataclass(frozen=True)
class Shape:
    """A convolution and what it is applied to."""

    batch: int
    channels: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    picture: tuple[int, int]
    bias: bool


def shapes(count: int) -> list[Shape]:
    """Random ones, windows never larger than the padded picture."""
    draw = np.random.default_rng(0)

    def two(low: int, high: int) -> tuple[int, int]:
        a, b = draw.integers(low, high + 1, 2)
        return int(a), int(b)

    return [
        Shape(two(1, 3)[0], two(1, 5), two(1, 4), two(1, 4), two(0, 2), two(4, 13), bool(n % 2))
        for n in range(count)
    ]


def convolved(x: Array, weight: Array, bias: Array | None, shape: Shape) -> NDArray[np.float64]:
    """The same in NumPy: every window times the weight."""
    (top, left), (down, across) = shape.padding, shape.stride
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, top), (left, left)))
    rows = sliding_window_view(padded, shape.window[0], axis=2)[:, :, ::down]
    windows = sliding_window_view(rows, shape.window[1], axis=3)[:, :, :, ::across]
    found = np.einsum("ncijkl,ockl->noij", windows, weight.astype(np.float64))
    return np.asarray(found if bias is None else found + bias[:, None, None])


def convolution(shape: Shape) -> dict[str, Any]:
    """The largest difference of our cell and NumPy; whether weights are shared and names kept."""
    ms, draw = device.mindspore(), np.random.default_rng(1)
    inputs, outputs = shape.channels
    cell = ms.mint.nn.Conv2d(
        inputs, outputs, shape.window, shape.stride, shape.padding, bias=shape.bias
    )
    for parameter in cell.get_parameters():
        parameter.set_data(ms.Tensor(draw.standard_normal(parameter.shape).astype(np.float32)))
    ours = cpu_kernels.fitted(cell, device.start("CPU"))
    x = draw.standard_normal((shape.batch, inputs, *shape.picture)).astype(np.float32)
    weight, bias = cell.weight.asnumpy(), cell.bias.asnumpy() if shape.bias else None
    expected, found = convolved(x, weight, bias, shape), ours(ms.Tensor(x)).asnumpy()
    difference = (
        float(np.abs(found - expected).max())
        if found.shape == expected.shape
        else f"shape {found.shape}"
    )
    names = (
        sorted(p.name for p in cell.get_parameters()),
        sorted(p.name for p in ours.get_parameters()),
    )
    return {
        "shape": str(shape),
        "difference": difference,
        "shared": ours.weight is cell.weight,
        "names": names,
    }


def still_needed() -> Any:
    """What MindSpore says of the very cells that are replaced."""
    device.start("CPU")
    ms = device.mindspore()
    inputs: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "Conv2d": ((3, 4, 3), (1, 3, 8, 8)), "LayerNorm": ((4,), (2, 4)), "GELU": ((), (2, 4)),
    }  # fmt: skip

    def run(name: str) -> None:
        arguments, shape = inputs[name]
        getattr(ms.mint.nn, name)(*arguments)(ms.ops.zeros(shape)).asnumpy()

    return {entry.cell: said(partial(run, entry.cell)) for entry in cpu_kernels.MISSING_KERNELS}


def filled_in() -> Any:
    """Kinds of the cells of a model before, after filling in for an NPU, and for the CPU; and what
    is refused.
    """
    nn, plain = device.mindspore().mint.nn, device.mindspore().nn
    inner = plain.SequentialCell(nn.Linear(2, 2), nn.Conv2d(3, 4, 3))
    model = plain.SequentialCell(inner, nn.Conv2d(4, 4, 1))

    def kinds() -> list[str]:
        return [type(cell).__name__ for _, cell in model.cells_and_names()]

    found: dict[str, Any] = {"before": kinds()}
    cpu_kernels.fill_in(model, Device("Ascend"))
    found["Ascend"] = kinds()
    cpu_kernels.fill_in(model, Device("CPU"))
    found["CPU"] = kinds()
    row = plain.SequentialCell(plain.ReLU(), nn.Conv2d(3, 4, 3))
    cpu_kernels.fill_in(row, Device("CPU"))
    found["in a row"] = [type(cell).__name__ for cell in row.cell_list]
    refused = [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2), nn.LayerNorm((4, 4))]
    found["refused"] = [said(partial(cpu_kernels.fitted, cell, Device("CPU"))) for cell in refused]
    return found


def activations() -> Any:
    """Differences from NumPy of what takes the place of LayerNorm and GELU, and constants of Mint
    and NumPy.
    """
    ms, draw = device.mindspore(), np.random.default_rng(3)
    cpu, x = device.start("CPU"), draw.standard_normal((3, 5, 8)).astype(np.float32)
    cell = ms.mint.nn.LayerNorm(8, eps=1e-3)
    weight, bias = draw.standard_normal((2, 8)).astype(np.float32)
    cell.weight.set_data(ms.Tensor(weight))
    cell.bias.set_data(ms.Tensor(bias))
    unit = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    exact, tanh = (
        cpu_kernels.fitted(ms.mint.nn.GELU(approximate=how), cpu) for how in ("none", "tanh")
    )
    slopes = (
        np.vectorize(math.erf)(x / math.sqrt(2)),
        np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    )
    mint = cpu_kernels.Mint()
    made = [
        mint.arange(4),
        mint.arange(1, 9, 2, dtype=ms.float32),
        mint.full((2, 3), -1.5),
        mint.full([2], 7),
    ]
    return {
        "LayerNorm": float(
            np.abs(
                cpu_kernels.fitted(cell, cpu)(ms.Tensor(x)).asnumpy() - unit * weight - bias
            ).max()
        ),
        "GELU": [
            float(np.abs(ours(ms.Tensor(x)).asnumpy() - x / 2 * (1 + slope)).max())
            for ours, slope in zip((exact, tanh), slopes, strict=True)
        ],
        "constants": [[m.asnumpy().tolist(), str(m.dtype)] for m in made],
        "passed on": mint.matmul is ms.mint.matmul,
        "needed": [
            said(lambda: ms.mint.arange(4).asnumpy()),
            said(lambda: ms.mint.full((2,), 1.0).asnumpy()),
        ],
    }


@cache
def image() -> MindSporeImageTower:
    """The image tower on MindSpore."""
    return MindSporeImageTower(folder(), "CPU", "auto", None)


@cache
def text() -> MindSporeTextTower:
    """The text tower on MindSpore."""
    return MindSporeTextTower(folder(), "CPU", "auto", None)


@cache
def on_cpu() -> tuple[ImageTower, TextTower]:
    """Both as a CPU has them, held: others would be made as soon as nobody holds them."""
    return towers.image_tower(folder(), "CPU"), towers.text_tower(folder(), "CPU")


def pictures(count: int) -> Array:
    """Noise as prepared pictures."""
    return np.random.default_rng(2).standard_normal((count, 3, 224, 224)).astype(np.float32)


def tower_facts() -> Any:
    """What the towers say of themselves, and of nothing at all."""
    nothing = np.zeros((0, 3, 224, 224), np.float32)
    engines = on_cpu(), (image(), text())
    none = [made for i, t in engines for made in (i.embed(nothing), t.embed([]))]
    return {
        "kinds": [type(tower).__name__ for tower in on_cpu()],
        "revisions": [tower.revision for pair in engines for tower in pair],
        "revision": checkpoint.revision(folder() / "model.safetensors"),
        "side": [i.side for i, _ in engines], "logit_scale": [t.logit_scale for _, t in engines],
        "none": [[list(n.shape), str(n.dtype)] for n in none],
        "once": [
            towers.image_tower(folder(), "CPU") is on_cpu()[0],
            towers.text_tower(folder(), "CPU") is on_cpu()[1],
        ],
    }  # fmt: skip


def batches() -> Any:
    """Differences of 11 pictures and texts embedded together and one by one, of each engine, and of
    both engines. On MindSpore 8 and 3 are in a pass. One text is cut to 77 tokens, others are long.
    """
    noise = pictures(11)
    words = ["a river " * (n * n) + f"in picture number {n}" for n in range(11)]
    together, single = [], []
    for pictured, said_of in ((image(), text()), on_cpu()):
        together += [pictured.embed(noise), said_of.embed(words)]
        single.append(np.concatenate([pictured.embed(noise[n : n + 1]) for n in range(11)]))
        single.append(np.concatenate([said_of.embed([word]) for word in words]))
    pairs = [*zip(together, single, strict=True), *zip(together[:2], together[2:], strict=True)]
    return [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs]


def half() -> Any:
    """How far the features of the model are from those of the same in float16 on disk, on the CPU;
    their type.
    """
    from safetensors.numpy import load_file

    def change(tensors: dict[str, Any]) -> None:
        tensors.update({name: tensor.astype(np.float16) for name, tensor in tensors.items()})

    copy = altered("half", tiny.CLIP, change)
    assert load_file(copy / "model.safetensors")["visual_projection.weight"].dtype == np.float16
    whole = image().embed(pictures(2))
    engines = MindSporeImageTower(copy, "CPU", "float16", None), OnnxImageTower(copy)
    found = [tower.embed(pictures(2)) for tower in engines]
    return {
        "differences": [float(np.abs(one - whole).max() / np.abs(whole).max()) for one in found],
        "dtypes": [str(one.dtype) for one in found],
    }


def gelu() -> Any:
    """How far both engines are apart with the activation of other CLIPs."""
    copy = altered("gelu", tiny.CLIP, lambda t: None)
    config = json.loads((copy / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        config[part]["hidden_act"] = "gelu"
    (copy / "config.json").write_text(json.dumps(config))
    pairs = [
        (tower(copy, "CPU", "auto", None).embed(given), onnx(copy).embed(given))
        for tower, onnx, given in (
            (MindSporeImageTower, OnnxImageTower, pictures(2)),
            (MindSporeTextTower, OnnxTextTower, ["a dog"]),
        )
    ]
    quick = text().embed(["a dog"])
    return {
        "differences": [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs],
        "from quick_gelu": float(np.abs(quick - pairs[1][1]).max()),
    }


def as_on_an_npu() -> Any:
    """How far features held in float16, as an NPU holds them, are from float32; run here on the
    CPU, which can.
    """
    whole = image().embed(pictures(2)), text().embed(["a dog"])
    real = device.Device.weights_dtype
    device.Device.weights_dtype = lambda *_: "float16"  # type: ignore[method-assign]
    try:
        made = (
            MindSporeImageTower(folder(), "CPU", "auto", 2),
            MindSporeTextTower(folder(), "CPU", "auto", 1),
        )
        found = made[0].embed(pictures(2)), made[1].embed(["a dog"])
    finally:
        device.Device.weights_dtype = real  # type: ignore[method-assign]
    return [float(np.abs(f - w).max() / np.abs(w).max()) for f, w in zip(found, whole, strict=True)]


def refused() -> Any:
    """What is said of a folder without a model, of one with a tensor less, and of one with a tensor
    more.
    """
    less = altered("less", tiny.CLIP, lambda t: t.pop("visual_projection.weight"))
    more = altered("more", tiny.CLIP, lambda t: t.update(surplus=np.zeros(3, np.float32)))
    return [
        said(partial(towers.image_tower, f, "CPU"))
        for f in (settings().folder / "none", less, more)
    ]


def replaced() -> Any:
    """The revisions of a tower before and after its file was replaced, and whether both were made
    once.
    """
    copy = altered("replaced", tiny.CLIP, lambda t: None)
    first = towers.text_tower(copy, "CPU")
    same = towers.text_tower(copy, "CPU") is first
    made = altered("replacing", tiny.CLIP, lambda t: t.update(logit_scale=np.array(4, np.float32)))
    (made / "model.safetensors").replace(copy / "model.safetensors")
    return {"same": same, "revisions": [first.revision, towers.text_tower(copy, "CPU").revision]}


def open_files() -> int:
    """Files of weights that a tower holds open."""
    assert image() and on_cpu()
    links = [
        link.readlink().name
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink() and link.exists()
    ]
    return links.count("model.safetensors")


def device_is_lost() -> Any:
    """What stages say when the device fails in the middle: no clip is to blame."""

    def fail(*_: object) -> Any:
        raise RuntimeError("Ascend error EE9999: device 0 is lost")

    tower = image()
    before, tower._run = tower._run, fail  # type: ignore[method-assign,assignment]
    try:
        return said(lambda: tower.embed(pictures(1)))
    finally:
        tower._run = before  # type: ignore[method-assign]


def transnet() -> float:
    """How far TransNetV2 on MindSpore is from ONNX Runtime, at most: windows of 12 frames."""
    where = tiny.write_transnet(settings().folder / "transnetv2")
    frames = np.random.RandomState(0).randint(0, 256, (12, 27, 48, 3)).astype(np.uint8)
    ours = np.stack(MindSporeTransNet(where, "CPU", 12).predict(frames))
    return float(np.abs(ours - np.stack(OnnxTransNet(where, 12).predict(frames))).max())


def trials() -> Any:
    """What a trial of a kind measures, and says of weights that are NaN; that of lpips is run by
    test_readme.py.
    """
    kinds = {"clip": tiny.CLIP, "aesthetic": tiny.AESTHETIC, "nsfw": tiny.NSFW}
    found: dict[str, Any] = {
        kind: trial(kind, folder(name), settings()) for kind, name in kinds.items()
    }  # type: ignore[arg-type]

    def change(tensors: dict[str, Any]) -> None:
        tensors["layers.7.weight"] = tensors["layers.7.weight"] * np.float32(np.nan)

    damaged = altered("damaged", tiny.AESTHETIC, change)
    return found | {"damaged": said(lambda: trial("aesthetic", damaged, settings()))}


def light() -> Any:
    """Which modules of mindone were imported, and whether torch was."""
    ours = [name for name in sys.modules if name.startswith("mindone.transformers.models.")]
    return {
        "models": sorted({name.split(".")[3] for name in ours}),
        "torch": "torch" in sys.modules,
    }


def too_much() -> Any:
    """More numbers than any host has room for."""
    import mindspore as ms

    with device.device_errors(device.start("CPU")):
        return ms.ops.BroadcastTo((1 << 23, 1 << 23))(ms.Tensor([1.0])).asnumpy().sum()


def devices() -> Any:
    """What is started here, and what is said where there is no NPU."""
    return {
        "CPU": device.start("CPU").target, "auto": device.start("auto").target,
        "once": device.start("CPU") is device.start("CPU"),
        "Ascend": said(lambda: device.start("Ascend")), "memory": said(too_much),
    }  # fmt: skip


CASES: dict[str, Callable[[], Any]] = {
    "convolutions": lambda: [convolution(shape) for shape in shapes(60)],
    "still needed": still_needed,
    "filled in": filled_in,
    "activations": activations,
    "towers": tower_facts,
    "batches": batches,
    "half": half,
    "gelu": gelu,
    "as on an NPU": as_on_an_npu,
    "refused": refused,
    "replaced": replaced,
    "open files": open_files,
    "device is lost": device_is_lost,
    "trials": trials,
    "light": light,
    "devices": devices,
    "transnet": transnet,
}

if __name__ == "__main__":
    sys.addaudithook(alone)
    main(CASES)
