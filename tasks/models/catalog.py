"""The models that stages need: what each is, where its weights belong, and how to get them.

URLs name a fixed revision wherever there is one. Sizes and SHA-256 are those documented publicly
(torch.hub puts the first 8 digits in a file's name); none was verified by a download.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Captioner = Literal["pllava", "qwen2_vl", "qwen2_5_vl", "sharegpt4v"]
ModelKind = Literal["clip", "aesthetic", "nsfw", "lpips"] | Captioner
CAPTIONERS: tuple[Captioner, ...] = get_args(Captioner)
CLIP_MODEL = "clip-vit-large-patch14"  # the default of stages
# where the default folders of captioners are published; not verified by a download either
SHAREGPT4V_TOWER = "ShareGPT4V-7B_Pretrained_vit-large336-l12"
PUBLISHED = {
    "pllava-7b": "ermu2001/pllava-7b", "Qwen2-VL-7B-Instruct": "Qwen/Qwen2-VL-7B-Instruct",
    "Qwen2.5-VL-7B-Instruct": "Qwen/Qwen2.5-VL-7B-Instruct",
    "ShareGPT4V-7B": "Lin-Chen/ShareGPT4V-7B",
    SHAREGPT4V_TOWER: f"Lin-Chen/{SHAREGPT4V_TOWER}",
}  # fmt: skip


@dataclass(frozen=True)
class Need:
    """Weights that a stage needs.

    `model` is a folder below the model folder, or the path of any folder. So is `tower`, for a
    captioner whose image tower is published separately (empty: the one that its config names).
    """

    kind: ModelKind
    model: str
    tower: str = ""


@dataclass(frozen=True)
class Download:
    """A published file. `size` in bytes and `sha256` are empty where they are not documented."""

    url: str
    name: str
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Model:
    """A model as published.

    `files` are used unchanged or, with `convert`, converted to one safetensors file. `size` is the
    approximate final size of the folder in bytes.
    """

    name: str
    kind: ModelKind
    what: str
    licence: str
    page: str
    size: int
    files: tuple[Download, ...]
    convert: bool = True


_HUB = "https://huggingface.co/openai/clip-vit-large-patch14"
_CLIP = f"{_HUB}/resolve/32bd64288804d66eefd0ccbe215aa642df71cc41"
_GITHUB = "https://raw.githubusercontent.com"
_LAION_PAGE = "christophschuhmann/improved-aesthetic-predictor"
_LAION = f"{_GITHUB}/{_LAION_PAGE}/6934dd81792f086e613a121dbce43082cb8be85e"
_LPIPS = f"{_GITHUB}/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963"
_DATACOMP = "https://github.com/mlfoundations/dataset2metadata/releases/download/v0.1.0-alpha"

_MODELS = (
    Model(
        CLIP_MODEL, "clip", "OpenAI's CLIP ViT-L/14", "MIT", _HUB, 1_712_800_000,
        (
            Download(
                f"{_CLIP}/config.json", "config.json",
                sha256="8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a",
            ),
            Download(
                f"{_CLIP}/tokenizer.json", "tokenizer.json", 2_224_003,
                "a83e0809aa4c3af7208b2df632a7a69668c6d48775b3c3fe4e1b1199d1f8b8f4",
            ),
            Download(
                f"{_CLIP}/model.safetensors", "model.safetensors", 1_710_540_580,
                "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            ),
        ),
        convert=False,
    ),
    Model(
        "aesthetic-l14", "aesthetic", "LAION's aesthetic predictor v2 on CLIP ViT-L/14",
        "Apache-2.0",
        f"https://github.com/{_LAION_PAGE}", 3_714_000,
        (
            Download(
                f"{_LAION}/sac%2Blogos%2Bava1-l14-linearMSE.pth",
                "sac+logos+ava1-l14-linearMSE.pth", 3_714_759,
                "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
            ),
        ),
    ),
    Model(
        "nsfw-l14", "nsfw",
        "LAION's CLIP-based NSFW detector on CLIP ViT-L/14, as DataComp published it", "MIT",
        "https://github.com/LAION-AI/CLIP-based-NSFW-Detector", 864_000,
        (
            Download(
                f"{_DATACOMP}/nsfw_torch.pt", "nsfw_torch.pt",
                sha256="3c97d5478477c181bfa29a33e6933f710c8ec587e3c3551ff855e293acdaf390",
            ),
        ),
    ),
    Model(
        "lpips-vgg16", "lpips", "torchvision's VGG16 with the weights of LPIPS v0.1",
        "BSD-3-Clause, BSD-2-Clause",
        "https://github.com/richzhang/PerceptualSimilarity", 58_870_000,
        (
            Download(
                "https://download.pytorch.org/models/vgg16-397923af.pth",
                "vgg16-397923af.pth", 553_433_881,
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            ),
            Download(
                f"{_LPIPS}/lpips/weights/v0.1/vgg.pth", "vgg.pth", 7_289,
                "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            ),
        ),
    ),
)  # fmt: skip

CATALOG: dict[str, Model] = {model.name: model for model in _MODELS}


def folder_of(model: str, model_folder: Path) -> Path:
    """The folder of a model's weights: its path, or its name below the model folder."""
    return Path(model).expanduser() if "/" in model else model_folder / model


def tower_of(need: Need, model_folder: Path) -> Path | None:
    """The folder of a captioner's image tower; None means the one that its config names."""
    return folder_of(need.tower, model_folder) if need.tower else None


def how_to_get(need: Need, folder: Path) -> str:
    """The command that gets the weights; one of curate stands in backticks.

    For a model that nobody publishes, it is the command that makes a folder of its file. A command
    replaces a folder only if that is a model and was given by name: a path may be any folder of the
    user. Folders of captioners are used as published, so Hugging Face's own command fetches them.
    """
    if need.kind in CAPTIONERS:
        folders = [folder]
        if need.kind == "sharegpt4v":
            folders.append(folder_of(need.tower or SHAREGPT4V_TOWER, folder.parent))
        names = ((PUBLISHED.get(f.name, "OWNER/NAME"), shlex.quote(str(f))) for f in folders)
        return " && ".join(f"hf download {name} --local-dir {to}" for name, to in names)
    force = " --force" if "/" not in need.model and (folder / "model.safetensors").is_file() else ""
    if need.model in CATALOG:
        return f"`curate models fetch {need.model}{force}`"
    return f"`curate models convert FILE --to {shlex.quote(need.model)}{force}`"
