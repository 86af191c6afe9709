"""CPU seconds a clip of each stage of a line that measures, and of all of it, against decoding.

    python -m benchmarks.signals [FOLDER] [--config quality.yaml] [--models FOLDER]

FOLDER holds videos; without one, three are drawn. A line for bare decoding by one thread, for
`split` as the default line has it, for `split` of this line, which measures what the stages behind
it need, and for each stage: CPU seconds, of a clip, and as a share of decoding. Stages whose
weights or packages are missing are named. Loading is not counted. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from tests.media import CLOSED, write_video

from benchmarks.films import Studio
from curate.configs.errors import CurateError
from curate.configs.pipeline import Pipeline, StageStep, parse, read_yaml
from curate.configs.presets import PRESETS
from curate.configs.settings import Settings, load_settings
from curate.tasks.inputs.extensions import VIDEO_EXTENSIONS
from curate.tasks.models.verify import missing
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context, Scorer, Video

Seconds = float


def spent(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    """What some work returns, and its CPU seconds."""
    started = time.process_time()
    made = work()
    return made, time.process_time() - started


def decoded(path: Path) -> int:
    """Frames of a video, decoded by one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def clips_of(videos: Iterable[Video], split: Any, context: Context) -> list[Clip]:
    """The clips of videos; their samples are written."""
    made = []
    for video in videos:
        base = Fraction(video.values["time_base_num"] or 1, video.values["time_base_den"] or 1)
        for new in split.run(video).clips:
            span = new.start_pts, new.end_pts, base
            columns = {**new.scores, "text": None}
            number = 1000 * video.id + new.index
            made.append(Clip(number, 1, new.index, video, *span, columns, context.samples))
    return made


def made(step: StageStep, context: Context) -> Any:
    """A loaded stage. Raises CurateError when it cannot run here."""
    cls: Any = stages()[step.name]
    stage = cls(step.options, context)
    stage.load()
    return stage


def measured(videos: list[Video], pipeline: Pipeline, settings: Settings) -> dict[str, Seconds]:
    """CPU seconds of each stage of a line, by name; clips are counted as `clips`."""
    context = Context(settings, pipeline)
    split = made(pipeline.by_name["split"], context)
    clips, seconds = spent(lambda: clips_of(videos, split, context))
    found = {"clips": float(len(clips)), "split": seconds}
    for step in pipeline.stages:
        cls: Any = stages()[step.name]
        if not issubclass(cls, Scorer):
            continue
        try:
            cls.check(step.options)
            if lacking := missing(cls.models(step.options), settings.model_folder):
                print(f"{step.name}: not measured: {lacking[0]}")
                continue
            stage = made(step, context)
        except CurateError as error:
            print(f"{step.name}: not measured: {error}")
            continue
        stage.score(clips[0])  # what is made once
        scored, seconds = spent(lambda stage=stage: [dict(stage.score(clip)) for clip in clips])
        found[step.name] = seconds
        for clip, scores in zip(clips, scored, strict=True):
            clip.values.update(scores)  # type: ignore[attr-defined]
    return found


def drawn(folder: Path) -> None:
    """Three films of 20 s in 720p."""
    import cv2

    for seed in range(3):
        film = Studio(folder).chain(seed, 5)
        frames = (cv2.resize(frame, (1280, 720)) for frame in film.frames)
        write_video(folder / f"{seed}.mp4", frames, CLOSED)


def main() -> None:
    """Print the table and the object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--config", default="quality.yaml")
    parser.add_argument("--models", type=Path, default=load_settings().model_folder)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = arguments.folder
        if folder is None:
            folder = Path(home) / "drawn"
            folder.mkdir()
            drawn(folder)
        settings = Settings(home=Path(home), models=arguments.models)
        paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in VIDEO_EXTENSIONS]
        steps = read_yaml(PRESETS / arguments.config)
        pipeline = parse(steps, stages(), arguments.config)
        plain = parse([{"stage": "probe"}, {"stage": "split"}], stages(), "the default line")
        probe = made(pipeline.by_name["probe"], Context(settings, pipeline))
        videos = [
            Video(
                n, 1, str(path), path.name, dict(probe.run(Video(n, 1, str(path), "", {})).scores)
            )
            for n, path in enumerate(paths, 1)
        ]
        measured(videos[:1], plain, settings)  # what is made once
        frames, decode = spent(lambda: [decoded(path) for path in paths])
        default = measured(videos, plain, settings)["split"]
        found = measured(videos, pipeline, settings)
    clips = int(found.pop("clips"))
    rows = {"decode": decode, "split of the default line": default, **found}
    rows["all of the line"] = sum(found.values())
    print(f"{len(paths)} videos, {sum(frames)} frames, {clips} clips")
    print(f"{'stage':28}{'CPU s':>8}{'a clip':>9}{'of decode':>11}")
    for name, seconds in rows.items():
        print(f"{name:28}{seconds:8.2f}{seconds / clips:9.3f}{seconds / decode:11.2f}")
    report = {name: round(seconds / clips, 4) for name, seconds in rows.items()}
    print(json.dumps({"videos": len(paths), "clips": clips, "cpu_seconds_a_clip": report}))


if __name__ == "__main__":
    main()
