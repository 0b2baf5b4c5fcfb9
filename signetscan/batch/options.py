"""What a batch is asked for: which slides, where their results go, and who scans them. Nothing here is heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signetscan.errors import OptionError
from signetscan.formats.result_files import SUFFIXES, USUAL_FORMATS
from signetscan.models.runtime import Device  # noqa: TC001 - options know their types
from signetscan.models.store import DEFAULT_MODEL
from signetscan.options import Option, check_options, option, per_slide
from signetscan.scan.options import ScanOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What is wanted of a batch of slides; how each is scanned, `ScanOptions` say.

    Raises:
        OptionError: a value is out of range, or two do not go together.
    """

    out: Path = option(
        Path("signetscan-results"), Option(help="Folder for the results, made if need be.", changes_result=False)
    )
    model: str = option(DEFAULT_MODEL, Option(help="Name of a shipped model (accurate, fast), or an ONNX file."))
    device: Device = option(
        "auto",
        Option(help="Where the model runs; cuda and tensorrt need an NVIDIA GPU, auto takes a GPU if it can."),
    )
    threads: int | None = option(
        None, Option(help="CPU threads of the model.", low=1, default="one per core", changes_result=False)
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
            help="Scan only the annotations of this GeoJSON, drawn in QuPath; or a folder with NAME.geojson for each "
            "slide.",
            default="whole slides",
        ),
    )
    bounds_crop: bool = option(
        True, Option(help="Count GeoJSON from the slide's bounds, as QuPath shows it, or from level 0.")
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
    report: bool = option(
        False,
        Option(
            help="Write NAME.report.html for each slide, and index.html, which lists them all.", changes_result=False
        ),
    )
    overwrite: bool = option(False, Option(help="Scan slides again that are already done.", changes_result=False))
    pseudonymise: Path | None = option(
        None,
        Option(help="Name results by a hash of the slides' names, keyed by this file.", default="by the slides' names"),
    )
    workers: int | None = option(
        None, Option(help="Slides scanned at a time.", low=1, default="1, or one per GPU", changes_result=False)
    )
    slide_timeout: float | None = option(
        None,
        Option(
            help="Time after which a slide is given up.",
            unit="s",
            low=0,
            above=True,
            default="none",
            changes_result=False,
        ),
    )
    shard: str | None = option(
        None,
        Option(help="Only the I-th of N parts of the slides, as I/N, such as 3/10.", default="all"),
    )
    dask: str | None = option(
        None,
        Option(
            help="Scan on a Dask cluster: its scheduler's address or file, or local for one on this machine.",
            default="none",
            changes_result=False,
        ),
    )
    dry_run: bool = option(False, Option(help="Say what would be done, and write nothing.", changes_result=False))
    log_file: Path | None = option(
        None, Option(help="Append what happens to this file, in JSON lines.", default="none", changes_result=False)
    )
    verbose: bool = option(False, Option(help="Say more.", changes_result=False))

    def __post_init__(self) -> None:
        check_options(self)
        if self.private and "dicom" in self.formats:
            message = "DICOM annotations copy the patient from the slide, so they do not go with pseudonyms"
            raise OptionError(message, options=("formats", "pseudonymise"))
        if self.dask is not None and (self.dry_run or self.slide_timeout):
            message = "a Dask cluster takes neither a dry run nor a time limit for slides"
            raise OptionError(message, options=("dask", "dry_run", "slide_timeout"))

    @property
    def private(self) -> bool:
        """Whether slides have other names in results, so that nothing else may name them."""
        return self.pseudonymise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """How a folder is watched.

    Raises:
        OptionError: a value is out of range.
    """

    settle: float = option(
        60.0,
        Option(
            help="Time for which a slide's files must not change before it is scanned.", unit="s", low=0, above=True
        ),
    )
    every: float = option(10.0, Option(help="Time between two looks at the folder.", unit="s", low=0, above=True))
    until_idle: bool = option(False, Option(help="End once all slides that are there are done."))

    def __post_init__(self) -> None:
        check_options(self)


LIST_COLUMNS = (*per_slide(BatchOptions), *per_slide(ScanOptions))
"""Columns that a list of slides may have beside `path`; each overrides the option of its name for one slide."""
