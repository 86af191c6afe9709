"""`musubi`: metadata.jsonl, and a dataset.toml that names it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from curate.export.format import FolderFormat, Laid, Way, json_line

FRAMES = (1, 25, 45, 81)  # 4n + 1, as the VAEs of HunyuanVideo and Wan want
MULTIPLE = 16  # of pixels
TOML = """# for --dataset_config of musubi-tuner; the size is that of the smallest clip
[general]
resolution = [{width}, {height}]
batch_size = 1
enable_bucket = true
bucket_no_upscale = true

[[datasets]]
video_jsonl_file = {jsonl}
cache_directory = {cache}
target_frames = {frames}
frame_extraction = "head"
"""


class Musubi(FolderFormat):
    """Paths are absolute, for musubi-tuner resolves others by where it is started."""

    name = "musubi"
    reader = "musubi-tuner (--dataset_config)"

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """Both files; target_frames are those of 1, 25, 45, 81 that the longest clip has."""
        smallest: tuple[int, int] | None = None
        longest = 1
        with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="") as stream:
            for clip in laid:
                path = Path(way.final) / clip.video  # an absolute one stays as it is
                names = ("video_path", "caption", *way.names)
                values = (str(path), clip.text, *clip.values)
                stream.write(json_line(names, values) + "\n")
                longest = max(longest, clip.num_frames or 1)
                if clip.width and clip.height:
                    size = (clip.width, clip.height)
                    smallest = min(smallest or size, size, key=lambda s: (s[0] * s[1], s))
        width, height = (max(MULTIPLE, n // MULTIPLE * MULTIPLE) for n in smallest or (960, 544))
        text = TOML.format(
            width=width,
            height=height,
            jsonl=json.dumps(
                f"{way.final}/metadata.jsonl"
            ),  # a basic string of TOML is one of JSON
            cache=json.dumps(f"{way.final}/cache"),
            frames=[n for n in FRAMES if n <= longest],
        )
        (folder / "dataset.toml").write_text(text, encoding="utf-8", newline="")
