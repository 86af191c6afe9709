"""Writes the files of this folder with torch and with MindSpore. Needed once; the tests only read
them.

With torch 2.13:  python make_files.py torch
With MindSpore 2.10, afterwards:  python make_files.py mindspore
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def by_torch() -> None:
    """A state dict in both formats, nested in a training script's dictionary, and a TorchScript
    module.
    """
    import torch

    torch.manual_seed(0)
    base = torch.randn(10)
    state = {
        "a.weight": torch.randn(3, 4), "a.transposed": torch.randn(5, 6).T,
        "half": torch.randn(7).half(),
        "brain": torch.randn(2, 3).bfloat16(), "scalar": torch.tensor(4.6),
        "whole": torch.arange(6).reshape(1, 6),
        "middle": base[2:5], "base": base, "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }  # fmt: skip
    torch.save(state, HERE / "new.pth")
    torch.save(state, HERE / "old.pth", _use_new_zipfile_serialization=False)
    training = {"state_dict": state, "epoch": 3, "moments": [torch.ones(3)]}
    torch.save(training, HERE / "training.pth")
    torch.save(training, HERE / "training_old.pth", _use_new_zipfile_serialization=False)
    np.savez(
        HERE / "torch.npz",
        **{name: tensor.detach().float().numpy() for name, tensor in state.items()},
    )
    parts = [torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Sequential(torch.nn.Linear(4, 2))]
    script = torch.jit.trace(torch.nn.Sequential(*parts).half().float(), torch.zeros(1, 3))
    script.half().save(HERE / "script.pt")
    np.savez(
        HERE / "script.npz",
        **{name: t.detach().float().numpy() for name, t in script.state_dict().items()},
    )


def by_mindspore() -> None:
    """A checkpoint with and one without a checksum."""
    import mindspore as ms

    random = np.random.RandomState(0)
    arrays = {
        "ln.gamma": random.randn(3, 4).astype(np.float32),
        "half": random.randn(5).astype(np.float16),
        "scalar": np.float32(4.6).reshape(()), "whole": np.arange(6, dtype=np.int64),
    }  # fmt: skip
    saved: list[dict[str, Any]] = [
        {"name": name, "data": ms.Tensor(array)} for name, array in arrays.items()
    ]
    ms.save_checkpoint(saved, str(HERE / "plain.ckpt"))
    ms.save_checkpoint(saved, str(HERE / "checked.ckpt"), crc_check=True)
    np.savez(HERE / "mindspore.npz", **arrays)


if __name__ == "__main__":
    {"torch": by_torch, "mindspore": by_mindspore}[sys.argv[1]]()
