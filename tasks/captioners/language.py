"""Language models: mindone's decoder layers on MindSpore, driven step by step with the keys and
values kept.

Positions and masks are computed here, by NumPy, so that one driver serves Llama, Qwen2-VL and
Qwen2.5-VL, rows of a batch may have different lengths, and little is asked of MindSpore that the
CPU has no kernel for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import cpu_kernels, mindone_light
from curate.tasks.models.device import Device, Dtype, device_errors, mindspore
from curate.tasks.models.towers import parameters_of
from curate.tasks.models.weights import Weights

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Name = Callable[[str], str]

_LAYERS = {
    "llama": "LlamaDecoderLayer",
    "qwen2_vl": "Qwen2VLDecoderLayer",
    "qwen2_5_vl": "Qwen2_5_VLDecoderLayer",
}
_NORMS = {"llama": "LlamaRMSNorm", "qwen2_vl": "Qwen2RMSNorm", "qwen2_5_vl": "Qwen2RMSNorm"}
_OWN = "rotary_emb."  # computed, and in no checkpoint
AT_ONCE = (
    256  # words read in one pass: attention takes memory for each of them times all words before it
)


class Loader:
    """Cells with the weights of a folder, in the type that the device holds them in."""

    def __init__(self, weights: Weights, device: Device, dtype: Dtype) -> None:
        self.weights = weights
        self.device = device
        self.ms = mindspore()
        self.dtype = getattr(self.ms, device.weights_dtype(dtype))

    def beside(self, weights: Weights) -> Loader:
        """A loader of other weights, on the same device and in the same type."""
        made = copy(self)
        made.weights = weights
        return made

    def module(self, family: str) -> Any:
        """The module of a family of models, whose functions run on this device."""
        found = mindone_light.language(family)
        for module in (found, mindone_light.module("modeling_rope_utils")):
            cpu_kernels.use_mint(module, self.device)
        return found

    def built(self, make: Callable[[], Any], prefix: str, named: Name | None = None) -> Any:
        """The cell that `make` makes, its parameters filled from the tensors called `named(prefix +
        name)`.

        Random numbers, which it would start with, are never drawn: a model has billions.
        """
        from mindspore.nn.utils import no_init_parameters

        with no_init_parameters():
            cell = self.unfilled(make)
        parameters = {n: p for n, p in parameters_of(cell).items() if _OWN not in n}
        names = [named(prefix + n) if named else prefix + n for n in parameters]
        for parameter, value in zip(parameters.values(), self.tensors(names), strict=True):
            parameter.set_data(value)
        return cell

    def unfilled(self, make: Callable[[], Any]) -> Any:
        """The cell that `make` makes, for this device; its parameters are its own memory and may be
        written to.
        """
        cell = make()
        cell.set_train(False)
        for parameter in cell.get_parameters():
            parameter.set_dtype(self.dtype)
        cpu_kernels.fill_in(cell, self.device)
        return cell

    def tensors(self, names: Sequence[str]) -> list[Any]:
        """Tensors by their published names."""
        return [self.tensor(array) for array in self.weights.arrays(names)]

    def tensor(self, array: NDArray[Any]) -> Any:
        """Numbers as the model takes them: of a mapped file no copy on the CPU, where they stay
        float32.
        """
        made = self.ms.Tensor.from_numpy(array)
        return made if made.dtype == self.dtype else made.astype(self.dtype)


@dataclass
class Context:
    """What a decoder remembers of a batch: keys and values, and which places hold words rather than
    filling.
    """

    cache: Any
    words: NDArray[np.bool_]  # (rows, places)


class Decoder:
    """Embeddings of words to scores of the next word."""

    def __init__(
        self,
        loader: Loader,
        family: str,
        config: Any,
        prefix: str,
        head: str,
        named: Name | None = None,
    ) -> None:
        module = loader.module(family)
        config._attn_implementation = "eager"
        self._loader, self._config, self._family = loader, config, family
        layer, norm = getattr(module, _LAYERS[family]), getattr(module, _NORMS[family])
        self._layers = [
            loader.built(partial(layer, config, number), f"{prefix}layers.{number}.", named)
            for number in range(config.num_hidden_layers)
        ]
        self._norm = loader.built(
            lambda: norm(config.hidden_size, eps=config.rms_norm_eps), f"{prefix}norm.", named
        )
        table, (self._head,) = f"{prefix}embed_tokens.weight", loader.tensors([head])
        (self._table,) = loader.weights.arrays([named(table) if named else table])

    def embed(self, ids: Sequence[int]) -> Floats:
        """The embeddings of words (n, width): rows of a table that stays in its file."""
        return np.asarray(self._table[np.asarray(ids, np.int64)], np.float32)

    def start(self, rows: Sequence[Floats], places: Sequence[Ints]) -> tuple[Context, Floats]:
        """Read the beginnings of texts, each with the places (axes, n) of its words.

        Returns what `go_on` takes, and the scores (rows, words) of what comes next. Shorter rows
        are filled up in front, and nothing looks at the filling.
        """
        longest = max(len(row) for row in rows)
        embedded = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
        positions = np.ones((len(places[0]), len(rows), longest), np.int64)
        words = np.zeros((len(rows), longest), bool)
        for number, (row, place) in enumerate(zip(rows, places, strict=True)):
            embedded[number, longest - len(row) :] = row
            positions[:, number, longest - len(row) :] = place
            words[number, longest - len(row) :] = True
        context = Context(mindone_light.module("cache_utils").DynamicCache(), words)
        for begin in range(0, longest, AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            scores = self._pass(
                context,
                embedded[:, part],
                positions[:, :, part],
                _seen(words[:, : part.stop], begin),
            )
        return context, scores

    def go_on(self, context: Context, ids: Sequence[int], places: Ints) -> Floats:
        """Scores of what comes after one more word in each row, at the place (axes, rows) of each."""
        context.words = np.concatenate([context.words, np.ones((len(ids), 1), bool)], axis=1)
        return self._pass(
            context, self.embed(ids)[:, None], places[:, :, None], context.words[:, None, :]
        )

    def _pass(
        self, context: Context, embedded: Floats, positions: Ints, allowed: NDArray[np.bool_]
    ) -> Floats:
        ms, tensor = self._loader.ms, self._loader.tensor
        with device_errors(self._loader.device):
            # not the least of float16: a score below 0 makes it infinite, and mindone's Qwen2-VL
            # takes infinity for 0
            lowest = -3e4 if self._loader.dtype == ms.float16 else float(np.finfo(np.float32).min)
            mask = tensor(np.where(allowed, 0.0, lowest).astype(np.float32)[:, None])
            turns = tuple(tensor(t) for t in self._turns(positions))
            hidden = tensor(embedded)
            kept = "past_key_values" if self._family == "llama" else "past_key_value"
            for layer in self._layers:
                hidden = layer(
                    hidden, attention_mask=mask, position_embeddings=turns, **{kept: context.cache}
                )
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            scores = ms.ops.MatMul(transpose_b=True)(self._norm(hidden[:, -1]), self._head)
            found: Floats = scores.astype(ms.float32).asnumpy()
        return found

    def _turns(self, positions: Ints) -> tuple[Floats, Floats]:
        """Cosines and sines of rotary positions: (rows, n, width of a head), by axes where there
        are three.
        """
        width = (
            getattr(self._config, "head_dim", None)
            or self._config.hidden_size // self._config.num_attention_heads
        )
        steps = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
        speeds = np.float32(1) / np.power(
            np.float32(self._config.rope_theta), steps, dtype=np.float32
        )
        angles = positions.astype(np.float32)[..., None] * speeds
        angles = np.concatenate([angles, angles], axis=-1)
        if len(positions) == 1:
            angles = angles[0]
        return np.cos(angles), np.sin(angles)


def _seen(words: NDArray[np.bool_], begin: int) -> NDArray[np.bool_]:
    """Which places (rows, n - begin, n) the places from `begin` on look at: words up to their own."""
    shape = words.shape[1] - begin, words.shape[1]
    allowed: NDArray[np.bool_] = np.tri(*shape, begin, bool) & words[:, None, :]
    allowed |= np.eye(
        *shape, begin, bool
    )  # filling looks at itself: a softmax over nothing is no number
    return allowed
