"""Rows a CPU second and memory of cleaning captions: `clean: safe`, `clean: t5`, and t5 as a column
of pandas.

    python benchmarks/clean.py [--rows 20000]

The captions are drawn from a few words with the marks and mistakes that captions have; one in five
has something to mend. Each way runs in a process of its own, over the same captions: the first two
one by one, as a stage does, and the last as the scripts did that curate replaces, all of them in a
column, `apply` twice. Memory is what the process has taken beyond its start, after a tenth of the
rows and at the end. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WAYS = ("safe", "t5", "t5_pandas")
WORDS = (
    "a", "the", "man", "woman", "dog", "child", "car", "street", "beach", "red", "blue", "old",
    "wooden", "small", "large", "walks", "runs", "sits", "stands", "holds", "looks", "at", "on",
    "in", "near", "over", "with", "while", "camera", "moves", "slowly", "closely", "epsom",
    "shipping", "container", "downloading", "page", "light", "water",
)  # fmt: skip
BROKEN = (
    "cafÃ©", "&amp;amp;", "<b>bold</b>", "http://x.y/z?q=1", "“quoted”", "wow!!!", "photo.jpg",
    "你好", "jc6640vc", "100x200", "it\u2019s", "@user", "...", "#12345", "sky.cows",
)  # fmt: skip


def captions(rows: int) -> Iterator[str]:
    """As many captions of 20 to 80 words, the same on every call."""
    draw = random.Random(1)
    for _ in range(rows):
        words = draw.choices(WORDS, k=draw.randint(20, 80))
        if draw.random() < 0.2:
            words[draw.randrange(len(words))] = draw.choice(BROKEN)
        yield f"The video shows {' '.join(words)}."


def memory() -> float:
    """Megabytes that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def one_by_one(way: str, rows: int) -> dict[str, float]:
    """Clean caption by caption, keeping none."""
    from curate.tasks.text.safe import clean_safe
    from curate.tasks.text.t5 import clean_t5

    clean = clean_safe if way == "safe" else clean_t5
    clean("warm up “é”")
    start, began, early = memory(), time.process_time(), 0.0
    length = 0
    for number, text in enumerate(captions(rows)):
        length += len(clean(text))
        if number == rows // 10:
            early = memory() - start
    return {
        "seconds": time.process_time() - began,
        "early_mb": early,
        "mb": memory() - start,
        "length": length,
    }


def in_pandas(rows: int) -> dict[str, float]:
    """All captions in a column, each of the two passes by `apply`."""
    import pandas as pd

    from curate.tasks.text.t5 import clean_once

    clean_once("warm up “é”")
    start, began = memory(), time.process_time()
    column = pd.Series(list(captions(rows)))
    early = memory() - start
    cleaned = column.apply(clean_once).apply(clean_once)
    length = int(cleaned.str.len().sum())
    return {
        "seconds": time.process_time() - began,
        "early_mb": early,
        "mb": memory() - start,
        "length": length,
    }


def drawn(rows: int) -> float:
    """CPU seconds that making the captions takes, which every way pays."""
    began = time.process_time()
    for _ in captions(rows):
        pass
    return time.process_time() - began


def main() -> None:
    """Run each way in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000, help="captions (default 20000)")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        took = (
            in_pandas(options.rows)
            if options.way == "t5_pandas"
            else one_by_one(options.way, options.rows)
        )
        print(json.dumps(took | {"drawing": drawn(options.rows)}))
        return
    figures: dict[str, float] = {"rows": options.rows}
    for way in WAYS:
        command = [sys.executable, __file__, "--rows", str(options.rows), "--way", way]
        took = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        seconds = took["seconds"] - took["drawing"]
        figures |= {
            f"{way}_rows_per_cpu_second": round(options.rows / seconds),
            f"{way}_mb": round(took["mb"], 1),
        }
        figures |= {f"{way}_early_mb": round(took["early_mb"], 1), f"{way}_length": took["length"]}
        print(
            f"{way:10} {options.rows / seconds:9.0f} rows a CPU second, {took['mb']:7.1f} MB more "
            "than at the start"
        )
    figures["t5_against_pandas"] = round(
        figures["t5_rows_per_cpu_second"] / figures["t5_pandas_rows_per_cpu_second"], 3
    )
    assert figures["t5_length"] == figures["t5_pandas_length"], "the two ways of t5 differ"
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
