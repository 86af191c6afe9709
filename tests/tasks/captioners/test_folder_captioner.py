"""What every captioner that runs here does with the frames it is given."""

from __future__ import annotations

import numpy as np
import pytest

from curate.configs.row_errors import StageError
from curate.tasks.captioners.folder_captioner import check_frames
from curate.tasks.captioners.pllava import Pllava

WRONG = {
    "float": ((1, 8, 8, 3), np.float32),
    "grey": ((1, 8, 8, 1), np.uint8),
    "none": ((0, 8, 8, 3), np.uint8),
}


@pytest.mark.parametrize("case", WRONG)
def test_frames_of_another_form_fail_their_clip(case: str) -> None:
    shape, kind = WRONG[case]
    with pytest.raises(StageError, match="pllava failed: clip 0: frames must be"):
        Pllava.captions(object.__new__(Pllava), [np.zeros(shape, kind)], "What is seen?")


def test_frames_of_the_right_form_pass() -> None:
    check_frames([np.zeros((1, 8, 8, 3), np.uint8), np.zeros((4, 2, 6, 3), np.uint8)], "pllava")
