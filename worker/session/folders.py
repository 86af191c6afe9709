"""Whose the folder of a dataset's clips is: two homes with one CURATE_MEDIA do not share it.

A file in the folder names the dataset. None is written where the clips are below the home.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from curate.configs.errors import ServiceError, UsageError
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import Location, below, home_text, replacing
from curate.tasks.storage.remote import file_system, store_errors

MARK = ".curate-dataset.json"


def claim_folder(settings: Settings, dataset: Dataset) -> None:
    """Mark the folder of a dataset's clips as its own. Raises as `refuse_foreign`."""
    if refuse_foreign(settings, dataset) is not False:
        return
    mark = {"dataset": dataset.name, "id": dataset.id, "made_at": dataset.created_at}
    location = mark_of(settings, dataset)
    try:
        with replacing(location) as temporary:
            temporary.write_text(json.dumps(mark | {"home": _home(settings)}))
    except OSError as error:
        why = error.strerror or error
        raise ServiceError(what=f"The folder of clips {location}", why=why) from None


def refuse_foreign(settings: Settings, dataset: Dataset) -> bool | None:
    """Raise UsageError where another home has marked the folder, ServiceError where that cannot be
    told. Returns whether this dataset has marked it; None where none needs to.
    """
    media = settings.clips
    if isinstance(media, Path) and media.is_relative_to(settings.folder):
        return None
    mark = _read(mark_of(settings, dataset))
    if mark.get("id") == dataset.id and mark.get("made_at") == dataset.created_at:
        return True
    if mark and mark.get("home") != _home(settings):  # else its database was thrown away
        owner = f"dataset {mark.get('dataset')} of the home {mark.get('home')}"
        folder = to_text(str(below(media, dataset.folder)))
        raise UsageError(
            what=f"The clips of dataset {dataset.name} belong in {folder}, and that is the folder"
            f" of {owner}. Each would take the other's files: give each home a CURATE_MEDIA of its"
            " own, or a new dataset another name with --name. If that home is no more, remove"
            f" {MARK} in the folder"
        )
    return False


def mark_of(settings: Settings, dataset: Dataset) -> Location:
    """Where the mark of a dataset is; `datasets delete` removes it with the clips."""
    return below(settings.clips, dataset.folder, MARK)


def _home(settings: Settings) -> str:
    return f"{socket.gethostname()}:{home_text(settings)}"


def _read(location: Location) -> dict[str, Any]:
    """What a mark says; nothing where there is none."""
    if isinstance(location, Path):
        try:
            text = location.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:  # it may be the mark of another home
            what = f"The folder of clips {location.parent}"
            raise ServiceError(what=what, why=f"{MARK}: {error.strerror or error}") from None
    else:
        with store_errors(location):
            system, path = file_system(location)
            system.invalidate_cache(path)
            text = system.cat_file(path) if system.exists(path) else b""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
