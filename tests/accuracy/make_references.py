"""Makes data/references.npz and references.json, once, with PyTorch and the published
implementations.

Not part of the tests: they only read what this wrote. Run in an environment of its own (Python
3.11)::

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu pip install
    transformers==4.57.1 "numpy<2" pillow safetensors tokenizers pip install --no-deps --target
    published lpips==0.1.4 clip-anytorch==2.6.0 ftfy==6.3.1 wcwidth==0.9.4 scikit-learn python -m
    tests.accuracy.make_references published

What stands in, and for what: torchvision (not needed otherwise) for VGG16's list of layers, which
the lpips package takes from it; everything else of lpips runs as published. OpenAI's tokenizer is
clip-anytorch's simple_tokenizer.py with ftfy. The heads are their authors' few lines, written again
from seed-semantics 2.8 and 2.12.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer, CLIPTokenizerFast

from tests import tiny
from tests.accuracy import inputs

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
Arrays = dict[str, Any]
Facts = dict[str, Any]


def main(published: Path) -> None:
    """Write the references; `published` is the folder that the published packages were installed
    to.
    """
    photos = inputs.photos(published / "sklearn" / "datasets" / "images")
    versions = {"python": platform.python_version(), "pillow": __import__("PIL").__version__}
    versions |= {m.__name__: m.__version__ for m in (torch, transformers, np)}
    versions |= {
        "lpips": "0.1.4",
        "clip-anytorch": "2.6.0",
        "ftfy": "6.3.1",
        "scikit-learn": "1.9.1",
    }
    facts: Facts = {
        "made_by": "python -m tests.accuracy.make_references published",
        "versions": versions,
    }
    facts["photos"] = {name: inputs.checksum(photo) for name, photo in photos.items()}
    arrays: Arrays = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        models = tiny.write_all(Path(folder))
        ids = tokens(published, arrays, facts, Path(folder))
        clip(models / tiny.CLIP, ids, arrays, facts)
        preprocessing(photos, arrays, facts)
        heads(models, arrays)
        lpips(published, models / tiny.LPIPS, photos, arrays)
    np.savez_compressed(inputs.DATA / "references.npz", **arrays)
    (inputs.DATA / "references.json").write_text(
        json.dumps(facts, indent=1) + "\n", encoding="utf-8"
    )


def tokens(published: Path, arrays: Arrays, facts: Facts, folder: Path) -> Any:
    """Ids by transformers' fast and slow tokenizers and by OpenAI's, each (200, 77)."""
    words = {"vocab.json": json.dumps(tiny.vocabulary())}
    words["merges.txt"] = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in tiny.merges())
    for name, text in words.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = {"vocab_file": str(folder / "vocab.json"), "merges_file": str(folder / "merges.txt")}
    how = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "np"}
    fast, slow = CLIPTokenizerFast(**files), CLIPTokenizer(**files)
    assert slow.fix_text is None, "ftfy must not be importable for transformers' own rule"
    arrays["tokens_fast"] = fast(inputs.TEXTS, **how)["input_ids"].astype(np.uint16)
    arrays["tokens_slow"] = slow(inputs.TEXTS, **how)["input_ids"].astype(np.uint16)
    arrays["tokens_openai"] = openai_tokens(published)
    for other in ("slow", "openai"):
        facts[f"texts where {other} differs from fast"] = differing(
            arrays["tokens_fast"], arrays[f"tokens_{other}"]
        )
    return torch.from_numpy(arrays["tokens_fast"].astype(np.int64))


def openai_tokens(published: Path) -> Any:
    """Ids as clip.tokenize(texts, truncate=True) makes them; 0 after the end of text."""
    sys.path.insert(0, str(published))
    spec = importlib.util.spec_from_file_location(
        "simple_tokenizer", published / "clip" / "simple_tokenizer.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenizer = module.SimpleTokenizer()
    sys.path.remove(str(published))
    result = np.zeros((len(inputs.TEXTS), 77), np.uint16)
    for row, text in zip(result, inputs.TEXTS, strict=True):
        found = [49406, *tokenizer.encode(text), 49407][:77]
        row[: len(found)] = found
        row[76] = 49407 if len(found) == 77 else 0
    return result


def differing(one: Any, other: Any) -> list[int]:
    """Which texts have other ids, whatever stands after the end of text."""
    ends = [[*row[: int(np.argmax(row == 49407)) + 1]] for table in (one, other) for row in table]
    half = len(ends) // 2
    return [n for n in range(half) if ends[n] != ends[half + n]]


def clip(folder: Path, ids: Any, arrays: Arrays, facts: Facts) -> None:
    """Features and logits by transformers' CLIPModel, eager attention, in float64 (the truth) and
    float32.
    """
    pixels = torch.from_numpy(inputs.pixels())
    for name, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        torch.set_default_dtype(dtype)  # which the causal mask is made in
        model = CLIPModel.from_pretrained(folder, attn_implementation="eager", dtype=dtype).eval()
        out = model(input_ids=ids[::5], pixel_values=pixels.to(dtype))
        image, text = model.get_image_features(pixels.to(dtype)), model.get_text_features(ids[::5])
        arrays |= {f"image_{name}": image.numpy(), f"text_{name}": text.numpy()}
        arrays[f"logits_{name}"] = out.logits_per_image.numpy()
        alone = torch.cat([model.get_image_features(p[None].to(dtype)) for p in pixels])
        facts[f"image features, one by one against twelve at once, {name}"] = float(
            (image - alone).abs().max()
        )
        facts[f"logit_scale, {name}"] = float(model.logit_scale.exp())
    for kind in ("image", "text", "logits"):
        worst = np.abs(arrays[f"{kind}_f64"] - arrays[f"{kind}_f32"]).max()
        facts[f"{kind}, torch float32 against float64"] = float(worst)


def preprocessing(photos: Any, arrays: Arrays, facts: Facts) -> None:
    """Each photo by transformers' CLIPImageProcessor: every 16th pixel, and the sums of all rows
    and columns.
    """
    processor = CLIPImageProcessor(
        do_resize=True, size={"shortest_edge": 224}, resample=3, do_center_crop=True,
        crop_size={"height": 224, "width": 224}, do_rescale=True, rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=MEAN, image_std=STD, do_convert_rgb=True,
    )  # fmt: skip
    facts["photos where torchvision's centre crop differs"] = []
    for number, (name, height, width) in enumerate(inputs.SIZES):
        photo = inputs.sized(photos[name], height, width)
        # told which axis is which: left to guess, it takes a picture of 1 or 3 rows for one of
        # channels
        (found,) = processor(photo, input_data_format="channels_last", return_tensors="np")[
            "pixel_values"
        ]
        arrays[f"photo_{number}_sample"] = found[:, ::16, ::16].astype(np.float32)
        arrays[f"photo_{number}_rows"] = found.sum(axis=2, dtype=np.float64)
        arrays[f"photo_{number}_columns"] = found.sum(axis=1, dtype=np.float64)
        other = openai_preprocessing(photo)
        if np.abs(other - found).max() > 1e-5:
            facts["photos where torchvision's centre crop differs"].append(
                [number, float(np.abs(other - found).max())]
            )


def openai_preprocessing(photo: Any) -> Any:
    """OpenAI's rule: torchvision's Resize(224, bicubic), CenterCrop(224), ToTensor, Normalize, on
    PIL images.
    """
    from PIL import Image

    height, width = photo.shape[:2]
    short, long = min(height, width), max(height, width)
    size = (224, int(224 * long / short)) if width <= height else (int(224 * long / short), 224)
    image = (
        Image.fromarray(photo)
        if short == 224
        else Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    )
    left, top = (
        round((image.width - 224) / 2.0),
        round((image.height - 224) / 2.0),
    )  # half to even, torchvision's
    cropped = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / np.float32(
        255
    )
    return ((cropped - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)


class Normalization(nn.Module):
    """A fixed normalisation: (x - mean) / (sqrt(variance) + 1e-10)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(768))
        self.register_buffer("variance", torch.ones(768))

    def forward(self, x: Any) -> Any:
        return (x - self.mean) / (self.variance.sqrt() + 1e-10)


class Nsfw(nn.Module):
    """Normalisation, 768-64-512-256-1 with ReLU between, sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = Normalization()
        self.linear_1, self.linear_2 = nn.Linear(768, 64), nn.Linear(64, 512)
        self.linear_3, self.linear_4 = nn.Linear(512, 256), nn.Linear(256, 1)

    def forward(self, x: Any) -> Any:
        for layer in (self.linear_1, self.linear_2, self.linear_3):
            x = torch.relu(layer(x if layer is not self.linear_1 else self.norm(x)))
        return torch.sigmoid(self.linear_4(x))


class Aesthetic(nn.Module):
    """768-1024-128-64-16-1, linear throughout; dropout stands between when training."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(768, 1024), (), (1024, 128), (), (128, 64), (), (64, 16), (16, 1)]
        self.layers = nn.Sequential(*(nn.Linear(*w) if w else nn.Dropout(0.2) for w in widths))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


def heads(models: Path, arrays: Arrays) -> None:
    """Scores of 64 unit vectors."""
    units = torch.from_numpy(inputs.unit_embeddings())
    for name, made, folder in (
        ("aesthetic", Aesthetic(), tiny.AESTHETIC),
        ("nsfw", Nsfw(), tiny.NSFW),
    ):
        made.load_state_dict(load_file(models / folder / "model.safetensors"))
        made.eval()
        arrays[f"{name}_f32"] = made(units)[:, 0].numpy()
        arrays[f"{name}_f64"] = made.double()(units.double())[:, 0].numpy()


def vgg16(**_: Any) -> Any:
    """VGG16's layers in torchvision's order, as far as lpips takes them."""
    layers: list[Any] = []
    inputs_ = 3
    for block in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)):
        for outputs in block:
            layers += [nn.Conv2d(inputs_, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs_ = outputs
        layers.append(nn.MaxPool2d(2, 2))
    return types.SimpleNamespace(features=nn.Sequential(*layers))


def lpips(published: Path, folder: Path, photos: Any, arrays: Arrays) -> None:
    """Distances, and what each of the five features adds, by the lpips package with our weights."""
    package = lpips_package(published)
    made = package.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
    weights = load_file(folder / "model.safetensors")
    state = {k: v for k, v in weights.items() if k.startswith("lin")}
    convolutions = {
        k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")
    }
    slices = {name.split(".", 2)[2]: name for name in made.state_dict() if name.startswith("net.")}
    state |= {slices[k]: v for k, v in convolutions.items()}
    missing, leftover = made.load_state_dict(state, strict=False)
    assert not leftover and all("scaling_layer" in m or m.startswith("lins.") for m in missing), (
        missing,
        leftover,
    )
    for name, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        made = made.to(dtype)
        found = [
            made(scaled(a, dtype), scaled(b, dtype), retPerLayer=True)
            for a, b in inputs.pairs(photos)
        ]
        arrays[f"lpips_{name}"] = np.array([float(total) for total, _ in found])
        arrays[f"lpips_layers_{name}"] = np.array(
            [[float(part) for part in parts] for _, parts in found]
        )


def scaled(frame: Any, dtype: Any) -> Any:
    """A frame as lpips.im2tensor gives it: -1 to 1, (1, 3, h, w)."""
    return torch.from_numpy(frame.transpose(2, 0, 1)[None].copy()).to(dtype) / (255.0 / 2.0) - 1


def lpips_package(published: Path) -> Any:
    """The published package, with VGG16's layers in torchvision's place and nothing in that of
    scipy, which only its training uses.
    """
    torchvision, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    models.vgg16 = vgg16  # type: ignore[attr-defined]
    torchvision.models = models  # type: ignore[attr-defined]
    scipy, ndimage = types.ModuleType("scipy"), types.ModuleType("scipy.ndimage")
    ndimage.zoom = None  # type: ignore[attr-defined]
    for module in (torchvision, models, scipy, ndimage):
        sys.modules[module.__name__] = module
    sys.path.insert(0, str(published))
    package = importlib.import_module("lpips")
    sys.path.remove(str(published))
    return package


if __name__ == "__main__":
    main(Path(sys.argv[1]))
