"""CPU seconds and memory of the networks as a CPU runs them, against MindSpore and PyTorch, and
passes of the image tower.

    python benchmarks/clip.py [--rounds 4] [--threads N] [--size vit-b-32] [--torch-python PATH]
                              [--keep FOLDER] [--skip ENGINE]

Weights are random, CLIP's at the size of ViT-L/14. Each engine runs in a process of its own, with
the same weights, inputs, batch and threads; they take turns batch by batch, and only the one at
work runs. CPU time is user and system. PyTorch is no part of curate: without --torch-python an
environment is made for it in ~/.cache, 1 GB from the network. It is given texts padded to the
longest of the batch, as transformers pads them, and those padded to 77 tokens, as OpenAI's code and
open_clip do. The last line printed is one JSON object; outputs that differ by more than 1e-4 end it
with 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clip_engines import BATCH, TEXTS

ENGINES = {
    "image": ("curate", "torch", "mindspore"),
    "text": ("curate", "torch", "torch_77", "mindspore"),
    "long_text": ("curate", "torch", "mindspore"),
    "lpips": ("curate", "torch"),
}
WHAT = {
    "curate": "curate on a CPU: ONNX Runtime",
    "mindspore": "curate without ONNX Runtime: MindSpore, one layer compiled for all",
    "torch": "PyTorch, as transformers runs it",
    "torch_77": "PyTorch, texts padded to 77 tokens",
}
UNITS = {"image": "image", "text": "text", "long_text": "text", "lpips": "frame"}
TOLERANCE = 1e-4
TORCH = ("torch==2.13.0", "transformers==4.57.1", "safetensors", "numpy")
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"  # PyPI's torch for Linux brings CUDA along

Took = Mapping[str, float]


class Engine:
    """A process that loads a model when made, and runs a batch when told."""

    def __init__(self, line: str, models: Path, asked: argparse.Namespace) -> None:
        print(f"{time.strftime('%X')} {line}", file=sys.stderr)
        self._log = models / f"{line}.log"
        program = Path(__file__).resolve().parent / "clip_engines.py"
        python = asked.torch_python if "_torch" in line else sys.executable
        libraries = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, program, line, models],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                cwd=models,  # where MindSpore leaves what it knows of a failed compilation
                env={**os.environ, **dict.fromkeys(libraries, str(asked.threads))},
            )  # fmt: skip
        self.load = self._answer()
        self.batches: list[Took] = []

    def batch(self) -> None:
        """Run one batch and remember what it cost."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.batches.append(self._answer())

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            sys.exit(
                f"an engine ended with {self._process.wait()}:\n{self._log.read_text()[-3000:]}"
            )
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def torch_python() -> str:
    """The Python of an environment with PyTorch for the CPU, made at the first call."""
    folder = Path.home() / ".cache" / "curate-benchmarks" / TORCH[0].replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making {folder} with {', '.join(TORCH)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "--retries",
                "0",
                "--timeout",
                "10",
                "--extra-index-url",
                TORCH_INDEX,
                *TORCH,
            ],
            check=True,
        )
        (folder / "ready").touch()
    return str(python)


def prepare(models: Path, size: Any) -> None:
    """Weights and tokens, unless a folder that was kept has them."""
    import numpy as np
    from tests import tiny

    from curate.tasks.models.tokens import Tokens

    if not (models / "text.tokens.npy").exists():
        tiny.write_clip(models / "clip", size)
        tiny.write_lpips(models / "lpips")
        for part, texts in TEXTS.items():
            tokens = Tokens(models / "clip").encode(texts, 77).astype(np.int64)
            np.save(models / f"{part}.tokens.npy", tokens)


def race(part: str, models: Path, asked: argparse.Namespace) -> dict[str, Engine]:
    """The engines of a part, after their first batch and the rounds."""
    names = [name for name in ENGINES[part] if name not in asked.skip]
    engines = {name: Engine(f"{part}_{name}", models, asked) for name in names}
    for _ in range(1 + asked.rounds):
        for engine in engines.values():
            engine.batch()
    for engine in engines.values():
        engine.close()
    return engines


# ---------------------------------------------------------------- the table


def main() -> None:
    """Measure all parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--rounds", type=int, default=4, help="batches of 8 that each engine runs, after the first"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--size", choices=["vit-l-14", "vit-b-32", "tiny"], default="vit-l-14")
    parser.add_argument("--torch-python", help="a Python with torch, transformers and safetensors")
    parser.add_argument(
        "--keep", type=Path, help="an existing folder for the weights (3 GB), to use them again"
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=[name for name in WHAT if name != "curate"],
    )
    parser.add_argument(
        "--part", action="append", choices=ENGINES, help="only these networks, without the passes"
    )
    asked = parser.parse_args()
    asked.torch_python = asked.torch_python or torch_python()
    with tempfile.TemporaryDirectory() as folder:
        compare((asked.keep or Path(folder)).resolve(), asked)


def compare(models: Path, asked: argparse.Namespace) -> None:
    """Run the engines and print what they cost."""
    prepare(models, asked.size)
    print(
        f"{asked.size}, {asked.threads} threads, batches of {BATCH}, "
        f"the least and the median of {asked.rounds}"
    )
    parts = asked.part or ENGINES
    found = {part: table(part, race(part, models, asked), models) for part in parts}
    whole = {"size": asked.size, "threads": asked.threads, **found}
    if not asked.part:
        whole["passes_per_clip"] = counted(models, asked)
    print(json.dumps(whole))
    if any(part["largest_difference"] > TOLERANCE for part in found.values()):
        sys.exit(f"outputs differ by more than {TOLERANCE}")


def counted(models: Path, asked: argparse.Namespace) -> Took:
    """Pictures that went through the image tower, per clip; printed."""
    engine = Engine("passes", models, asked)
    engine.close()
    passes = engine.load
    print(
        "passes of the image tower a clip, for match_option, aes and match of "
        f"{passes['clips']:.0f} clips: {passes['curate']:g}; "
        f"when each score embeds for itself, as in the seed: {passes['each']:g}"
    )
    return passes


def table(part: str, engines: Mapping[str, Engine], models: Path) -> dict[str, Any]:
    """Print the engines of a part and return their figures."""
    found = {name: summary(engine) for name, engine in engines.items()}
    print(
        f"CPU s a {UNITS[part]:6} median   wall   load CPU s   first batch CPU s "
        "(and over the least)  peak MB"
    )
    for name, took in found.items():
        print(
            f"{took['cpu']:14.3f} {took['median_cpu']:6.3f} {took['wall']:6.3f} "
            f"{took['load_cpu']:12.1f} {took['first_cpu']:19.1f} ({took['compile_cpu']:+5.1f}) "
            f"{took['peak_mb']:21.0f}  {WHAT[name]}"
        )
    others = {
        name: ratios(engines["curate"], engine)
        for name, engine in engines.items()
        if name != "curate"
    }
    worst = difference(
        [outputs(models / f"{part}_{name}.npy") for name in engines], part != "lpips"
    )
    for name, over in others.items():
        print(
            f"  curate over {name}: {over['least']:.2f} of the least, "
            f"{over['median']:.2f} of the median"
        )
    print(f"  largest difference of two outputs: {worst:.1g}")
    return {"engines": found, "curate_over": others, "largest_difference": worst}


def summary(engine: Engine) -> dict[str, float]:
    """Seconds a unit; of loading, of the first batch, and what that took more than the least one;
    megabytes.
    """
    first, *later = engine.batches
    cpu, wall = ([took[what] for took in later] for what in ("cpu", "wall"))
    found = {
        "cpu": min(cpu) / BATCH, "median_cpu": statistics.median(cpu) / BATCH,
        "wall": min(wall) / BATCH, "load_cpu": engine.load["cpu"],
        "load_wall": engine.load["wall"], "load_mb": engine.load["mb"],
        "first_cpu": first["cpu"], "first_wall": first["wall"],
        "compile_cpu": first["cpu"] - min(cpu),
        "peak_mb": later[-1]["mb"],
    }  # fmt: skip
    return {name: round(value, 4) for name, value in found.items()}


def ratios(ours: Engine, other: Engine) -> dict[str, float]:
    """Our CPU seconds over those of another engine."""
    mine, others = ([took["cpu"] for took in engine.batches[1:]] for engine in (ours, other))
    return {
        name: round(of(mine) / of(others), 3)
        for name, of in (("least", min), ("median", statistics.median))
    }


def outputs(path: Path) -> Any:
    """The outputs of an engine."""
    import numpy as np

    return np.load(path)


def difference(outputs: Sequence[Any], lengths: bool) -> float:
    """The largest difference of any number between any two engines; of features of length 1 when
    `lengths`.
    """
    import numpy as np

    every = [o / np.linalg.norm(o, axis=1, keepdims=True) for o in outputs] if lengths else outputs
    return max(
        (float(np.abs(a - b).max()) for a, b in itertools.combinations(every, 2)), default=0.0
    )


if __name__ == "__main__":
    main()
