"""Options that name a stage or an error of a dataset."""

from __future__ import annotations

import pytest

from curate.cli.shared.known import known_error, known_stage
from curate.configs.errors import UsageError
from curate.worker.session.database import open_dataset
from curate.worker.session.home import HomeSession
from tests.cli.conftest import Filled


def test_a_stage_of_another_pipeline_is_refused(filled: Filled) -> None:
    opened = open_dataset(HomeSession(), "pets")
    assert known_stage(opened, "cut") == "cut"
    assert known_stage(opened, None) is None
    with pytest.raises(UsageError, match="--stage lpips: dataset pets has the stages probe, split"):
        known_stage(opened, "lpips")


def test_an_error_that_no_row_can_have_failed_with_is_refused(filled: Filled) -> None:
    opened = open_dataset(HomeSession(), "pets")
    assert known_error(opened, "EmptyFile") == "EmptyFile"
    with pytest.raises(UsageError, match="--error EmptyFil"):
        known_error(opened, "EmptyFil")
