"""CLIP's image and text towers: mindone's models on MindSpore, with the weights of a local folder.

The encoder layers of a tower have the same form, so one of them is compiled and each layer's
weights are copied into it before it runs. Compiling all 24 layers of ViT-L/14 took 20 CPU seconds
and 4.3 GB; compiling one takes 2.4 seconds, the weights stay mapped from their file, and the copies
cost less than 2 % of a pass. The outputs are bit-identical.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, cpu_kernels, device, mindone_light, verify
from curate.tasks.models.device import Dtype, device_errors
from curate.tasks.models.embeddings import TextVector, unit
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.tokens import Tokens

Floats = NDArray[np.float32]

# images or texts per pass: a single shape is compiled, once per process
BATCH = {"CPU": 8, "Ascend": 64}


class ClipTower:
    """The base of both towers: one compiled layer runs all layers, in batches of one size."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype, batch: int | None) -> None:
        self._device = device.start(setting)
        self._ms = device.mindspore()
        self._verified = verify.verified(folder, "clip")
        self._dtype = getattr(self._ms, self._device.weights_dtype(dtype))
        self.batch = batch or BATCH[self._device.target]
        self.revision = checkpoint.revision(self._verified.file)

    def _config(self, part: str) -> Any:
        whole = mindone_light.transformers().CLIPConfig.from_dict(dict(self._verified.config))
        config = getattr(whole, part)
        config.projection_dim = whole.projection_dim
        return config

    def _build(self, cls: Any, config: Any, encoder: str) -> Any:
        """The model, with one compiled encoder layer in place of all."""
        layers, config.num_hidden_layers = config.num_hidden_layers, 1
        model = cls(config)
        model.set_train(False)
        for parameter in model.get_parameters():
            parameter.set_dtype(self._dtype)
        cpu_kernels.fill_in(model, self._device)
        owner = next(cell for name, cell in model.cells_and_names() if name == encoder)
        layer = owner.layers[0]
        first = f"{encoder}.layers.0."
        others = {n: p for n, p in parameters_of(model).items() if not n.startswith(first)}
        for parameter, value in zip(others.values(), self._tensors(list(others)), strict=True):
            parameter.set_data(value)
        names = [[f"{encoder}.layers.{i}.{n}" for n in parameters_of(layer)] for i in range(layers)]
        del owner.layers
        owner.layers = shared(layer, [self._tensors(of_layer) for of_layer in names])
        return model

    def _tensors(self, names: Sequence[str]) -> list[Any]:
        # on the CPU a tensor is the mapped file itself; an NPU copies it on first use
        arrays = checkpoint.arrays(self._verified.file, names)
        tensors = [self._ms.Tensor.from_numpy(arrays[name]) for name in names]
        return [t if t.dtype == self._dtype else t.astype(self._dtype) for t in tensors]

    def _in_batches(self, run: Callable[[NDArray[Any]], Any], inputs: NDArray[Any]) -> Floats:
        """The outputs (n, width) of inputs; the last batch is padded with its last input."""
        outputs = []
        for start in range(0, len(inputs), self.batch):
            batch = inputs[start : start + self.batch]
            count = len(batch)
            if count < self.batch:
                batch = np.concatenate([batch, np.repeat(batch[-1:], self.batch - count, axis=0)])
            with device_errors(self._device):
                values = run(batch).astype(self._ms.float32).asnumpy()
            outputs.append(values[:count])
        return np.concatenate(outputs) if outputs else np.zeros((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """The number of values in an embedding."""
        return int(self._verified.config.get("projection_dim", 512))


class ImageTower(ClipTower):
    """Turns pictures into embeddings. Created by `image_tower`."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype, batch: int | None) -> None:
        super().__init__(folder, setting, dtype, batch)
        config = self._config("vision_config")
        self.side = int(config.image_size)
        cls = mindone_light.clip().CLIPVisionModelWithProjection
        self._model = self._build(cls, config, "vision_model.encoder")

    def embed(self, pixels: Floats) -> Floats:
        """Embeddings (n, width) of pictures (n, 3, side, side); not of unit length.

        Pictures are prepared by `preprocess.pixels`.
        """
        return self._in_batches(self._run, pixels)

    def _run(self, pixels: Floats) -> Any:
        return self._model(self._ms.Tensor(pixels, self._dtype))[0]


class TextTower(ClipTower):
    """Turns texts into embeddings. Created by `text_tower`.

    `logit_scale` is the factor that CLIP applies to cosines, about 100.
    """

    def __init__(self, folder: Path, setting: str, dtype: Dtype, batch: int | None) -> None:
        super().__init__(folder, setting, dtype, batch)
        config = self._config("text_config")
        self._tokens = Tokens(folder)
        self._length = int(config.max_position_embeddings)
        scale = checkpoint.arrays(self._verified.file, ["logit_scale"])["logit_scale"]
        self.logit_scale = math.exp(float(scale))
        cls = mindone_light.clip().CLIPTextModelWithProjection
        self._model = self._build(cls, config, "text_model.encoder")

    def embed(self, texts: Sequence[str]) -> Floats:
        """Embeddings (n, width) of texts, each cut to 77 tokens; not of unit length."""
        return self._in_batches(self._run, self._tokens.encode(texts, self._length))

    def vector(self, text: str) -> TextVector:
        """A text, to be compared with embeddings of frames."""
        return TextVector(self.logit_scale * unit(self.embed([text]))[0], self.revision)

    def _run(self, tokens: NDArray[np.int32]) -> Any:
        return self._model(self._ms.Tensor(tokens))[0]


def image_tower(
    folder: Path, setting: str = "auto", dtype: Dtype = "auto", batch: int | None = None
) -> ImageTower:
    """The image tower of a folder, shared within the process.

    Raises BadModel, NoDevice, PackageMissing.
    """
    return cached_model(ImageTower, folder, setting, dtype, batch)


def text_tower(
    folder: Path, setting: str = "auto", dtype: Dtype = "auto", batch: int | None = None
) -> TextTower:
    """The text tower of a folder, shared within the process.

    Raises BadModel, NoDevice, PackageMissing.
    """
    return cached_model(TextTower, folder, setting, dtype, batch)


def search_tower(folder: Path) -> TextTower:
    """As `text_tower`, for a search: it takes one text at a time, on the CPU.

    An NPU would be started for it beside the worker that has it.
    """
    return text_tower(folder, "CPU", batch=1)


def parameters_of(cell: Any) -> dict[str, Any]:
    """Parameters by name in the checkpoint; MindSpore names three of them differently."""
    nn = device.mindspore().nn
    parameters = {}
    for prefix, inner in cell.cells_and_names():
        words = {"gamma": "weight", "beta": "bias"} if isinstance(inner, nn.LayerNorm) else {}
        if isinstance(inner, nn.Embedding):
            words = {"embedding_table": "weight"}
        for name, parameter in inner._params.items():
            if parameter is not None:
                parameters[".".join(filter(None, (prefix, words.get(name, name))))] = parameter
    return parameters


def shared(layer: Any, weights: Sequence[Sequence[Any]]) -> list[Callable[..., tuple[Any]]]:
    """A callable in place of each layer of mindone's.

    It copies the weights of its layer into `layer`, which is compiled, and runs that.
    """
    ms = device.mindspore()
    parameters = list(parameters_of(layer).values())

    @ms.jit(jit_level="O0")  # type: ignore[untyped-decorator]
    def compiled(hidden: Any, mask: Any, causal: Any) -> Any:
        return layer(hidden, mask, causal, False)[0]

    def with_weights(values: Sequence[Any]) -> Callable[..., tuple[Any]]:
        def run(hidden: Any, mask: Any, causal: Any, output_attentions: bool = False) -> tuple[Any]:
            for parameter, value in zip(parameters, values, strict=True):
                ms.ops.assign(parameter, value)
            return (compiled(hidden, mask, causal),)

        return run

    return [with_weights(values) for values in weights]
