"""The stages that run networks, on good and bad clips: ``python -m tests.tasks.scorers.cases HOME
RESULT.json``.

One process for all, for MindSpore takes seconds to start. Tests say what the found numbers must be.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from curate.configs.settings import Settings
from curate.db.save.batch import Outcomes
from curate.tasks.clip_embed import ClipEmbed
from curate.tasks.lpips import Lpips
from curate.tasks.match import Match
from curate.tasks.models import preprocess, towers, vgg
from curate.tasks.option_match import OptionMatch
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Stage, Video
from curate.tasks.video.samples import Samples
from curate.worker.outcomes import run_rows
from tests import tiny
from tests.children import main, said
from tests.media import Encoding, footage, picture, write_image, write_video

MADE: list[Stage[Any, Any]] = []  # held, so that towers are compiled once
LOST = 90  # a clip whose samples are not there
SIDE = 32  # of LPIPS' squares: what it finds does not matter here


@cache
def settings() -> Settings:
    """Of a home folder with the tiny models in it."""
    home = Path(sys.argv[1])
    tiny.write_all(home / "models")
    return Settings(home=home, device="CPU")


@cache
def clips() -> dict[str, Clip]:
    """Three scenes, a picture of one pixel, a strip of 1 x 400 as picture and as video, a clip
    without samples.
    """
    home = settings().folder
    drawn = write_video(home / "drawn.mp4", footage(150, (50, 100)))
    noise = np.random.default_rng(0).integers(0, 256, (1, 400, 3), np.uint8)
    moving = [np.roll(noise, 3 * n, axis=1) for n in range(60)]
    thin = write_video(home / "thin.mkv", moving, Encoding("ffv1", pix_fmt="yuv444p"))
    dot = write_image(home / "dot.png", picture(5)[:1, :1])
    strip = write_image(home / "strip.png", picture(5, size=(400, 96))[:1])
    found = {f"scene {n}": clip for n, clip in enumerate(clips_of(drawn, 1))}
    found |= {
        "dot": clips_of(dot, 2)[0],
        "strip": clips_of(strip, 3)[0],
        "thin": clips_of(thin, 4)[0],
    }
    return found | {
        "lost": replace(found["dot"], id=LOST, video=Video(99, 1, "/gone.mp4", "gone.mp4", {}))
    }


def clips_of(path: Path, number: int) -> list[Clip]:
    """The clips of a file as split finds them; their samples are written. An id is 10 * number +
    index.
    """
    probed = {"media_type": "image" if path.suffix == ".png" else "video"}
    video = Video(number, 1, str(path), path.name, probed)
    made = Split(Split.Options(min_seconds=0.0), Context(settings())).run(video).clips
    return [
        Clip(10 * number + new.index, 1, new.index, video, new.start_pts, new.end_pts, Fraction(1),
             {"text": None}, settings().samples)
        for new in made
    ]  # fmt: skip


def several(*names: str) -> list[Clip]:
    """Clips by their names."""
    return [clips()[name] for name in names]


def ready(cls: type[Stage[Any, Any]], **options: Any) -> Any:
    """A stage, loaded."""
    stage = cls(cls.Options(**options), Context(settings()))
    stage.load()
    MADE.append(stage)
    return stage


def shown(findings: Outcomes) -> dict[str, Any]:
    """What would reach rows, as JSON; bytes as hexadecimal text."""
    tables = {
        str(i): [dict(row) for part in parts for row in part.rows]
        for i, parts in findings.tables.items()
    }
    for row in (row for rows in tables.values() for row in rows if "vector" in row):
        row["vector"] = row["vector"].hex()
    failed = {str(i): list(why) for i, why in findings.failed.items()}
    return {
        "scores": {str(i): dict(s) for i, s in findings.scores.items()},
        "failed": failed,
        "tables": tables,
    }


@cache
def embedded(frames: int = 3) -> dict[str, Clip]:
    """The clips with their embeddings, as a claim would give them to a stage."""
    names = [name for name in clips() if name != "lost"]
    rows = several(*names)
    found = run_rows(ready(ClipEmbed, frames=frames), rows)
    return {
        name: with_rows(row, found.tables[row.id]) for name, row in zip(names, rows, strict=True)
    }


def with_rows(row: Clip, parts: Sequence[Any]) -> Clip:
    """The clip with its rows of tables."""
    return replace(row, tables={part.table: list(part.rows) for part in parts})


def with_text(row: Clip, text: str | None) -> Clip:
    """The clip with a text."""
    return replace(row, values={"text": text})


def changed(row: Clip, **values: Any) -> Clip:
    """The clip with other values in each of its embeddings."""
    return replace(
        row, tables={"embeddings": [{**found, **values} for found in row.tables["embeddings"]]}
    )


def clip_embed_whole() -> Any:
    """Every clip there is, in one batch, and the revision of the tower."""
    stage = ready(ClipEmbed, frames=3)
    return shown(run_rows(stage, list(clips().values()))) | {"revision": stage._tower.revision}


def clip_embed_alone() -> Any:
    """The clip without samples in a batch of its own."""
    return shown(run_rows(ready(ClipEmbed), several("lost")))


def clip_embed_points() -> Any:
    """Positions and vectors of the frames of a scene, by the number of frames asked for."""
    found = {n: shown(run_rows(ready(ClipEmbed, frames=n), several("scene 0"))) for n in (1, 2, 3)}
    return {
        n: [(row["position"], row["vector"]) for row in f["tables"]["10"]] for n, f in found.items()
    }


def clip_embed_nan() -> Any:
    """Scene 1 reaches the tower as NaN."""
    rows, real = several("scene 0", "scene 1", "scene 2"), preprocess.pixels
    bad = rows[1].samples.at(0.5)

    def broken(frame: Any, spec: Any) -> Any:
        made = real(frame, spec)
        return made * np.nan if np.array_equal(frame, bad) else made

    stage = ready(ClipEmbed)
    sound = shown(run_rows(stage, rows))
    with mock.patch.object(preprocess, "pixels", broken):
        return {"sound": sound, "broken": shown(run_rows(stage, rows))}


def option_match(**options: Any) -> Any:
    """What option_match finds for the scenes."""
    stage = ready(OptionMatch, **options)
    return shown(
        run_rows(stage, [row for name, row in embedded().items() if name.startswith("scene")])
    )


def option_match_another_text() -> Any:
    """The same with a text more, and no image tower made meanwhile."""
    embedded()
    with mock.patch.object(
        towers, "image_tower", side_effect=AssertionError("an image tower was made")
    ):
        first = option_match(texts=["a dog", "a cat"])
        second = option_match(texts=["a dog", "a cat", "a red bus"])
    return {"first": first, "second": second}


def option_match_prompts() -> Any:
    """A text in a prompt, and the whole as a text; braces in a text stay what they are."""
    return {
        "in prompt": option_match(texts=["dog {x} {}"], prompt="a photo of {}"),
        "as text": option_match(texts=["a photo of dog {x} {}"]),
        "bare": option_match(texts=["dog {x} {}"]),
    }  # fmt: skip


def bad_embeddings(stage: Stage[Any, Any]) -> Any:
    """A stage on a good clip between those without, of another revision, of another model, and of
    NaN.
    """
    good, other = embedded()["scene 0"], embedded()["scene 1"]
    nan = np.full(768, np.nan, np.float16).tobytes()
    rows = [
        replace(good, id=1, tables={}), changed(replace(good, id=2), revision="other"), good,
        changed(replace(other, id=3), model="another"), changed(replace(other, id=4), vector=nan),
    ]  # fmt: skip
    return shown(run_rows(stage, [with_text(row, "a dog") for row in rows]))


def match_texts() -> Any:
    """Clips of one picture with several texts, then a batch in which nobody has one."""
    row, stage = embedded()["scene 0"], ready(Match)
    texts = ["a dog", None, "", "  \n", "a dog ", "dog " * 500, "\u732b \U0001f600 \ud800"]
    rows = [replace(with_text(row, text), id=n) for n, text in enumerate(texts)]
    with mock.patch.object(stage._tower, "embed", side_effect=stage._tower.embed) as embed:
        found = [shown(run_rows(stage, rows)), shown(run_rows(stage, rows[1:3]))]
    return {"found": found, "texts embedded": [len(call.args[0]) for call in embed.call_args_list]}


def match_long() -> Any:
    """A caption of three sentences, cut or by sentences, and each of them alone; curly quotes,
    repaired or not.
    """
    row = embedded()["scene 0"]
    sentences = ["a dog " * 60 + ".", "The sea.", "Two red cars?"]

    def score(text: str, column: str = "match", **options: Any) -> Any:
        found = shown(run_rows(ready(Match, **options), [with_text(row, text)]))
        return found["scores"]["10"][column]

    whole = " ".join(sentences)
    return {
        "cut": score(whole), "first": score(sentences[0]), "best": score(whole, long="sentences"),
        "lowest": score(whole, "match_lowest", long="sentences"),
        "lowest of a cut one": score(whole, "match_lowest"),
        "alone": [score(sentence) for sentence in sentences],
        "curly": score("it\u2019s &amp;amp; \u201ca\u201d dog"),
        "repaired": score("it\u2019s &amp;amp; \u201ca\u201d dog", repair=True),
        "plain": score('it\'s & "a" dog'),
    }  # fmt: skip


def match_captions() -> Any:
    """Two captions of which one was cleaned, and an empty one, scored one by one; then a clip
    without a caption.
    """
    row = embedded()["scene 0"]
    same = {
        "revision": "",
        "prompt": "",
        "tokens": None,
        "seconds": None,
        "match": None,
        "created_at": 1.0,
        **dict.fromkeys(("window_start_pts", "window_end_pts", "summary")),
    }
    said = [("m", "raw one", "a dog"), ("n", "the sea", None), ("o", " ", None)]
    told = [
        {**same, "id": n, "model": m, "text_raw": raw, "text": t}
        for n, (m, raw, t) in enumerate(said)
    ]
    with_captions = replace(row, tables={**row.tables, "captions": told})
    pixels = [
        {**row.tables["embeddings"][0], "frame": n, "position": (1 + 2 * n) / 4} for n in (0, 1)
    ]
    pixels[1]["vector"] = embedded()["scene 1"].tables["embeddings"][0]["vector"]
    span = row.end_pts - row.start_pts
    edges = [row.start_pts + span * n // 4 for n in (0, 2, 3, 4)]
    windows = [
        {**told[1], "id": n, "window_start_pts": start, "window_end_pts": end}
        for n, (start, end) in enumerate(pairwise(edges))
    ]
    windowed = replace(row, tables={"embeddings": pixels, "captions": windows})
    stage = ready(Match, captions="all")
    alone = [
        shown(run_rows(ready(Match), [with_text(row, text)]))["scores"]["10"]["match"]
        for text in ("a dog", "the sea")
    ]
    return {
        "alone": alone, "found": shown(run_rows(stage, [with_captions])),
        "windows": shown(run_rows(stage, [windowed])),
        "of frames": [
            shown(run_rows(ready(Match), [with_text(one, "the sea")]))["scores"]["10"]["match"]
            for one in [replace(row, tables={"embeddings": [picture]}) for picture in pixels]
        ],
        "none": shown(run_rows(stage, [replace(row, tables={**row.tables, "captions": []})])),
    }  # fmt: skip


def match_is_option_match() -> Any:
    """The same text by both stages."""
    row = with_text(embedded()["scene 0"], "a dog")
    return [
        shown(run_rows(ready(Match), [row])),
        shown(run_rows(ready(OptionMatch, texts=["a dog"]), [row])),
    ]


def lpips_whole() -> Any:
    """Every clip, and how often pictures went through the network for a scene, and how many frames
    it has.
    """
    stage = ready(Lpips, side=SIDE)
    found = shown(run_rows(stage, list(clips().values())))
    with mock.patch.object(
        vgg.LpipsNetwork, "features", autospec=True, side_effect=vgg.LpipsNetwork.features
    ) as features:
        run_rows(stage, several("scene 0"))
    passes = sum(len(call.args[1]) for call in features.call_args_list)
    return found | {"passes": passes, "frames": len(clips()["scene 0"].samples.times)}


def lpips_still_scene() -> Any:
    """A scene in which nothing moves, with a frame a second."""
    samples = clips()["scene 0"].samples
    with mock.patch.object(Samples, "frame", lambda self, n: samples.middle()):
        return shown(run_rows(ready(Lpips, side=SIDE), several("scene 0")))


def lpips_nan() -> Any:
    """The network gives NaN for one clip."""
    stage, real = ready(Lpips, side=SIDE), vgg.LpipsNetwork.distance
    found = iter([float("nan")] * (len(clips()["scene 0"].samples.times) - 1))
    with mock.patch.object(
        vgg.LpipsNetwork, "distance", lambda self, a, b: next(found, None) or real(self, a, b)
    ):
        return shown(run_rows(stage, several("scene 0", "scene 1")))


def wrong_folder() -> Any:
    """What loading says when the model folder was emptied after enqueue."""
    return [
        said(lambda: ready(ClipEmbed, model="nowhere")),
        said(lambda: ready(OptionMatch, model="nowhere", texts="x")),
        said(lambda: ready(Match, model="nowhere")), said(lambda: ready(Lpips, model="nowhere")),
    ]  # fmt: skip


CASES = {
    "clip_embed": clip_embed_whole, "clip_embed alone": clip_embed_alone,
    "clip_embed points": clip_embed_points,
    "clip_embed nan": clip_embed_nan, "option_match more": option_match_another_text,
    "option_match prompts": option_match_prompts,
    "option_match keep": lambda: option_match(texts=["a dog", "a cat", "a red bus"], keep=2),
    "option_match bad": lambda: bad_embeddings(ready(OptionMatch, texts=["a dog"])),
    "match bad": lambda: bad_embeddings(ready(Match)), "match texts": match_texts,
    "match long": match_long, "match captions": match_captions,
    "match option_match": match_is_option_match,
    "lpips": lpips_whole, "lpips still": lpips_still_scene,
    "lpips nan": lpips_nan, "wrong folder": wrong_folder,
}  # fmt: skip

if __name__ == "__main__":
    held = towers.text_tower(
        settings().model_folder / tiny.CLIP, "CPU", "auto"
    )  # option_match only loads with it
    main(CASES)
