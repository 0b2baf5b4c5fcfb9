"""`signetscan detect`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from signetscan.cli.console import POSITIVE, note, stages
from signetscan.cli.detect_report import Report
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED, SOME_FAILED
from signetscan.model_store import DEFAULT_MODEL, find_model

if TYPE_CHECKING:
    from collections.abc import Generator

    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import ScanRequest
    from signetscan.batch.run import Batch, Event

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


@click.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="PATH...")
@click.option(
    "--list",
    "listed",
    type=click.File(encoding="utf-8-sig"),
    help="CSV of slides: path, and any of mpp, threshold, nms_iou, tile_size, overlap; - is stdin.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("signetscan-results"),
    help="Folder for the results; made if it is not there.",
)
@click.option("--model", default=DEFAULT_MODEL, help="Name of a shipped model (accurate, fast), or an ONNX file.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
    default="auto",
    help="cuda and tensorrt must run on an NVIDIA GPU or fail; auto takes a GPU if it can.",
)
@click.option("--mpp", type=POSITIVE, help="Size of the slides' pixels, um/px, in place of what the files say.")
@click.option("--threshold", type=float, help="Lowest score reported, 0 to 1.  [default: the model's]")
@click.option(
    "--nms-iou", type=float, help="Of two boxes that overlap by more than this IoU one is kept.  [default: the model's]"
)
@click.option("--tile-size", type=int, help="Side of a tile, pixels at the model's mpp.  [default: the model's]")
@click.option("--overlap", type=int, help="Overlap of tiles, pixels at the model's mpp.  [default: the model's]")
@click.option("--batch-size", type=int, help="Tiles given to the model at once.  [default: 1 on a CPU, 8 on a GPU]")
@click.option("--readers", type=int, help="Threads that read tiles.  [default: one a core, at most 8]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the model.  [default: one a core]")
@click.option("--tissue-mask/--no-tissue-mask", default=True, help="Skip tiles without tissue, or scan everything.")
@click.option(
    "--min-tissue", type=float, default=1000.0, help="Smallest piece of tissue that is scanned, um2; less is dust."
)
@click.option(
    "--max-bad-area",
    type=float,
    default=0.0,
    help="Share of the area that may be damaged and stay unread, 0 to 1; a slide with more fails.",
)
@click.option(
    "--bounds-crop/--no-bounds-crop",
    default=True,
    help="GeoJSON counts from the slide's bounds, as QuPath shows it, or from level 0.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Slides at a time.  [default: 1, or one a GPU]")
@click.option("--slide-timeout", type=POSITIVE, help="Seconds after which a slide is given up.  [default: none]")
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts of the slides, such as 3/10.")
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Scan on a Dask cluster: its scheduler's address or file, or local (see --workers).",
)
@click.option("--overwrite", is_flag=True, help="Scan again what is done already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option(
    "--pseudonymise",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="KEYFILE",
    help="Name results by a keyed hash of the slides' names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a slide.")
@click.option("--log-file", type=click.Path(path_type=Path), help="Add what happens to this file, in lines of JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and results.")
@click.option("--verbose", "-v", is_flag=True, help="Say more.")
@click.pass_context
def detect(context: click.Context, /, paths: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in slides: files, folders, patterns, and those of a list.

    For each writes NAME.geojson (drag it onto the slide in QuPath), NAME.csv and NAME.run.json. A file appears only
    when it is whole. What is done already, with the same model and options, is skipped.

    Exit status: 0 all done, 1 stopped by an error, 2 wrong usage, 3 some slides failed, 4 no such device or model,
    130 interrupted.

    Example: signetscan detect biopsy.svs --out results
    """
    from signetscan.batch.journal import Journal
    from signetscan.errors import DeviceError, ModelError

    tasks = _tasks(paths, options)
    try:
        batch = _batch(tasks, options)
        with Journal(options["log_file"]) as journal:
            with stages(quiet=options["quiet"]) as stage:
                said = {"as_json": options["as_json"], "quiet": options["quiet"]}
                report = Report(tasks, options["out"], journal, stage, **said)
                _run(_events(batch, options), report)
            report.close()
    except (DeviceError, ModelError) as error:
        _fail(str(error), ENVIRONMENT)
    except KeyboardInterrupt:
        note("Interrupted. Started again, the run goes on with the slides that are not done.")
        context.exit(INTERRUPTED)
    if report.failed:
        context.exit(SOME_FAILED)


def _fail(message: str, status: int) -> NoReturn:
    kind = type("Failure", (click.ClickException,), {"exit_code": status})
    raise kind(message)


def _tasks(paths: tuple[Path, ...], options: dict[str, Any]) -> list[SlideTask]:
    from signetscan.batch.find import find_slides, read_list, shard_of, with_pseudonyms

    listed = []
    if options["listed"] is not None:
        source = getattr(options["listed"], "name", "<stdin>")
        listed = read_list(options["listed"], source, Path() if source == "<stdin>" else Path(source).parent)
    if not paths and not listed:
        message = "name slides, folders of slides, or a list of them by --list"
        raise click.UsageError(message)
    tasks = find_slides(paths, listed)
    if options["pseudonymise"] is not None:
        tasks = with_pseudonyms(tasks, options["pseudonymise"].read_bytes())
    return tasks if options["shard"] is None else shard_of(tasks, options["shard"])


def _batch(tasks: list[SlideTask], options: dict[str, Any]) -> Batch:
    from signetscan.batch.outcome import ScanRequest
    from signetscan.batch.run import Batch
    from signetscan.concurrency import cpu_count

    gpus = [] if options["device"] == "cpu" else _gpus()
    workers = options["workers"] or max(1, len(gpus))
    request: ScanRequest = ScanRequest(
        model=find_model(options["model"]),
        out=options["out"],
        device=options["device"],
        threads=options["threads"] or (max(1, cpu_count() // workers) if workers > 1 else None),
        options={name: options[option] for option, name in DETECT_FIELDS.items()},
        mpp=options["mpp"],
        crop_to_bounds=options["bounds_crop"],
        overwrite=options["overwrite"],
        dry_run=options["dry_run"],
        private=options["pseudonymise"] is not None,
    )
    return Batch(
        request=request,
        tasks=tasks,
        workers=workers,
        slide_timeout=options["slide_timeout"],
        environments=[{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}],
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


def _events(batch: Batch, options: dict[str, Any]) -> Generator[Event]:
    """What happens when the batch runs, here or on a cluster."""
    if options["dask"] is None:
        return batch.run()
    if options["dry_run"] or options["slide_timeout"]:
        message = "--dask goes with neither --dry-run nor --slide-timeout"
        raise click.UsageError(message)
    from signetscan.batch.cluster import run_on_cluster

    return run_on_cluster(options["dask"], batch.request, batch.tasks, workers=batch.workers)


def _run(events: Generator[Event], report: Report) -> None:
    """Take all events; a request to end, like Ctrl-C, ends the run cleanly."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt) if hasattr(signal, "SIGTERM") else None
    try:
        for event in events:
            report.take(event)
    finally:
        events.close()
        if before is not None:
            signal.signal(signal.SIGTERM, before)
