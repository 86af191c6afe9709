"""Runs mindone's decoder layers on MindSpore, token by token with a key-value cache.

NumPy computes positions and masks here: one driver then serves every family, rows of a batch may
differ in length, and MindSpore needs few kernels that the CPU lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import cpu_kernels, mindone_light
from curate.tasks.models.device import Device, Dtype, device_errors, mindspore
from curate.tasks.models.towers_mindspore import parameters_of
from curate.tasks.models.weights import Weights

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rename = Callable[[str], str]  # from the name in a plain model to that in a checkpoint


@dataclass(frozen=True)
class _Family:
    """How mindone names the parts of a language model, and a layer's argument for its cache.

    Also whether the axes of positions take turns (`interleaved_axes`).
    """

    layer: str
    norm: str
    cache: str
    interleaved: bool = False


_FAMILIES = {
    "llama": _Family("LlamaDecoderLayer", "LlamaRMSNorm", "past_key_values"),
    "qwen2": _Family("Qwen2DecoderLayer", "Qwen2RMSNorm", "past_key_values"),
    "qwen3": _Family("Qwen3DecoderLayer", "Qwen3RMSNorm", "past_key_value"),
    "qwen2_vl": _Family("Qwen2VLDecoderLayer", "Qwen2RMSNorm", "past_key_value"),
    "qwen2_5_vl": _Family("Qwen2_5_VLDecoderLayer", "Qwen2RMSNorm", "past_key_value"),
    "qwen3_vl": _Family("Qwen3VLTextDecoderLayer", "Qwen3VLTextRMSNorm", "past_key_values", True),
}
_COMPUTED = "rotary_emb."  # parameters that no checkpoint holds
# tokens per pass: attention needs memory for each of them times all tokens before it
PASS_TOKENS = 256


class Loader:
    """Creates cells with the weights of a folder, in the dtype that the device uses."""

    def __init__(self, weights: Weights, device: Device, dtype: Dtype) -> None:
        self.weights = weights
        self.device = device
        self.ms = mindspore()
        self.dtype = getattr(self.ms, device.weights_dtype(dtype))

    def for_weights(self, weights: Weights) -> Loader:
        """A loader of other weights for the same device and dtype."""
        other = copy(self)
        other.weights = weights
        return other

    def family_module(self, family: str) -> Any:
        """mindone's module of a model family, with functions that the CPU lacks replaced."""
        family_module = mindone_light.language(family)
        for module in (family_module, mindone_light.module("modeling_rope_utils")):
            cpu_kernels.use_mint(module, self.device)
        return family_module

    def cell(self, make: Callable[[], Any], prefix: str, rename: Rename | None = None) -> Any:
        """Call `make` and fill each parameter of its cell from the tensor `rename(prefix + name)`.

        MindSpore never draws random initial values: a model has billions.
        """
        from mindspore.nn.utils import no_init_parameters

        with no_init_parameters():
            cell = self.empty_cell(make)
        parameters = {n: p for n, p in parameters_of(cell).items() if _COMPUTED not in n}
        names = [rename(prefix + n) if rename else prefix + n for n in parameters]
        for parameter, value in zip(parameters.values(), self.tensors(names), strict=True):
            parameter.set_data(value)
        return cell

    def empty_cell(self, make: Callable[[], Any]) -> Any:
        """The cell that `make` creates, for this device.

        Its parameters own their memory and may be written to.
        """
        cell = make()
        cell.set_train(False)
        for parameter in cell.get_parameters():
            parameter.set_dtype(self.dtype)
        cpu_kernels.fill_in(cell, self.device)
        return cpu_kernels.fitted(cell, self.device)

    def tensors(self, names: Sequence[str]) -> list[Any]:
        """Tensors by their published names."""
        return [self.tensor(array) for array in self.weights.arrays(names)]

    def tensor(self, array: NDArray[Any]) -> Any:
        """An array as a tensor in the dtype of the model.

        On the CPU the dtype is float32, and a mapped file is not copied.
        """
        tensor = self.ms.Tensor.from_numpy(array)
        return tensor if tensor.dtype == self.dtype else tensor.astype(self.dtype)


@dataclass
class DecoderState:
    """The keys and values of a batch, and which positions hold tokens rather than padding."""

    cache: Any
    is_token: Bools  # (rows, positions)


class Decoder:
    """Turns embeddings of tokens into scores of the next token."""

    def __init__(
        self,
        loader: Loader,
        family: str,
        config: Any,
        prefix: str,
        head: str,
        rename: Rename | None = None,
    ) -> None:
        module = loader.family_module(family)
        config._attn_implementation = "eager"
        self._loader, self._config = loader, config
        self._family = _FAMILIES[family]
        layer, norm = getattr(module, self._family.layer), getattr(module, self._family.norm)
        self._layers = [
            loader.cell(partial(layer, config, number), f"{prefix}layers.{number}.", rename)
            for number in range(config.num_hidden_layers)
        ]
        self._norm = loader.cell(
            lambda: norm(config.hidden_size, eps=config.rms_norm_eps), f"{prefix}norm.", rename
        )
        table, (self._head,) = f"{prefix}embed_tokens.weight", loader.tensors([head])
        (self._table,) = loader.weights.arrays([rename(table) if rename else table])

    def embed(self, ids: Sequence[int]) -> Floats:
        """The embeddings of tokens (n, width), read from a table that stays in its file."""
        return np.asarray(self._table[np.asarray(ids, np.int64)], np.float32)

    def start(
        self,
        rows: Sequence[Floats],
        row_positions: Sequence[Ints],
        row_additions: Sequence[Sequence[Floats]] = (),
    ) -> tuple[DecoderState, Floats]:
        """Read the beginnings of texts, each with the positions (axes, n) of its tokens.

        Its additions, each (n, width), are added to its states after the first layers, one by one.
        Returns the state for `go_on`, and the scores (rows, vocabulary) of the next tokens. Shorter
        rows are padded on the left, and no token attends to the padding.
        """
        longest = max(len(row) for row in rows)
        embedded = _padded(rows, longest)
        positions = np.ones((len(row_positions[0]), len(rows), longest), np.int64)
        is_token = np.zeros((len(rows), longest), bool)
        for number, its_positions in enumerate(row_positions):
            begin = longest - its_positions.shape[1]
            positions[:, number, begin:] = its_positions
            is_token[number, begin:] = True
        additions = [_padded(layer, longest) for layer in zip(*row_additions, strict=True)]
        state = DecoderState(mindone_light.module("cache_utils").DynamicCache(), is_token)
        for begin in range(0, longest, PASS_TOKENS):
            part = slice(begin, begin + PASS_TOKENS)
            allowed = attention_mask(is_token[:, : part.stop], begin)
            added = [addition[:, part] for addition in additions]
            scores = self._pass(state, embedded[:, part], positions[:, :, part], allowed, added)
        return state, scores

    def go_on(self, state: DecoderState, ids: Sequence[int], positions: Ints) -> Floats:
        """Scores of what follows one more token in each row, at its position (axes, rows)."""
        state.is_token = np.concatenate([state.is_token, np.ones((len(ids), 1), bool)], axis=1)
        embedded, allowed = self.embed(ids)[:, None], state.is_token[:, None, :]
        return self._pass(state, embedded, positions[:, :, None], allowed)

    def _angles(self, positions: Ints) -> Floats:
        """The rotation of each number of a head: (rows, tokens, width).

        Layers of Qwen2-VL and Qwen2.5-VL choose among the three axes themselves: (3, …).
        """
        config = self._config
        head_width = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        speeds = rotary_speeds(head_width, config.rope_theta)
        angles = positions.astype(np.float32)[..., None] * speeds
        if self._family.interleaved:
            axes = interleaved_axes(len(speeds), config.rope_scaling["mrope_section"])
            angles = np.moveaxis(angles[axes, ..., np.arange(len(speeds))], 0, -1)
        elif len(positions) == 1:
            angles = angles[0]
        return np.concatenate([angles, angles], axis=-1)

    def _pass(
        self,
        state: DecoderState,
        embedded: Floats,
        positions: Ints,
        allowed: Bools,
        added: Sequence[Floats] = (),
    ) -> Floats:
        """Run the layers over tokens; return the scores (rows, vocabulary) after the last one.

        `allowed` (rows, tokens, all positions) says what each token attends to; `added` is for the
        states after the first layers.
        """
        ms, tensor = self._loader.ms, self._loader.tensor
        angles = self._angles(positions)
        with device_errors(self._loader.device):
            # not the minimum of float16: adding a negative score overflows to infinity, which
            # mindone's Qwen2-VL treats as 0
            lowest = -3e4 if self._loader.dtype == ms.float16 else float(np.finfo(np.float32).min)
            mask = tensor(np.where(allowed, 0.0, lowest).astype(np.float32)[:, None])
            rotary = tensor(np.cos(angles)), tensor(np.sin(angles))
            cache = {self._family.cache: state.cache}
            hidden = tensor(embedded)
            for layer, addition in zip_longest(self._layers, added):
                hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, **cache)
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden
                hidden = hidden if addition is None else hidden + tensor(addition)
            scores = ms.ops.MatMul(transpose_b=True)(self._norm(hidden[:, -1]), self._head)
            result: Floats = scores.astype(ms.float32).asnumpy()
        return result


def _padded(rows: Sequence[Floats], longest: int) -> Floats:
    """Rows (n, width) of different lengths as one array, with zeros before the shorter ones."""
    padded = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
    for number, row in enumerate(rows):
        padded[number, longest - len(row) :] = row
    return padded


def interleaved_axes(count: int, section: Sequence[int]) -> Ints:
    """Which axis (0: time, 1: row, 2: column) turns each of `count` pairs of a head's numbers.

    Axes take turns, row and column as often as `section` (time, row, column) says; then only time.
    """
    axes = np.zeros(count, np.int64)
    for axis in (1, 2):
        axes[axis : 3 * section[axis] : 3] = axis
    return axes


def rotary_speeds(width: int, base: float) -> Floats:
    """Rotation in radians per position of each pair of a head's `width` numbers: (width / 2,)."""
    steps = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    speeds: Floats = np.float32(1) / np.power(np.float32(base), steps, dtype=np.float32)
    return speeds


def attention_mask(is_token: Bools, begin: int) -> Bools:
    """Which of n positions the positions from `begin` on attend to: (rows, n - begin, n).

    `is_token` is (rows, n). Each token attends to itself and to the tokens before it.
    """
    shape = is_token.shape[1] - begin, is_token.shape[1]
    allowed: Bools = np.tri(*shape, begin, bool) & is_token[:, None, :]
    # padding attends to itself: a softmax over nothing is NaN
    allowed |= np.eye(*shape, begin, bool)
    return allowed
