"""CLIP's image and text towers on MindSpore: mindone's models, with the weights of a local folder.

The encoder layers of a tower have the same form, so one of them is compiled and each layer's
weights are copied into it before it runs. Compiling all 24 layers of ViT-L/14 took 20 CPU seconds
and 4.3 GB; compiling one takes 2.4 seconds, the weights stay mapped from their file, and the copies
cost less than 2 % of a pass. The outputs are bit-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, cpu_kernels, device, mindone_light, verify
from curate.tasks.models.clip_tower import Floats, ImageTower, TextTower, logit_scale
from curate.tasks.models.device import Dtype, device_errors
from curate.tasks.models.tokens import Tokens

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


class MindSporeImageTower(ClipTower, ImageTower):
    """The image tower on MindSpore."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype, batch: int | None) -> None:
        super().__init__(folder, setting, dtype, batch)
        config = self._config("vision_config")
        self.side = int(config.image_size)
        cls = mindone_light.clip().CLIPVisionModelWithProjection
        self._model = self._build(cls, config, "vision_model.encoder")

    def embed(self, pixels: Floats) -> Floats:
        """As ImageTower."""
        return self._in_batches(self._run, pixels)

    def _run(self, pixels: Floats) -> Any:
        return self._model(self._ms.Tensor(pixels, self._dtype))[0]


class MindSporeTextTower(ClipTower, TextTower):
    """The text tower on MindSpore."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype, batch: int | None) -> None:
        super().__init__(folder, setting, dtype, batch)
        config = self._config("text_config")
        self._tokens = Tokens(folder, int(config.vocab_size))
        self._length = int(config.max_position_embeddings)
        self.logit_scale = logit_scale(self._verified.file)
        cls = mindone_light.clip().CLIPTextModelWithProjection
        self._model = self._build(cls, config, "text_model.encoder")

    def embed(self, texts: Sequence[str]) -> Floats:
        """As TextTower."""
        return self._in_batches(self._run, self._tokens.encode(texts, self._length))

    def _run(self, tokens: NDArray[np.int32]) -> Any:
        return self._model(self._ms.Tensor(tokens))[0]


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
