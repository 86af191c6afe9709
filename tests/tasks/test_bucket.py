"""The stage bucket: a clip's columns decide, and a clip that fits none can be filtered."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.configs.pipeline import parse
from curate.configs.settings import Settings
from curate.tasks.bucket import Bucket, BucketOptions
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context, Scores, Video
from tests.pipelines import CATALOG, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")
TABLE = ["48x80x9", "80x48x9", "48x80x25", "96x160x9"]


def score(columns: dict[str, Any], **options: Any) -> Scores:
    stage = Bucket(BucketOptions(table=TABLE, **options), Context(Settings()))
    video = Video(1, 1, "/v/a.mp4", "a.mp4", {})
    values = {"height": 100, "width": 160, "num_frames": 30, "fps": 25.0} | columns
    return stage.score(Clip(1, 1, 0, video, 0, 120, Fraction(1, 100), values, Path()))


def test_a_clip_s_size_and_frames_decide() -> None:
    found = score({})
    assert found == {"bucket": "96x160x9", "bucket_lost": pytest.approx(0.04), "no_bucket": None}
    assert score({"height": 60, "width": 100})["bucket"] == "48x80x25"
    assert score({"height": 160, "width": 100})["bucket"] == "80x48x9"


def test_frames_are_counted_at_the_rate_of_cut() -> None:
    # 1.2 seconds
    assert score({"height": 60, "width": 100}, fps=8)["bucket"] == "48x80x9"
    assert score({"height": 60, "width": 100}, fps=30)["bucket"] == "48x80x25"
    assert score({}, fps=5)["no_bucket"] == "too_short"


def test_an_image_has_one_frame_at_any_rate() -> None:
    image = {"num_frames": 1, "fps": None}
    assert score(image, fps=24)["no_bucket"] == "too_short"


def test_a_clip_that_fits_none_has_a_reason() -> None:
    small = score({"height": 40})
    assert small == {"bucket": None, "bucket_lost": None, "no_bucket": "too_small"}
    assert score({"height": 50, "width": 300})["no_bucket"] == "other_aspect"
    assert score({"height": 50, "width": 300}, max_lost=1)["bucket"] == "48x80x25"
    assert score({"height": 46, "width": 80})["no_bucket"] == "too_small"
    assert score({"height": 46, "width": 80}, enlarge=1.1)["bucket"] == "48x80x25"


def test_the_table_is_frozen_as_names_of_buckets() -> None:
    steps = [{"stage": "probe"}, {"stage": "split"}, {"stage": "bucket", "table": "480p"}]
    frozen = parse(steps, stages(), "test").frozen()
    assert frozen[-1]["table"][:2] == ["480x832x25", "480x832x49"]
    assert parse(frozen, stages(), "test").frozen() == frozen


def test_without_a_table_or_with_a_wrong_one_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="table: 256p"):
        Bucket.check(BucketOptions())
    with pytest.raises(ValidationError, match="did you mean 480p"):
        BucketOptions(table="480")  # type: ignore[arg-type]


def test_a_filter_keeps_the_clips_that_have_a_bucket_and_none_vanishes(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "bucket", Bucket)
    steps = [{"stage": "bucket", "table": TABLE}, "in_bucket: bucket IS NOT NULL"]
    line = make_line(database_url, home, steps)
    ids = line.put_clips(3, "bucket")
    with line.engine.begin() as connection:
        for clip, (height, frames) in zip(ids, [(96, 30), (40, 30), (96, 8)], strict=True):
            values = {"id": clip, "h": height, "n": frames}
            connection.execute(
                text("UPDATE clips SET height=:h, width=160, num_frames=:n, fps=25 WHERE id=:id"),
                values,
            )
    run_all(line, "bucket")
    found = line.rows("SELECT bucket, no_bucket, status, reason FROM clips ORDER BY id")
    assert found == [
        ("96x160x9", None, "kept", None),
        (None, "too_small", "dropped", "in_bucket"),
        (None, "too_short", "dropped", "in_bucket"),
    ]
