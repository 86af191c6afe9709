"""What is added to a text."""

from __future__ import annotations

import json
import subprocess
import sys

from curate.tasks.text import extras

SCORES = [("aesthetic score", 5.06), ("motion score", 2.0)]


def test_camera_motion_is_added_and_an_unknown_one_is_not() -> None:
    assert extras.with_motion("A dog.", "pan_left") == "A dog. Camera motion: pan left."
    assert extras.with_motion("A dog.", "Zoom_In") == "A dog. Camera motion: zoom in."
    for label in ("pan_left+tilt_up", "dolly", "", None):
        assert extras.with_motion("A dog.", label) == "A dog."


def test_scores_are_added_by_chance_that_depends_on_the_key_only() -> None:
    made = {key: extras.with_scores("A dog.", SCORES, str(key)) for key in range(2000)}
    assert made[7] == extras.with_scores("A dog.", SCORES, "7")
    both = sum("aesthetic score: 5.1, motion score: 2.0]" in text for text in made.values())
    none = sum(text == "A dog." for text in made.values())
    assert 0.60 < both / 2000 < 0.68  # .8 * .8
    assert 0.02 < none / 2000 < 0.06  # .2 * .2
    assert extras.with_scores("A dog.", [("aesthetic score", None)], "7", 1) == "A dog."


def test_another_process_chooses_the_same() -> None:
    script = "from curate.tasks.text.extras import with_scores; import sys, json;"
    script += (
        "print(json.dumps([with_scores('', json.loads(sys.argv[1]), str(k)) for k in range(50)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(SCORES)], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [extras.with_scores("", SCORES, str(k)) for k in range(50)]


def test_a_text_is_added() -> None:
    assert extras.with_text("A dog.", " High quality. ") == "A dog. High quality."
    assert extras.with_text("A dog.", " ") == "A dog."
