"""How well the detectors of `split` find cuts, dissolves and fades, and what they cost.

    python -m benchmarks.shots [--changes 10] [--footage FOLDER] [--models FOLDER]
        [--detectors learned,gated] [--kinds fade]

Draws the films of benchmarks/films.py: shots of paintings, photographs and, where the folder has
them, pieces of real footage, joined by hard cuts, dissolves, fades and wipes; with flashes, whip
pans, shaking, standing still; a frame a second, variable rates; and long shots, as of talks,
streets and nature. For each kind and detector: the changes found, of those drawn, and the cuts
where none is; precision, recall, F1; CPU milliseconds a frame with decoding, and the share of the
frames that the network is asked about. Then cuts, dissolves and fades together, and long shots
together. The last line is a JSON object.

As context, not measured here: TransNetV2's authors report F1 of 0.779 on ClipShots, 0.962 on BBC
and 0.939 on RAI (arXiv 2008.04838, table 1).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.media import write_video

from benchmarks.films import Film, Studio, judged, long, others
from curate.configs.settings import Settings, load_settings
from curate.tasks.models.transnet import CONTEXT, WINDOW, Frames, TransNet
from curate.tasks.split import Split
from curate.tasks.stage import Context, Video

DETECTORS = ("adaptive", "content", "learned", "gated")
NEAR = 3  # frames by which a change may be off: a flash hides the very frame


class Counted:
    """A network that counts the windows it is asked about."""

    def __init__(self, network: TransNet) -> None:
        self._network = network
        self.window = network.window
        self.windows = 0

    def predict(self, frames: Frames) -> object:
        """As `TransNet.predict`."""
        self.windows += 1
        return self._network.predict(frames)


@dataclass
class Tally:
    """What a detector made of films."""

    drawn: int = 0
    found: int = 0
    wrong: int = 0  # cuts where no change is, or a second one at a change
    frames: int = 0
    cpu_seconds: float = 0.0
    asked: int = 0  # frames that the network is asked about

    def add(self, other: Tally) -> None:
        """Count what another one counted, too."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def report(self) -> dict[str, float | None]:
        """Precision, recall and F1, None where they are of nothing; costs; and the counts."""
        cuts = self.found + self.wrong
        precision = self.found / cuts if cuts else None
        recall = self.found / self.drawn if self.drawn else None
        both = self.drawn + cuts
        f1 = 2 * self.found / both if self.drawn else None
        figures = {"precision": precision, "recall": recall, "f1": f1}
        return {
            "drawn": self.drawn, "found": self.found, "wrong": self.wrong,
            **{key: None if value is None else round(value, 4) for key, value in figures.items()},
            "cpu_ms_a_frame": round(1000 * self.cpu_seconds / self.frames, 2),
            "asked": round(self.asked / self.frames, 3),
        }  # fmt: skip


def find(film: Film, detector: str, folder: Path, models: Path) -> tuple[list[int], Tally]:
    """The cuts of `split` in a film, with scenes of 0.2 s and longer, and what they cost."""
    path = write_video(folder / "film.mkv", film.frames, film.encoding)
    values = {"detector": detector, "max_seconds": None, "min_scene_len": "0.2s"}
    options = Split.Options.model_validate({**values, "min_seconds": 0})
    stage = Split(options, Context(Settings(home=folder, models=models)))
    stage.load()
    counted = None
    if stage._network is not None:
        stage._network = counted = Counted(stage._network)
    started = time.process_time()
    clips = stage.run(Video(1, 1, str(path), path.name, {})).clips
    spent = time.process_time() - started
    asked = counted.windows * (WINDOW - 2 * CONTEXT) if counted else 0
    count = len(film.frames)
    cuts = [int(str(clip.scores["start_frame"])) for clip in clips][1:]
    return cuts, Tally(frames=count, cpu_seconds=spent, asked=min(asked, count))


def matched(changes: Sequence[tuple[int, int]], cuts: Sequence[int]) -> tuple[int, int]:
    """How many changes are found, and how many cuts lie at none or are a second one at one."""
    left, right = list(cuts), 0
    for first, after in changes:
        at = [cut for cut in left if first - NEAR <= cut <= after + NEAR]
        if at:
            right += 1
            left.remove(at[0])
    return right, len(left)


def judge(films: Sequence[Film], detector: str, models: Path) -> Tally:
    """What a detector makes of the films of a kind."""
    total = Tally()
    for film in films:
        with tempfile.TemporaryDirectory() as folder:
            cuts, tally = find(film, detector, Path(folder), models)
        tally.drawn = len(film.changes)
        tally.found, tally.wrong = matched(film.changes, cuts)
        total.add(tally)
    return total


def line(kind: str, detector: str, tally: Tally) -> str:
    """A line of the table."""
    figures = tally.report()
    shown = [figures[key] for key in ("precision", "recall", "f1")]
    cells = "".join("       -" if value is None else f"{value:8.3f}" for value in shown)
    counts = f"{tally.drawn:6}{tally.found:7}{tally.wrong:7}"
    cost = f"{figures['cpu_ms_a_frame']:9.2f}{figures['asked']:8.2f}"
    return f"{kind:20} {detector:9}{counts}{cells}{cost}"


def main() -> None:
    """Print a line for each kind and detector, then those of all together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--footage", type=Path, default=Path("../shared/videos"))
    parser.add_argument("--models", type=Path, default=load_settings().model_folder)
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    parser.add_argument("--kinds", default="", help="only those whose names hold this")
    arguments = parser.parse_args()
    detectors = arguments.detectors.split(",")
    studio = Studio(arguments.footage)
    groups = {
        "judged": judged(studio, arguments.changes),
        "others": others(studio, arguments.changes),
        "long": long(studio),
    }
    print(f"{'kind':20} {'detector':9}{'drawn':>6}{'found':>7}{'wrong':>7}", end="")
    print("  precis  recall      F1   ms/frame  asked")
    report: dict[str, dict[str, object]] = {}
    for group, kinds in groups.items():
        totals = {name: Tally() for name in detectors}
        for kind, draw in kinds.items():
            films = draw() if arguments.kinds in kind else []
            for name in detectors if films else ():
                tally = judge(films, name, arguments.models)
                totals[name].add(tally)
                report.setdefault(kind, {})[name] = tally.report()
                print(line(kind, name, tally), flush=True)
        for name, tally in totals.items() if totals[detectors[0]].frames else ():
            report.setdefault(f"all {group}", {})[name] = tally.report()
            print(line(f"all {group}", name, tally))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
