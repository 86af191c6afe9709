"""Two homes with one CURATE_MEDIA do not take each other's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from curate.configs.errors import ServiceError, UsageError
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.worker.session.folders import MARK, claim_folder, mark_of, refuse_foreign

PETS = Dataset(1, "pets", "/videos", "", folder="pets", created_at=1.5)


@pytest.fixture(params=["folder", "url"])
def media(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "media" if request.param == "folder" else f"memory://{tmp_path.name}"


def test_the_first_home_has_the_folder(media: Path | str, tmp_path: Path) -> None:
    ours = Settings(home=tmp_path / "ours", media=media)
    theirs = Settings(home=tmp_path / "theirs", media=media)
    assert refuse_foreign(ours, PETS) is False
    claim_folder(ours, PETS)
    assert refuse_foreign(ours, PETS) is True
    other = replace(PETS, created_at=2.5)
    for refused in (claim_folder, refuse_foreign):
        with pytest.raises(UsageError, match=f"CURATE_MEDIA.*remove {MARK}"):
            refused(theirs, other)
    assert refuse_foreign(theirs, replace(other, folder="pets-2")) is False


def test_the_same_dataset_may_come_from_a_home_that_was_moved(
    media: Path | str, tmp_path: Path
) -> None:
    claim_folder(Settings(home=tmp_path / "before", media=media), PETS)
    assert refuse_foreign(Settings(home=tmp_path / "behind", media=media), PETS) is True


def test_a_home_whose_database_was_thrown_away_begins_anew(
    media: Path | str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "ours", media=media)
    claim_folder(settings, PETS)
    again = replace(PETS, created_at=2.5)
    claim_folder(settings, again)
    assert refuse_foreign(settings, again) is True


def test_a_mark_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "ours", media=tmp_path / "media")
    Path(mark_of(settings, PETS)).mkdir(parents=True)
    for refused in (claim_folder, refuse_foreign):
        with pytest.raises(ServiceError, match=f"{MARK}: Is a directory"):
            refused(settings, PETS)


def test_clips_below_the_home_need_no_mark(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    claim_folder(settings, PETS)
    assert refuse_foreign(settings, PETS) is None
    assert not Path(mark_of(settings, PETS)).exists()
