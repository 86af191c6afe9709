"""Every error of curate, in one tree; those below RowError are in `row_errors.py`.

::

    CurateError          exit code 1
    ├── UsageError       exit code 2   the command line asks for something that cannot be
    ├── ConfigError      exit code 3   a pipeline, filter or setting is wrong
    │   ├── FilterError
    │   └── SqlRefused, SqlFailed, SqlTimeout
    ├── ServiceError     exit code 4   the database, the broker or a package is missing, a disk full
    └── RowError         ends one row as `failed`; never stops a run
        ├── MediaError   the file itself; `curate retry` helps only when the file changes
        └── StageError   the stage; `curate retry` may help, where `first` says nothing else

A class's docstring is its message: what happened, to which file, why, what to do. Fields in braces
are filled from keyword arguments. A command of curate stands in backticks, with DATASET where the
name of the dataset belongs: the command line fills it in, with --home where that was given (see
`Session.advise`).
"""

from __future__ import annotations

import re
import string
from typing import ClassVar


class _Lenient(string.Formatter):
    """Leaves out a field that was not given, so that a message can never hide its error."""

    def get_value(self, key: int | str, args: object, kwargs: object) -> object:
        return kwargs.get(key, "?") if isinstance(kwargs, dict) else "?"


class CurateError(Exception):
    """Something in curate failed. Run the command again with --verbose to see where."""

    exit_code: ClassVar[int] = 1

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        message = " ".join((type(self).__doc__ or "").split())
        filled = _Lenient().vformat(message, (), fields)
        # a reason that ends in a question or a full stop needs none
        super().__init__(re.sub(r"([?]|(?<![.])[.])[.] ", r"\1 ", filled))

    def __reduce__(self) -> tuple[object, ...]:
        """As text: a worker process sends its errors to its parent, and fields hold anything."""
        return _from_text, (type(self), str(self))


def _from_text(kind: type[CurateError], message: str) -> CurateError:
    error = kind.__new__(kind)
    error.fields = {}
    Exception.__init__(error, message)
    return error


class UsageError(CurateError):
    """{what}"""

    exit_code = 2


class NoSuchDataset(UsageError):
    """There is no dataset {name}{near}. Known ones: {known}. List them with: `curate datasets`"""


class NoDatasets(UsageError):
    """The database {database} holds no dataset yet. Start with: `curate run FOLDER -o clips.csv`"""


class BeingDeleted(UsageError):
    """Dataset {name} is being deleted, and a part of it is gone already. Finish it with: `curate
    datasets delete {name}`
    """


class AtWork(UsageError):
    """Rows of dataset {name} are at work ({rows}), and its videos cannot be deleted meanwhile. Stop
    them with: `curate cancel {name}`. Then: {again}
    """


class NoInput(UsageError):
    """No video or image was found in {path}{skipped}. curate looks for .mp4, .mkv and the other
    endings in docs/install.md. Check the path; a file of any other ending is taken when you name it
    by its own path, or in a table with a column path
    """


class NoSuchFile(NoInput):
    """There is no file or folder {path}{near}. Check the path, and whether its disk is mounted"""


class NoEmbeddings(UsageError):
    """Dataset {name} has no embeddings to search: its pipeline has no stage {stages}. Start one
    that has them with: {anew}
    """


class NoConcepts(UsageError):
    """No clip of dataset {name} has a concept yet. Fit concepts with: `curate concepts fit
    DATASET`. Then: `curate redo concept DATASET`
    """


class NothingEmbedded(UsageError):
    """No clip of dataset {name}{which} is embedded yet. What waits: `curate status DATASET`"""


class NoEmbedder(UsageError):
    """Dataset {name} has no concepts: they are groups of embeddings, and its pipeline has no stage
    that embeds clips ({stages}; docs/concepts.md). Start one that has with: {anew}
    """


class OtherWeights(UsageError):
    """Clips were embedded by other weights ({found}) than those in the model folder ({needed}).
    Embed them again with: `curate redo {stage} DATASET`
    """


class NotPicked(UsageError):
    """Nothing was picked in dataset {name}: {why}"""


class FilesAmiss(CurateError):
    """Nothing was written: of the files of the clips, {missing} are missing and {resized} have
    another size than when they were cut, such as {path}. Leave these clips out with: --missing drop
    """


class SidesDiffer(UsageError):
    """Nothing was exported: {why}. Name the sides of before, or decide anew with: --resplit"""


class ExportThere(UsageError):
    """{target} {what}. An export is written once: give -o another folder, or remove this one"""


class BadManifest(UsageError):
    """{path} is no manifest that can be rebuilt: {why}. Write one with: `curate export DATASET --to
    manifest -o manifest.parquet`
    """


class NotRebuilt(CurateError):
    """{clips} of {of} not rebuilt; their sources ({sources}) are named above. Put what is missing
    below --videos and give the same command: it goes on
    """


class ConfigError(CurateError):
    """The configuration {source} is wrong: {why}. See what is in force: `curate config DATASET`"""

    exit_code = 3


class BadTable(ConfigError):
    """The table {source} cannot be used: {why}. Mend it, or give another one"""


class BadVotes(ConfigError):
    """The votes in {path} cannot be used: {why}. Save them again from the page, or write a new one:
    `curate captions compare A B --sheet votes.html`
    """


class PipelineChanged(ConfigError):
    """Dataset {name} holds these inputs and keeps its own pipeline, which differs: {what}. To run
    another one, add: --name NEW. To go on with its own, leave out --config and --set. To change it:
    `curate refilter {name} --set FILTER.where=PREDICATE`, or `curate redo STAGE {name} --set
    STAGE.OPTION=VALUE`
    """


class StagesChanged(PipelineChanged):
    """Dataset {name} has other stages: {what}. A refilter changes filters only. Options of a stage
    are changed with: `curate redo STAGE {name} --set STAGE.OPTION=VALUE`. For other stages start a
    new dataset with: {anew}
    """


class FilterError(ConfigError):
    """Filter {name} is refused: {why}. In: {predicate}"""


class SqlRefused(ConfigError):
    """The statement is refused: {why}. curate sql takes one read-only SELECT; list tables and
    columns with: `curate sql`
    """


class SqlFailed(ConfigError):
    """The statement failed: {why}. List tables and columns with: `curate sql`"""


class SqlTimeout(ConfigError):
    """The statement took longer than {seconds} s and was stopped. Narrow it down, or raise
    CURATE_SQL_SECONDS"""


class ServiceError(CurateError):
    """{what} is not available: {why}. Check everything with: `curate doctor`"""

    exit_code = 4


class NotANumber(ServiceError):
    """The column {column} of {table} holds NaN, which is neither a number nor NULL, so its
    thresholds cannot be judged. See which rows with:
    `curate sql "SELECT id FROM {table} WHERE {column} = 'NaN'"`
    """


class PackageMissing(ServiceError):
    """{what} needs the package {package}, which is not installed. Install it with: {install}"""


class StoreUnknown(ServiceError):
    """fsspec cannot open {protocol}:// without a package that is not installed, and curate does not
    know which. It knows those for {known}; see docs/storage.md, and copy the files where one of
    these reaches them
    """


class ModelsMissing(ServiceError):
    """{what} needs weights that are not there or cannot be used (`curate models list` shows where
    they are looked for):{missing}
    """


class BadModel(ServiceError):
    """The weights in {path} cannot be used: {why}. Get them again (`curate models list` says how),
    and look at them with: `curate models check`
    """


class TextTowerFailed(ServiceError):
    """The search by text does not work. {why}"""


class CannotFetch(ServiceError):
    """{url} cannot be downloaded: {why}. Take it from a mirror with: `curate models fetch {name}
    --from URL`. Or download it elsewhere, copy it here, and see docs/models.md for the rest
    """


class CaptionServer(ServiceError):
    """The caption server {server} is not to be used: {why}. Check the options url and model of the
    stage, and the key in the environment variable that its option key_variable names; workers take
    it from where they are started
    """


class AskedOffline(ServiceError):
    """Stage {stage} asks nothing: its option offline is true. Clips wait for: `curate captions
    export-requests DATASET -o requests.jsonl`. Then: `curate captions load-responses FILE DATASET`
    """


class AnswersMissing(ServiceError):
    """Answers of {server} about other windows of the clip have not come. Load the file that holds
    them with: `curate captions load-responses FILE DATASET`
    """


class BudgetSpent(ServiceError):
    """Stage {stage} has spent {spent} of {most}, and the dataset is paused. Go on with: `curate set
    {stage}.max_cost=MORE DATASET`. Then: `curate resume DATASET`
    """


class NoDevice(ServiceError):
    """The device {device} cannot be used: {why}. Set CURATE_DEVICE to auto or CPU, or see
    docs/ascend.md"""


class DeviceMemory(ServiceError):
    """The device {device} has not enough memory for a pass of a network: {why}. Give it less at a
    time with: `curate set STAGE.pass_size=1 DATASET`. Or, where the clips are long, less of each:
    `curate redo STAGE DATASET --set STAGE.frames_a_second=2`
    """


class BucketMissing(ServiceError):
    """{url} cannot be used, because {store} does not exist. Make it (for S3: aws s3 mb {store}) or
    name another one; where clips go is set by CURATE_MEDIA. Then: `curate doctor`
    """


class StoreRefused(ServiceError):
    """{store} refuses what this host asks for: {why}. Give it credentials that may list, read and
    write there; for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, see
    docs/storage.md. Then: `curate doctor`
    """


class NeedMissing(ServiceError):
    """Stage {stage} cannot go on: {why}"""


class PlanStopped(ServiceError):
    """The sample did not end, and nothing is predicted: {why}. Mend that and give the same command
    again, or plan without the stage: --set {stage}.enabled=false
    """


class NotFitted(ServiceError):
    """Stage {stage} needs concepts, and none are fitted yet. Clips wait for them. Once enough are
    embedded: `curate concepts fit DATASET`. Then: `curate resume DATASET`
    """


class DiskFull(ServiceError):
    """Stage {stage} found no space left to write to, in {folder}, in TMPDIR or where clips are
    written. Make room; its rows wait, and work goes on by itself
    """


class ReaderMissing(ServiceError):
    """This needs a Postgres login that can only read: {why}. Run `curate db upgrade` as a login
    that may create others, or set CURATE_READONLY_DATABASE_URL to a login that only has SELECT
    """


class SchemaOutdated(ServiceError):
    """The database {database} has schema {found}, and this version of curate needs {needed}. Bring
    it up to date with: `curate db upgrade`
    """


class SchemaNewer(ServiceError):
    """The database {database} has schema {found}, and curate {version} on this host knows none
    after {known}: another host has a newer curate and upgraded it. Install that version here too;
    `curate workers`, typed there, shows which
    """
