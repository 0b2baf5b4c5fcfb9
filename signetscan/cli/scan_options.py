"""The options that `detect` and `watch` share, and what they ask of a batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from signetscan.cli.console import FILE, POSITIVE, SHARE
from signetscan.formats.result_files import SUFFIXES, USUAL_FORMATS, check_libraries
from signetscan.models.store import DEFAULT_MODEL, find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import ScanRequest

DETECT_FIELDS = {
    "tile_size": "tile_size",
    "overlap": "tile_overlap",
    "threshold": "score_threshold",
    "nms_iou": "nms_iou",
    "batch_size": "batch_size",
    "readers": "readers",
    "tissue_mask": "use_tissue_mask",
    "min_tissue": "min_tissue_um2",
    "max_bad_area": "max_unread_share",
}
"""Field of `DetectOptions` that each option sets."""

OPTIONS = (
    click.option(
        "--out",
        "-o",
        type=FILE,
        default=Path("signetscan-results"),
        help="Folder for the results; made if it is not there.",
    ),
    click.option(
        "--roi",
        type=FILE,
        help="Keep to the annotations of this GeoJSON, drawn in QuPath; or a folder with NAME.geojson for each slide.  "
        "[default: whole slides]",
    ),
    click.option(
        "--format",
        "formats",
        type=click.Choice(list(SUFFIXES)),
        multiple=True,
        default=USUAL_FORMATS,
        help="Of the results; may be given several times.",
    ),
    click.option(
        "--report", is_flag=True, help="Write NAME.report.html for each slide, and index.html, a list of all."
    ),
    click.option("--model", default=DEFAULT_MODEL, help="Name of a shipped model (accurate, fast), or an ONNX file."),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
        default="auto",
        help="cuda and tensorrt must run on an NVIDIA GPU or fail; auto takes a GPU if it can.",
    ),
    click.option("--mpp", type=POSITIVE, help="Size of the slides' pixels, um/px.  [default: what the files say]"),
    click.option("--threshold", type=SHARE, help="Lowest score reported.  [default: the model's]"),
    click.option(
        "--nms-iou",
        type=SHARE,
        help="Of two boxes that overlap by more than this IoU one is kept.  [default: the model's]",
    ),
    click.option("--tile-size", type=int, help="Side of a tile, pixels at the model's mpp.  [default: the model's]"),
    click.option("--overlap", type=int, help="Overlap of tiles, pixels at the model's mpp.  [default: the model's]"),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 1024),
        help="Tiles given to the model at once.  [default: 1 on a CPU, 8 on a GPU]",
    ),
    click.option(
        "--readers", type=click.IntRange(1, 256), help="Threads that read tiles.  [default: one a core, at most 8]"
    ),
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the model.  [default: one a core]"),
    click.option("--tissue-mask/--no-tissue-mask", default=True, help="Skip tiles without tissue, or scan everything."),
    click.option(
        "--min-tissue",
        type=click.FloatRange(min=0),
        default=1000.0,
        help="Smallest piece of tissue that is scanned, um2; less is dust.",
    ),
    click.option(
        "--max-bad-area",
        type=SHARE,
        default=0.0,
        help="Share of the area that may be damaged and stay unread; a slide with more fails.",
    ),
    click.option(
        "--bounds-crop/--no-bounds-crop",
        default=True,
        help="GeoJSON counts from the slide's bounds, as QuPath shows it, or from level 0.",
    ),
    click.option("--workers", type=click.IntRange(min=1), help="Slides at a time.  [default: 1, or one a GPU]"),
    click.option("--slide-timeout", type=POSITIVE, help="Seconds after which a slide is given up.  [default: none]"),
    click.option("--overwrite", is_flag=True, help="Scan again what is done already."),
    click.option(
        "--pseudonymise",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="KEYFILE",
        help="Name results by a keyed hash of the slides' names.  [default: by these]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a slide."),
    click.option("--log-file", type=FILE, help="Add what happens to this file, in JSON lines.  [default: none]"),
    click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and results."),
    click.option("--verbose", "-v", is_flag=True, help="Say more."),
)

Command = TypeVar("Command", bound="Callable[..., Any]")


def scan_options(command: Command) -> Command:
    """Give a command all of `OPTIONS`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def renamed(tasks: list[SlideTask], options: dict[str, Any]) -> list[SlideTask]:
    """The slides, by other names if that is asked for."""
    from signetscan.batch.find import with_pseudonyms

    key = options["pseudonymise"]
    return tasks if key is None else with_pseudonyms(tasks, key.read_bytes())


def check_roi(path: Path | None, *, one_slide: bool) -> None:
    """See to it that a region of interest is there, and is not one for slides that it was not drawn on."""
    if path is None:
        return
    if not path.exists():
        message = f"--roi {path}: no such file or folder"
        raise click.UsageError(message)
    if not one_slide and not path.is_dir():
        message = f"--roi {path}: one region for several slides; name a folder with NAME.geojson for each"
        raise click.UsageError(message)


def workers_of(options: dict[str, Any]) -> tuple[int, list[dict[str, str]]]:
    """How many slides are scanned at a time, and the environment variables of their processes, in turn."""
    gpus = [] if options["device"] == "cpu" else _gpus()
    return options["workers"] or max(1, len(gpus)), [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}]


def request_of(options: dict[str, Any], *, workers: int) -> ScanRequest:
    """What is wanted of every slide."""
    from signetscan.batch.outcome import ScanRequest
    from signetscan.concurrency import cpu_count

    check_libraries([*options["formats"], *(["report"] if options["report"] else [])])
    if options["pseudonymise"] is not None and "dicom" in options["formats"]:
        message = "--format dicom copies the patient from the slide, so it does not go with --pseudonymise"
        raise click.UsageError(message)
    return ScanRequest(
        model=find_model(options["model"]),
        out=options["out"],
        device=options["device"],
        threads=options["threads"] or (max(1, cpu_count() // workers) if workers > 1 else None),
        options={name: options[option] for option, name in DETECT_FIELDS.items()},
        mpp=options["mpp"],
        crop_to_bounds=options["bounds_crop"],
        roi=options["roi"],
        formats=tuple(dict.fromkeys(options["formats"])),
        report=options["report"],
        overwrite=options["overwrite"],
        dry_run=options.get("dry_run", False),  # watch has none
        private=options["pseudonymise"] is not None,
        verbose=options["verbose"],
    )


def _gpus() -> list[str]:
    """The GPUs that workers share out among them, if there are several."""
    import shutil
    import subprocess

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        found = [each.strip() for each in visible.split(",") if each.strip()]
    elif shutil.which("nvidia-smi") is None:
        found = []
    else:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
        found = [str(index) for index, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
    return found if len(found) > 1 else []
