"""CLIP's image tower as LLaVA uses it: the states of the patches before the last layers, not the
embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.captioners.language import Floats, Loader
from curate.tasks.models import mindone_light
from curate.tasks.models.device import device_errors
from curate.tasks.models.towers import parameters_of, shared


class Patches:
    """Pictures to the states of their patches. One layer is compiled for all, as in
    curate.tasks.models.towers.

    `skipped` layers at the end are not run; `vision_feature_layer` -2 of LLaVA means one.
    """

    def __init__(self, loader: Loader, config: Any, prefix: str, skipped: int, batch: int) -> None:
        module = mindone_light.clip()
        config.attn_implementation = "eager"
        self._loader, self._batch = loader, batch
        self._embeddings = loader.built(
            lambda: module.CLIPVisionEmbeddings(config), f"{prefix}embeddings."
        )
        norm = loader.ms.nn.LayerNorm
        self._norm = loader.built(
            lambda: norm((config.hidden_size,), epsilon=config.layer_norm_eps),
            f"{prefix}pre_layrnorm.",
        )
        layer = loader.unfilled(lambda: module.CLIPEncoderLayer(config))
        names = list(parameters_of(layer))
        layers = [
            f"{prefix}encoder.layers.{number}."
            for number in range(config.num_hidden_layers - skipped)
        ]
        self._layers = shared(
            layer, [loader.tensors([of + name for name in names]) for of in layers]
        )

    def states(self, pixels: Floats) -> Any:
        """States (n, patches, width), a tensor, of pictures (n, 3, side, side); the place of the
        class is left out.
        """
        ms = self._loader.ms
        parts = [
            self._padded(pixels[i : i + self._batch]) for i in range(0, len(pixels), self._batch)
        ]
        return parts[0] if len(parts) == 1 else ms.ops.cat(parts, 0)

    def _padded(self, part: NDArray[np.float32]) -> Any:
        missing = self._batch - len(part)  # one shape is compiled
        whole = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        with device_errors(self._loader.device):
            hidden = self._norm(self._embeddings(self._loader.tensor(np.ascontiguousarray(whole))))
            for layer in self._layers:
                (hidden,) = layer(hidden, None, None)
        return hidden[: len(part), 1:]
