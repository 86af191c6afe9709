"""Options that name a stage or an error of a dataset."""

from __future__ import annotations

from curate.configs import row_errors
from curate.configs.errors import UsageError
from curate.configs.names import did_you_mean
from curate.db.reports.failures import reasons
from curate.worker.session.database import OpenDataset


def known_stage(opened: OpenDataset, stage: str | None) -> str | None:
    """The stage of a --stage option. Raises UsageError for one that the dataset does not have."""
    if stage and stage not in opened.stage_names:
        names = ", ".join(opened.stage_names)
        near = did_you_mean(stage, opened.stage_names)
        has = f"dataset {opened.name} has the stages {names}"
        raise UsageError(what=f"--stage {stage}{near}: {has}")
    return stage


def known_error(opened: OpenDataset, error: str | None) -> str | None:
    """The class of an --error option. Raises UsageError for one that no row can have failed with.

    Plugins have classes of their own, which are known from the rows alone.
    """
    if not error:
        return error
    failed = reasons(opened.engine, opened.dataset.id)
    classes = (c for c in vars(row_errors).values() if isinstance(c, type))
    known = {c.__name__ for c in classes if issubclass(c, row_errors.RowError)} | set(failed)
    if error not in known:
        near = did_you_mean(error, known)
        found = f"rows of {opened.name} failed with {', '.join(failed)}"
        nothing = f"no row of {opened.name} failed"
        raise UsageError(what=f"--error {error}{near}: {found if failed else nothing}")
    return error
