"""Finds the scenes of each video and samples them in one decoding pass: the stage `split`."""

from __future__ import annotations

from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import model_validator

from curate.configs.schema import Column
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.stage import Field, Need, Outcome, Scores, Stage, StageOptions, Video
from curate.tasks.video.hash_package import check_imagededup
from curate.tasks.video.picture_options import Deinterlace, Hdr, refuse_hdr

if TYPE_CHECKING:
    from curate.tasks.models.transnet import TransNet
    from curate.tasks.video.one_pass import SplitPlan

LEARNED = ("learned", "gated")
# frames, or seconds with an s
SceneLength = (
    Annotated[int, Field(ge=1, le=100_000)]
    | Annotated[str, Field(pattern=r"^\d{1,6}(\.\d{1,6})?s$")]
)
NO_SCENE = "no_scene_long_enough"
_MOST = 0.9  # of a video's frames; where fewer decode, it is looked for the reason
_OF_AN_IMAGE: Scores = {
    "frames_decoded": 1, "frames_leftover": 0, "frames_unplaced": 0, "scenes_short": 0,
    "longest_gap": None, "time_jumps": 0, "seekable": 1, "interlaced_flag": None,
    "frames_in_transitions": None,
}  # fmt: skip


class Split(Stage[Video, "Split.Options"]):
    """Clips of a video: where each scene begins and ends, by its frames' time stamps."""

    name = "split"
    level = "video"
    makes = "clip"
    form = 2
    comes_first = True
    opens_source = True
    stops_at_once = True
    imports = (
        "curate.tasks.video.one_pass",
        "curate.tasks.video.samples",
        "curate.tasks.video.still_images",
    )
    columns = {
        "num_frames": Column("int", "frames of the clip", 1),
        "fps": Column("float", "frames a second, average over the clip; NULL for an image", 0),
        "width": Column("int", "pixels as displayed: rotation and pixel shape applied", 1),
        "height": Column("int", "pixels as displayed", 1),
        "aspect_ratio": Column("float", "height / width", 0),
        "resolution": Column("int", "height * width", 1),
        "start_frame": Column(
            "int", "place of its first frame among the decoded frames of the video", 0
        ),
        "start_seconds": Column("float", "start, from the first frame of the video", 0),
        "end_seconds": Column(
            "float", "end, from the first frame of the video: start of the first frame after it", 0
        ),
        "seconds": Column("float", "length; NULL for an image", 0),
        "transition_before": Column(
            "int", "frames of the dissolve or fade that was left out right before the clip; 0: it "
            "begins with a cut; NULL unless transitions is trim", 0,
        ),
        "transition_after": Column("int", "the same, right after the clip", 0),
        "hash_first": Column(
            "text",
            "perceptual hash of the first frame (with borders in the pipeline: inside its bars), "
            "16 hex characters; NULL when it is flat",
        ),
        "hash_middle": Column("text", "the same of the middle frame"),
        "hash_first_mirrored": Column(
            "text", "hash_first of the mirrored frame; NULL unless dedup has views: mirror or all"
        ),
        "hash_middle_mirrored": Column("text", "the same of the middle frame"),
        "hash_views": Column(
            "text", "hashes of sampled frames in several views; NULL unless dedup has views: all"
        ),
    }  # fmt: skip
    own_columns = {
        "frames_decoded": Column(
            "int", "frames that decode: those of all clips, frames_leftover and frames_unplaced", 0
        ),
        "frames_leftover": Column(
            "int", "frames in no clip: of pieces under min_seconds, or cut off at max_seconds", 0
        ),
        "frames_unplaced": Column("int", "other frames in no clip; not 0: an error of curate"),
        "scenes_short": Column("int", "scenes, or pieces of them, shorter than min_seconds", 0),
        "longest_gap": Column(
            "float", "the longest time from one frame to the next, seconds; NULL for an image", 0
        ),
        "time_jumps": Column("int", "times that the clock of the source starts again or jumps", 0),
        "seekable": Column(
            "int", "0: its time stamps are missing, equal or unordered, so clips take long to cut",
            0, 1,
        ),
        "frames_in_transitions": Column(
            "int", "frames of dissolves and fades, left out of the clips before and after; of "
            "frames_leftover; NULL unless transitions is trim", 0,
        ),
        "interlaced_flag": Column(
            "int", "1 when any frame is flagged as two fields of different times, else 0", 0, 1
        ),
        "split_form": Column("int", "version of how videos are split; NULL: 1", 1),
    }  # fmt: skip

    _network: TransNet | None = None

    class Options(StageOptions):
        """Options of `split`."""

        batch_size: int = Field(1, ge=1, le=4096, description="videos claimed by one task")
        time_limit: float = Field(
            3600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
        )
        detector: Literal["adaptive", "content", "stride", "panda", "learned", "gated"] = Field(
            "adaptive",
            description="PySceneDetect's AdaptiveDetector or ContentDetector; a cut every "
            "stride_seconds; content followed by the maximum-length rule of Panda-70M; the network "
            "TransNetV2; or gated: TransNetV2 only where a cheap test sees a change. Both are as "
            "adaptive below 3 frames a second, which the network has not learned",
        )
        model: str = Field(
            "transnetv2",
            min_length=1,
            description="folder of TransNetV2: a name (curate models list) or a path; it runs on "
            "ONNX Runtime, and with queue ascend on MindSpore",
        )
        transitions: Literal["keep", "trim"] = Field(
            "keep",
            description="trim: frames of dissolves and fades, which learned and gated find, are in "
            "no clip",
        )
        threshold: float | None = Field(
            None,
            gt=0,
            le=255,
            description="of the detector; null: adaptive 3.0 (ratio), content and panda 25 (mean "
            "HSV difference), learned and gated 0.5 (probability)",
        )
        min_scene_len: SceneLength = Field(
            15, description="frames, or seconds such as 0.6s, that must pass between two cuts"
        )
        min_seconds: float = Field(2.0, ge=0, le=86400, description="shorter clips are left out")
        max_seconds: float | None = Field(
            20.0,
            gt=0,
            le=86400,
            description="longest clip; null: no limit. A frame that is shown for longer ends its "
            "clip and is cut off",
        )
        stitch: bool = Field(
            False,
            description="neighbouring scenes whose edges agree are one: mends cuts that flashes, "
            "drop-outs and fast motion make; detector adaptive, content or panda",
        )
        long_scenes: Literal["split", "truncate"] = Field(
            "split",
            description="a scene over max_seconds becomes several clips of equal length, or keeps "
            "its beginning only",
        )
        stride_seconds: float = Field(
            10.0, ge=0.1, le=86400, description="distance of the cuts of detector stride"
        )
        panda_seconds: float = Field(
            5.0,
            ge=0.5,
            le=86400,
            description="detector panda: scenes longer than this + 2 s are cut into pieces of it",
        )
        sample_fps: float = Field(
            1.0, ge=0.1, le=30, description="frames a second kept for the scorers"
        )
        flow_fps: float = Field(
            4.0,
            ge=0.1,
            le=30,
            description="pairs of neighbouring frames a second measured for motion",
        )
        deinterlace: Deinterlace = "auto"
        hdr: Hdr = "tonemap"

        @model_validator(mode="after")
        def _has_cuts_to_mend(self) -> Split.Options:
            if self.stitch and self.detector == "stride":
                raise ValueError("stitch mends the cuts that a detector finds; stride finds none")
            if self.detector not in LEARNED:
                if self.transitions == "trim":
                    raise ValueError("transitions are found by the detectors learned and gated")
                return self
            if self.stitch:
                raise ValueError("stitch mends the cuts of adaptive, content and panda")
            if self.threshold is not None and self.threshold >= 1:
                raise ValueError("the threshold of learned and gated is a probability below 1")
            return self

    @classmethod
    def preload(cls) -> None:
        """Import what hashes are made with, too. Raises PackageMissing, ServiceError."""
        super().preload()
        import_module("curate.tasks.video.hashing").load_hasher()

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing when a package that splitting needs is not installed."""
        check_imagededup()
        if getattr(options, "detector", "") in LEARNED and options.queue == "cpu":
            check_onnx_runtime(f"split with detector {getattr(options, 'detector', '')}")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """TransNetV2, for the detectors that run it."""
        return (Need("transnetv2", options.model),) if options.detector in LEARNED else ()

    def load(self) -> None:
        """Load the network of the detector, if it has one. Raises BadModel, PackageMissing."""
        options, settings = self.options, self.context.settings
        if options.detector not in LEARNED:
            return
        folder = folder_of(options.model, settings.model_folder)
        if options.queue == "ascend":
            from curate.tasks.models.transnet_mindspore import mindspore_transnet

            self._network = mindspore_transnet(folder, settings.device)
        else:
            from curate.tasks.models.transnet import onnx_transnet

            self._network = onnx_transnet(folder)

    @cached_property
    def _plan(self) -> SplitPlan:
        """What to look for in each video, by the options and the other stages."""
        from curate.tasks.video.one_pass import SplitPlan
        from curate.tasks.video.pieces import Lengths

        o, stages = self.options, self.context.pipeline.by_name
        # `dedup` says which hashes it compares; without that stage, phash
        dedup = stages["dedup"].options if "dedup" in stages else None
        panda = o.panda_seconds if o.detector == "panda" else None
        scene = o.min_scene_len  # frames, or seconds with an s
        return SplitPlan(
            detector=o.detector,
            threshold=o.threshold,
            min_scene_len=scene if isinstance(scene, int) else float(scene.removesuffix("s")),
            stride_seconds=o.stride_seconds,
            lengths=Lengths(o.min_seconds, o.max_seconds, o.long_scenes, panda),
            sample_fps=o.sample_fps,
            flow_fps=o.flow_fps,
            hash=str(getattr(dedup, "hash", "phash")),
            deinterlace=o.deinterlace == "auto",
            tone_map=o.hdr == "tonemap",
            views=str(getattr(dedup, "views", "none")),
            stitch=o.stitch,
            network=self._network,
            trim=o.transitions == "trim",
            camera="camera" in stages,
            bars="borders" in stages,
            full_size="coding" in stages,
            ends="ocr" in stages,
        )

    def run(self, row: Video) -> Outcome:
        """The clips of one video; their samples are written. Raises MediaError."""
        from curate.tasks.video.one_pass import split_video
        from curate.tasks.video.probing import refuse_other_codec
        from curate.tasks.video.samples import writing_samples
        from curate.tasks.video.still_images import image_clip

        if self.options.hdr == "fail":
            refuse_hdr(row, self.name)
        plan = self._plan
        with writing_samples(self.context.samples, row.id, row.fingerprint) as writer:
            if row.values.get("media_type") == "image":
                clips = [image_clip(row.path, plan.hash, writer, plan.views, plan.bars)]
                frames = _OF_AN_IMAGE
            else:
                watch = partial(self.context.counted, row)
                clips, frames = split_video(row.path, plan, writer, watch)
                planned = row.values.get("num_frames") or 0
                if int(frames["frames_decoded"] or 0) < _MOST * planned:
                    refuse_other_codec(row.path)
        scores = {**frames, "split_form": self.form}
        return Outcome(scores, clips, None if clips else NO_SCENE)
