"""Makes the pictures of docs/view.md: draws videos, runs curate on them, looks at the pages.

Run it with: PYTHONPATH=src python docs/screenshots.py

It needs playwright and a Chromium (apt-get install chromium).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
CURATE = (sys.executable, "-m", "curate.cli.main")
PIPELINE = """
pipeline:
  - probe
  - split
  - dedup
  - filter: unique
    where: duplicate = 0
  - motion
  - filter: moving
    where: flow >= 2 AND static <= 0.5
  - filter: bright
    where: black <= 0.5
  - cut
"""


def draw(path: Path, speed: float, hue: int, light: float) -> None:
    """A video of three seconds: discs that move over a coloured ground."""
    size = (320, 180)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
    rng = np.random.default_rng(hue)
    discs = [(rng.uniform(0, 1, 2), rng.uniform(-1, 1, 2), rng.integers(8, 40)) for _ in range(12)]
    for number in range(75):
        hsv = np.full((180, 320, 3), (hue, 110, 70 * light), np.uint8)
        hsv[..., 2] += (np.arange(320) * 0.4 * light).astype(np.uint8)
        for place, way, radius in discs:
            x, y = (place + way * speed * number / 400) % 1 * size
            colour = (int(hue + radius * 3) % 180, 180, int(230 * light))
            cv2.circle(hsv, (int(x), int(y)), int(radius), colour, -1, cv2.LINE_AA)
        writer.write(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))
    writer.release()


def take(page: Page, base: str) -> None:
    """Look at the pages, one after the other."""
    FOLDER.mkdir(exist_ok=True)
    for name in ("funnel", "scores", "clips"):
        page.goto(f"{base}#{name}")
        page.wait_for_selector(f"body[data-ready={name}]")
        if name == "scores":
            field = page.get_by_label("flow >=, threshold of moving")
            field.fill("12")
            field.press("Enter")
            page.locator(".changed .card").first.wait_for()
        page.wait_for_timeout(1500)  # pictures
        page.screenshot(path=FOLDER / f"view-{name}.png")


def main() -> None:
    """Make all pictures."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        videos = Path(folder) / "videos"
        videos.mkdir()
        os.environ["CURATE_HOME"] = f"{folder}/home"  # the commands in the pictures name no --home
        for number in range(24):
            light = 0.05 if number % 8 == 7 else 1.0
            draw(videos / f"video-{number:02}.mp4", number**1.5 / 6, number * 7 % 180, light)
        shutil.copy(videos / "video-12.mp4", videos / "video-12-copy.mp4")
        (videos / "broken.mp4").write_text("no video")
        pipeline = Path(folder) / "pipeline.yaml"
        pipeline.write_text(PIPELINE)
        words = ("run", str(videos), "-c", str(pipeline), "-o", f"{folder}/clips.csv")
        subprocess.run([*CURATE, *words, "--name", "drawn"], check=False)  # noqa: S603
        server = subprocess.Popen(  # noqa: S603
            [*CURATE, "view", "--no-open", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(url)
            take(page, url.partition("?")[0])
            browser.close()
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
