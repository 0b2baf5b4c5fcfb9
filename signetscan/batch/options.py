"""The options of a batch: where results go, with which model, and on which workers. Nothing here is heavy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.errors import OptionError
from signetscan.formats.result_files import REGION_SUFFIXES, SUFFIXES, USUAL_FORMATS, USUAL_REGION_FORMATS
from signetscan.models.runtime import Device  # noqa: TC001 - options know their types
from signetscan.models.spec import Task
from signetscan.models.store import DEFAULT_MODEL
from signetscan.options import Option, check_options, option, per_slide
from signetscan.scan.calibrated import CalibratedThreshold  # noqa: TC001 - options know their types
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from typing import Self

MAX_THREADS = 1024
"""More threads than any machine has cores take minutes to start, for nothing."""
DEFAULT_BUDGET = 1.0
"""False positives per mm²: a biopsy of 20 mm² of tissue then has about 20, which a pathologist looks through within a
minute or two. The strictest level of DigestPath's FROC, 1 on a normal image of 2000 x 2000 px, is about 4 per mm²."""
LOCAL = "local"
"""In place of a cluster: processes of this machine, which listen on no port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """The options of a batch of slides; `ScanOptions` say how each is scanned.

    Raises:
        OptionError: a value is out of range, or two contradict each other.
    """

    out: Path = option(
        Path("signetscan-results"),
        Option(help="Folder for the results; created if it does not exist.", changes_result=False),
    )
    model: str = option(
        DEFAULT_MODEL,
        Option(
            help="Name of a model (accurate, fast: both of simulated cells only; nuclei: of real nuclei; or your own), "
            "or an ONNX file."
        ),
    )
    device: Device = option(
        "auto",
        Option(help="Where the model runs; cuda and tensorrt need an NVIDIA GPU, auto uses a GPU if possible."),
    )
    threads: int | None = option(
        None,
        Option(help="CPU threads of the model.", low=1, high=MAX_THREADS, default="one per core", changes_result=False),
    )
    mpp: float | None = option(
        None,
        Option(
            help="Size of the slides' pixels.",
            unit="µm",
            low=0,
            above=True,
            default="what the files say",
            per_slide=True,
        ),
    )
    roi: Path | None = option(
        None,
        Option(
            help="Scan only the annotations in this GeoJSON from QuPath, or in NAME.geojson of this folder.",
            default="whole slides",
        ),
    )
    calibration: Path | None = option(
        None,
        Option(help="Take the threshold from this file, made by calibrate for the same model.", default="none"),
    )
    bounds_crop: bool = option(
        True, Option(help="Count GeoJSON coordinates from the slide's bounds, as QuPath does, or from level 0.")
    )
    formats: tuple[str, ...] = option(
        USUAL_FORMATS,
        Option(
            help="Format of the results; may be given several times.",
            choices=tuple(SUFFIXES),
            changes_result=False,
            flag="format",
        ),
    )
    region_formats: tuple[str, ...] = option(
        USUAL_REGION_FORMATS,
        Option(
            help="Format of the results; may be given several times.",
            choices=tuple(REGION_SUFFIXES),
            changes_result=False,
            flag="format",
        ),
    )
    objects_per_file: int | None = option(
        None,
        Option(
            help="Most objects in a GeoJSON file; with more, there are NAME.part1.geojson, NAME.part2.geojson ...",
            low=1,
            default="all in one",
            changes_result=False,
        ),
    )
    report: bool = option(
        False,
        Option(
            help="Write a report, NAME.report.html, for each slide, and index.html, which lists them.",
            changes_result=False,
        ),
    )
    overwrite: bool = option(False, Option(help="Scan even slides that are already done.", changes_result=False))
    pseudonymise: Path | None = option(
        None,
        Option(help="Name results by a hash of the slides' names, keyed by this file.", default="by the slides' names"),
    )
    workers: int | None = option(
        None, Option(help="Slides scanned at the same time.", low=1, default="1, or one per GPU", changes_result=False)
    )
    slide_timeout: float | None = option(
        None,
        Option(
            help="Time after which a slide fails.",
            unit="s",
            low=0,
            above=True,
            default="none",
            changes_result=False,
        ),
    )
    stall_timeout: float = option(
        1800.0,
        Option(
            help="Time without any progress after which a slide fails.",
            unit="s",
            low=0,
            above=True,
            changes_result=False,
        ),
    )
    shard: str | None = option(
        None,
        Option(help="Scan only part I of N of the slides, as I/N, such as 3/10.", default="all"),
    )
    dask: str | None = option(
        None,
        Option(
            help="Scan on a Dask cluster: address or file of its scheduler; local: in processes of this machine.",
            default="none",
            changes_result=False,
        ),
    )
    dry_run: bool = option(False, Option(help="Show what would be done, and write nothing.", changes_result=False))
    log_file: Path | None = option(
        None, Option(help="Append events to this file, as JSON lines.", default="none", changes_result=False)
    )
    verbose: bool = option(False, Option(help="Print more.", changes_result=False))

    def __post_init__(self) -> None:
        check_options(self)
        if self.private and "dicom" in {*self.formats, *self.region_formats}:
            message = "DICOM results contain the patient's data from the slide, so they cannot be pseudonymised"
            raise OptionError(message, options=("formats", "region_formats", "pseudonymise"))
        if self.dask is not None and (self.dry_run or self.slide_timeout):
            message = "a Dask cluster supports neither a dry run nor a time limit for slides"
            raise OptionError(message, options=("dask", "dry_run", "slide_timeout"))

    @property
    def private(self) -> bool:
        """Whether results have pseudonyms, so that no message or log may contain the names of slides."""
        return self.pseudonymise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBatch(BatchOptions):
    """The options of a batch that has begun, with all that was found out for it; `signetscan.batch.run.prepared`."""

    model_sha256: str
    """SHA-256 of the model's file when the batch began. Workers read the file again, some of them hours later."""
    calibrated: CalibratedThreshold | None
    """What the calibration's file held when the batch began; None if there is none."""
    task: Task = Task.DETECTION
    """What is done to the slides."""

    @classmethod
    def of(
        cls,
        options: BatchOptions,
        *,
        model_sha256: str,
        calibrated: CalibratedThreshold | None,
        task: Task = Task.DETECTION,
    ) -> Self:
        """The options with what was found out."""
        values = {each.name: getattr(options, each.name) for each in fields(BatchOptions)}
        return cls(**values, model_sha256=model_sha256, calibrated=calibrated, task=task)


def pinned_model(request: BatchOptions) -> str | None:
    """The SHA-256 that the model's file must have; None if any will do, because the batch was not prepared."""
    return request.model_sha256 if isinstance(request, PreparedBatch) else None


def calibrated_of(request: BatchOptions) -> CalibratedThreshold | None:
    """The threshold by the calibration; None if there is none, or the batch was not prepared."""
    return request.calibrated if isinstance(request, PreparedBatch) else None


def task_of_batch(request: BatchOptions) -> Task:
    """What is done to the slides of a batch."""
    return request.task if isinstance(request, PreparedBatch) else Task.DETECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions:
    """The budget of a calibration, and how its intervals are computed.

    Raises:
        OptionError: a value is out of range.
    """

    false_positives_per_mm2: float = option(
        DEFAULT_BUDGET,
        Option(help="False positives per mm² of normal tissue that the threshold allows.", low=0, above=True, high=1e6),
    )
    bootstrap: int = option(
        1000,
        Option(
            help="Resamples for the 95% intervals; 0 for Poisson's intervals, as where slides are few.",
            low=0,
            high=100_000,
        ),
    )
    seed: int = option(
        0, Option(help="Seed of the resamples: the same seed gives the same intervals.", low=0, high=2**63 - 1)
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """How a folder is watched.

    Raises:
        OptionError: a value is out of range.
    """

    settle: float = option(
        60.0,
        Option(
            help="Time for which a slide's files must stay unchanged before it is scanned.", unit="s", low=0, above=True
        ),
    )
    every: float = option(10.0, Option(help="Time between two checks of the folder.", unit="s", low=0, above=True))
    until_idle: bool = option(False, Option(help="Stop when all slides in the folder are done."))

    def __post_init__(self) -> None:
        check_options(self)


def list_columns(options: type) -> tuple[str, ...]:
    """Columns that a list of slides may have besides `path`; each overrides the option of its name for one slide.

    Args:
        options: the class of the options that say how each slide is scanned.
    """
    return (*per_slide(BatchOptions), *per_slide(options))


LIST_COLUMNS = list_columns(ScanOptions)
"""Columns of a list of slides on which cells are detected."""
