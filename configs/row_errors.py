"""The errors that end one row as `failed`: the branch RowError of the tree in `errors.py`.

MediaError is about the file, StageError about the stage. A class's docstring is its message, as
there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from curate.configs.errors import CurateError

# what has to change before another try can end otherwise: nothing, the video, or what the message
# of the error says
First = Literal["nothing", "file", "message"]


class RowError(CurateError):
    """The row failed: {why}"""

    first: ClassVar[First] = "nothing"


class MediaError(RowError):
    """{path} cannot be used: {why}"""

    first: ClassVar[First] = "file"


class Unreadable(MediaError):
    """{path} cannot be opened: {why}. Check that the file exists and that you may read it"""

    first = "nothing"  # a disk may have been away


class NotAFile(MediaError):
    """{path} is {what}, not a file. Remove it or rename it"""


class EmptyFile(MediaError):
    """{path} is empty (0 bytes). Copy or download it again"""


class NotMedia(MediaError):
    """{path} is not a video or image that ffmpeg can read: {why}. Play it to check; copy it again
    if it was cut short
    """


class UnsupportedPicture(MediaError):
    """{path} is a picture that curate cannot use: {why}. Convert it to an 8-bit PNG or JPEG; an
    animation, to a GIF or MP4
    """


class NoVideoStream(MediaError):
    """{path} has no video stream; what it has: {streams}. Leave it out"""


class NoFrames(MediaError):
    """{path} holds no frame that can be decoded: {why}. Copy or download it again"""


class EmptyStream(MediaError):
    """{path} has a video stream ({codec}), but not one picture is in it. Leave it out"""


class OtherStream(MediaError):
    """{path} goes on with the pictures of another stream behind byte {place}, as where recordings
    of different programs were joined; none of them would be in a clip. Divide it there
    """


class OtherCodec(MediaError):
    """{path} goes on in another codec behind byte {place} ({codec} instead of {before}), as where
    recordings were joined; none of those pictures would be in a clip. Divide it there
    """


class BadGeometry(MediaError):
    """{path} says its pictures are {width}x{height} pixels, which cannot be. Re-encode the file"""


class SourceChanging(MediaError):
    """{path} was replaced {times} times while it was worked on, so it is probably still being
    written. Wait until it is whole, then: `curate retry DATASET --error SourceChanging`
    """

    first = "nothing"


class HighDynamicRange(MediaError):
    """{path} is HDR video (its transfer is {transfer}), and the option hdr of {stage} is fail.
    Leave it out, or start a dataset with: --set {stage}.hdr=tonemap
    """

    first = "message"


class UnsupportedColours(MediaError):
    """{path} stores its colours as {space}, which curate cannot convert. Convert it to bt709, for
    example by ffmpeg's filter zscale=matrix=709
    """


class BadSidecar(MediaError):
    """The caption in {path} cannot be used: {why}. Mend the file, then: `curate retry DATASET
    --error BadSidecar`
    """

    first = "message"


class NoSidecar(MediaError):
    """{path} has no {endings} beside it to take a caption from. Put one there, then: `curate retry
    DATASET --error NoSidecar`
    """

    first = "message"


class StageError(RowError):
    """Stage {stage} failed: {why}. Try again with: `curate retry DATASET --stage {stage}`"""


class UnexpectedError(StageError):
    """Stage {stage} failed with {kind}: {why}. If it stays so, report it with this text; try again
    with: `curate retry DATASET --stage {stage}`
    """


class StageTimeout(StageError):
    """Stage {stage} took longer than its time_limit of {seconds} s and was stopped. Raise the limit
    with: `curate set {stage}.time_limit=SECONDS DATASET`. Then, or on a quieter host, try again
    with: `curate retry DATASET --stage {stage}`
    """


class OutOfMemory(StageError):
    """Stage {stage} needed more than its memory_mb of {megabytes} MB and was stopped. Raise the
    limit with: `curate set {stage}.memory_mb=MEGABYTES DATASET`. Then try again with: `curate retry
    DATASET --stage {stage}`
    """

    first = "message"


class WorkerCrashed(StageError):
    """The worker died {attempts} times while stage {stage} worked on this row alone. The file
    probably crashes a decoder; leave it out, or: `curate retry DATASET --stage {stage}`
    """


class NotFinite(StageError):
    """Stage {stage} computed {value} for column {column}; scores must be finite numbers. The same
    frames give it again: look at them with `curate view DATASET`, and leave the video out or report
    it
    """

    first = "message"


class CaptionFailed(StageError):
    """The server {server} wrote no caption (tries: {tries}): {why}. Try again with: `curate retry
    DATASET --error CaptionFailed`
    """


class CaptionRefused(StageError):
    """The model {model} refused to write a caption: {why}. Another prompt may help: `curate redo
    {stage} DATASET --set {stage}.prompt=TEXT`
    """

    first = "message"


class CaptionEmpty(StageError):
    """The model {model} wrote an empty caption ({why}). Try again with: `curate retry DATASET
    --error CaptionEmpty`
    """


class CaptionMalformed(StageError):
    """The model {model} did not answer in the fields that it was asked for: {why}. It wrote
    "{wrote}". Try again with: `curate retry DATASET --error CaptionMalformed`. An answer that
    breaks off needs more tokens: `curate redo {stage} DATASET --set {stage}.max_new_tokens=2048`
    """


class RewriteUnfit(StageError):
    """The model {model} wrote no texts that fit, and none when it was asked once more: {why}. It
    wrote: {wrote}. Try again with: `curate retry DATASET --error RewriteUnfit`. Or ask for other
    lengths: `curate redo {stage} DATASET --set {stage}.variants=VARIANTS`
    """


class SamplesMissing(StageError):
    """The sampled frames of this clip are not in {path}. They are written by split; run it again
    with: `curate retry DATASET --error SamplesMissing`
    """


class MeasuresMissing(StageError):
    """The samples hold no measures for {stage}. Begin anew: `curate run FOLDER --name NAME`"""

    first = "message"


class EmbeddingMissing(StageError):
    """Stage {stage} needs this clip's embeddings by {model}, and {found}. The stage that embeds
    clips writes them; where that is clip_embed: `curate redo clip_embed DATASET`
    """

    first = "message"


class OtherEmbeddings(StageError):
    """Stage {stage} works with other weights ({needed}) than those that embedded this clip
    ({found}). Embed it again with: `curate redo clip_embed DATASET`
    """

    first = "message"


class OtherFit(StageError):
    """Stage {stage} goes by concepts that were fitted on embeddings by other weights ({needed})
    than those that embedded this clip ({found}). Fit them anew with: `curate concepts fit DATASET`.
    Then: `curate retry DATASET --error OtherFit`
    """

    first = "message"


class TooManyWindows(StageError):
    """{path} would have {count} windows in this clip, and {most} are the most. Make windows or
    their stride longer with `curate redo STAGE DATASET --set STAGE.OPTION=VALUE`, or clips shorter
    in a new dataset (split.max_seconds)
    """

    first = "message"


class CutMismatch(StageError):
    """The cut clip {path} has {found} frames instead of {planned}. The source probably changed or
    is damaged: copy it again, then: `curate retry DATASET --stage cut`
    """

    first = "message"


class FramesDiffer(StageError):
    """{source} does not hold the frames of this clip: it is another file than the one that was
    exported, or it is decoded in another way here
    """


class CannotCopy(StageError):
    """{path} cannot be cut without encoding it: {why}. Start a dataset with: --set
    cut.mode=smart
    """

    first = "message"
