"""`signetscan calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from signetscan.batch.options import BatchOptions, CalibrateOptions
from signetscan.cli.console import FILE, json_result, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.cli.scan_messages import ScanMessages, area_in_words
from signetscan.cli.scanning import AS_JSON, QUIET, ends_cleanly
from signetscan.cli.statuses import FATAL
from signetscan.plurals import amount, counted
from signetscan.results.calibration import IntervalKind, allowed
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.batch.calibrate import CalibrationRun
    from signetscan.batch.outcome import SlideScanned, SlideSkipped
    from signetscan.results.calibration import Calibration, Rate

OUT = Path("signetscan-calibration")
"""The default folder is not that of `detect`, whose results have another threshold."""


@click.command()
@click.argument("model")
@click.argument("paths", type=FILE, nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--out", "-o", type=FILE, default=OUT, help="Folder for calibration.json and the detections on normal tissue."
)
@flags_of(
    CalibrateOptions,
    BatchOptions,
    ScanOptions,
    leave_out=("model", "out", "calibration", "region_formats", "shard", "threshold", "tissue_mask", "trim_tiles"),
)
@AS_JSON
@QUIET
@click.pass_context
def calibrate(
    context: click.Context,
    /,
    model: str,
    paths: tuple[Path, ...],
    out: Path,
    *,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Choose a MODEL's threshold on slides that you know to be normal.

    Give slides, images, or folders of them without any signet ring cell, or with --roi the regions without any. They
    are scanned down to score 0.02, and every detection counts as a false positive. Prints the false positives per mm²
    of tissue at each threshold, with 95% intervals, and the lowest threshold within --false-positives-per-mm2, and
    writes calibration.json, from which detect takes it: detect slides --calibration calibration.json. Run the same
    command again to go on where it was stopped.

    Exit status: as for detect; 1 also if the tissue is too little, or the false positives too many, for a threshold.

    Example: signetscan calibrate mine.onnx normal-slides --out site
    """
    from signetscan.batch.calibrate import calibrate as calibrate_model

    request = given(BatchOptions, values | {"model": model, "out": out})
    options, calibrate_options = given(ScanOptions, values), given(CalibrateOptions, values)
    with (
        ends_cleanly(context),
        ScanMessages(request, context.command, as_json=as_json, quiet=quiet, tell=_false_positives) as messages,
    ):
        run = calibrate_model(paths, request, options, calibrate_options, on_event=messages.take)
    if run.calibration is None:
        _say_planned(run, calibrate_options, quiet=quiet)
    elif as_json:
        json_result({"calibration": str(run.path), **run.calibration.to_json()})
    else:
        _say(run, run.calibration, quiet=quiet)
    has_none = run.calibration is not None and run.calibration.threshold is None
    status = messages.status or (FATAL if has_none else 0)
    if status:
        context.exit(status)


def _false_positives(outcome: SlideScanned | SlideSkipped) -> str:
    """The line of a slide."""
    record = outcome.record
    lowest = record.options["threshold"]
    return f"{counted(record.total, 'false positive')} from score {lowest} on{area_in_words(record, 3)}"


def _say_planned(run: CalibrationRun, options: CalibrateOptions, *, quiet: bool) -> None:
    if not run.tissue_mm2:
        note("There is no calibration, because no slide was scanned.")
        return
    budget = options.false_positives_per_mm2
    fit = counted(allowed(budget, run.tissue_mm2), "false positive")
    note(f"{amount(run.tissue_mm2, 2)} mm² of tissue; a budget of {budget:g} per mm² allows {fit}.", quiet=quiet)


def _say(run: CalibrationRun, calibration: Calibration, *, quiet: bool) -> None:
    result(f"{'threshold':>9}  {'false positives':>15}  {'per mm²':>9}  95% interval")
    for rate in _up_to_none(calibration):
        mark = f"  <- at most {calibration.budget:g}" if rate.threshold == calibration.threshold else ""
        interval = f"{_short(rate.low)} to {_short(rate.high)}"
        result(f"{rate.threshold:9.4g}  {rate.false_positives:15}  {_short(rate.per_mm2):>9}  {interval}{mark}")
    tissue = f"{amount(calibration.tissue_mm2, 2)} mm² of normal tissue on {counted(calibration.slides, 'slide')}"
    chosen = calibration.chosen
    if chosen is None:
        note(f"Error: no threshold: {calibration.why_no_threshold}.")
    else:
        how = "slides resampled" if chosen.interval is IntervalKind.BOOTSTRAP else "Poisson's"
        interval = f"{_short(chosen.low)} to {_short(chosen.high)}, {how}"
        found = f"{_short(chosen.per_mm2)} false positives per mm² ({interval}) on {tissue}"
        result(f"Threshold {chosen.threshold:.4g} for {calibration.model}: {found}")
    for line in calibration.notes:
        note(f"Note: {line}.", quiet=quiet)
    result(f"  {run.path}")


def _up_to_none(calibration: Calibration) -> Iterator[Rate]:
    """The rates from the lowest threshold to the first, from the chosen one on, at which nothing is left."""
    for rate in calibration.rates:
        yield rate
        if not rate.false_positives and rate.threshold >= (calibration.threshold or 0):
            return


def _short(rate: float) -> str:
    """A rate with three digits, and no power of ten."""
    return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"
