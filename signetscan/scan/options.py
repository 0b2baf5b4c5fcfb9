"""How a slide is scanned: the options that a user may set, and their values for a given model and machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from signetscan.concurrency import cpu_count
from signetscan.errors import OptionError
from signetscan.options import Option, check_options, option
from signetscan.plurals import counted
from signetscan.scan.tiling import Cut

if TYPE_CHECKING:
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.detector import Detector
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import Segmenter
    from signetscan.models.spec import ModelSpec

CPU_BATCH = 1
"""On a CPU a larger batch is not faster and takes more memory (measured: scripts/benchmarks/bench_batch.py)."""
GPU_BATCH = 8
"""Tiles of 1024 px that fill a GPU's cores without filling the memory of a small one."""
MAX_READ_THREADS = 32
"""Each thread may hold a tile, 12 MB at 2048 px, and this many read several gigapixels a second."""
DEFAULT_MIN_TISSUE_UM2 = 1000.0
"""Pieces of tissue smaller than this (µm²) are dust: a dozen cells cover more."""
DEFAULT_MIN_AREA_UM2 = 500.0
"""Regions and holes smaller than this (µm²) are noise: a gland covers ten times as much."""
SIMPLIFY_PX = 1
"""Details of the size of so many pixels of the output are no shape of the tissue."""
MOST_SIMPLIFIED_UM = 10.0
"""Details larger than a nucleus (µm) are shape all the same: patches that a model classifies stay squares."""
MODELS = "the model's"
"""What an option is if it is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """What of a slide is read, and how; the same for every task.

    None leaves the choice to the model or the machine.

    Raises:
        OptionError: a value is out of range.
    """

    tile_size: int | None = option(
        None,
        Option(help="Side of a tile at the model's mpp.", unit="px", low=1, high=16384, default=MODELS, per_slide=True),
    )
    batch_size: int | None = option(
        None,
        Option(
            help="Tiles given to the model at once.",
            low=1,
            high=1024,
            default=f"{CPU_BATCH} on a CPU, {GPU_BATCH} on a GPU",
            changes_result=False,
        ),
    )
    read_threads: int | None = option(
        None,
        Option(
            help="Threads that read tiles.",
            low=1,
            high=256,
            default=f"one per core, at most {MAX_READ_THREADS}",
            changes_result=False,
            former="readers",
        ),
    )
    tissue_mask: bool = option(True, Option(help="Skip tiles without tissue, or scan everything."))
    min_tissue: float = option(
        DEFAULT_MIN_TISSUE_UM2,
        Option(help="Smallest piece of tissue that is scanned.", unit="µm²", low=0, high=1e12),
    )
    max_bad_area: float = option(
        0.0,
        Option(help="Share of the scanned area that may be unreadable; a slide with more fails.", low=0, high=1),
    )
    trim_tiles: bool | None = option(
        None,
        Option(help="Place tiles by the tissue, so that they differ in shape.", default="on a CPU"),
    )

    def __post_init__(self) -> None:
        check_options(self)

    def suits_model(self, spec: ModelSpec, *, on_gpu: bool) -> DeviceOptions:
        """The options that depend on the model and its device: those that are None get what suits both.

        Args:
            spec: the model's contract.
            on_gpu: whether the model runs on a GPU.

        Raises:
            OptionError: the model takes no tiles of this size, or not so many at once.
        """
        self._check_fits(spec)
        return DeviceOptions(
            tile_size=spec.tile_size if self.tile_size is None else self.tile_size,
            batch_size=self.batch_size or spec.batch_size or (GPU_BATCH if on_gpu else CPU_BATCH),
            read_threads=self.read_threads or min(cpu_count(), MAX_READ_THREADS),
            # A GPU does better with full batches of one shape than with fewer pixels.
            trim_tiles=not (on_gpu or spec.tile_size_is_fixed) if self.trim_tiles is None else self.trim_tiles,
        )

    def _check_fits(self, spec: ModelSpec) -> None:
        """Check the size and the number of tiles against what a model takes.

        Raises:
            OptionError: it does not take them.
        """
        if spec.tile_size_is_fixed and self.tile_size not in {None, spec.tile_size}:
            message = f"the model {spec.name} takes tiles of {spec.tile_size} px only, not of {self.tile_size} px"
            raise OptionError(message, options=("tile_size",))
        if spec.tile_size_is_fixed and self.trim_tiles:
            message = f"the model {spec.name} takes tiles of {spec.tile_size} px only, so they cannot be trimmed"
            raise OptionError(message, options=("trim_tiles",))
        if spec.batch_size is not None and self.batch_size not in {None, spec.batch_size}:
            taken = counted(spec.batch_size, "tile")
            message = f"the model {spec.name} takes {taken} at once, not {self.batch_size}"
            raise OptionError(message, options=("batch_size",))


class DeviceOptions(TypedDict):
    """Values of the options that depend on the model and its device, as `ReadingOptions` describes them."""

    tile_size: int
    batch_size: int
    read_threads: int
    trim_tiles: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedReadingOptions(ReadingOptions):
    """Reading options with every value set."""

    tile_size: int
    batch_size: int
    read_threads: int
    trim_tiles: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions(ReadingOptions):
    """How to detect cells on a slide. None leaves the choice to the model or the machine; see `resolve`.

    Raises:
        OptionError: a value is out of range.
    """

    overlap: int | None = option(
        None,
        Option(
            help="Least overlap of neighbouring tiles at the model's mpp.",
            unit="px",
            low=0,
            high=16384,
            default=MODELS,
            per_slide=True,
        ),
    )
    threshold: float | None = option(
        None, Option(help="Lowest score reported.", low=0, high=1, default=MODELS, per_slide=True)
    )
    nms_iou: float | None = option(
        None,
        Option(
            help="Of two boxes that overlap by more than this IoU, keep the better one.",
            low=0,
            high=1,
            default=MODELS,
            per_slide=True,
        ),
    )

    measure: bool = option(
        False,
        Option(
            help="Measure each cell as well: stains, pallor, sharpness, nearest neighbour, and the tissue that it lies "
            "in where segment has outlined it.",
            keyed_if_set=True,
        ),
    )

    def resolve(self, detector: Detector) -> ResolvedScanOptions:
        """The options in force: those that are None get the model's values, or what suits its device.

        Raises:
            OptionError: the model takes no tiles of this size, or not so many at once.
        """
        spec = detector.spec
        return ResolvedScanOptions(
            overlap=spec.tile_overlap if self.overlap is None else self.overlap,
            threshold=spec.score_threshold if self.threshold is None else self.threshold,
            nms_iou=spec.nms_iou if self.nms_iou is None else self.nms_iou,
            measure=self.measure,
            tissue_mask=self.tissue_mask,
            min_tissue=self.min_tissue,
            max_bad_area=self.max_bad_area,
            **self.suits_model(spec, on_gpu=detector.runs_on.on_gpu),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedScanOptions(ResolvedReadingOptions, ScanOptions):
    """Scan options with every value set. Made by `ScanOptions.resolve`.

    Raises:
        OptionError: a value is out of range.
    """

    overlap: int
    threshold: float
    nms_iou: float

    def cut(self, spec: DetectionSpec) -> Cut:
        """How a slide is cut into tiles."""
        # Half an overlap is what an untrimmed tile shows around its own part.
        return Cut(
            tile_size=self.tile_size,
            overlap=self.overlap,
            stride=spec.stride,
            margin=self.overlap // 2,
            exact=spec.tile_size_is_fixed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions(ReadingOptions):
    """How to segment the tissue of a slide. None leaves the choice to the model or the machine; see `resolve`.

    Raises:
        OptionError: a value is out of range.
    """

    min_area: float = option(
        DEFAULT_MIN_AREA_UM2,
        Option(help="Smallest region that is written.", unit="µm²", low=0, high=1e12),
    )
    min_hole: float = option(
        DEFAULT_MIN_AREA_UM2,
        Option(help="Smallest hole of a region that stays open.", unit="µm²", low=0, high=1e12),
    )
    simplify: float | None = option(
        None,
        Option(
            help="How much outlines are simplified: about the size of the details that go; 0 for the edges of pixels.",
            unit="µm",
            low=0,
            high=1e4,
            default=f"a pixel of the model's output, at most {MOST_SIMPLIFIED_UM:g} µm",
        ),
    )

    def resolve(self, segmenter: Segmenter) -> ResolvedSegmentOptions:
        """The options in force: those that are None get the model's values, or what suits its device.

        Raises:
            OptionError: the model takes no tiles of this size, or not so many at once.
        """
        spec = segmenter.spec
        pixel_um = spec.output_stride * spec.mpp
        return ResolvedSegmentOptions(
            min_area=self.min_area,
            min_hole=self.min_hole,
            simplify=min(SIMPLIFY_PX * pixel_um, MOST_SIMPLIFIED_UM) if self.simplify is None else self.simplify,
            tissue_mask=self.tissue_mask,
            min_tissue=self.min_tissue,
            max_bad_area=self.max_bad_area,
            **self.suits_model(spec, on_gpu=segmenter.runs_on.on_gpu),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSegmentOptions(ResolvedReadingOptions, SegmentOptions):
    """Options of segmentation with every value set. Made by `SegmentOptions.resolve`.

    Raises:
        OptionError: a value is out of range.
    """

    simplify: float

    def cut(self, spec: SegmentationSpec) -> Cut:
        """How a slide is cut into tiles: all show a margin around their own part, beyond the slide's edges too."""
        margin, step = spec.margin, spec.output_stride
        return Cut(
            tile_size=self.tile_size,
            overlap=-(-2 * margin // spec.stride) * spec.stride,
            stride=spec.stride,
            margin=margin,
            beyond=margin,
            step=step,
            exact=spec.tile_size_is_fixed,
        )
