"""The output of `detect` and `watch`: results on stdout, progress on stderr."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, assert_never

from signetscan.atomic import free_bytes
from signetscan.batch.events import Awaited, Begun, Ended, Finished, LogLost, Noted, Progressed, Retried, Started
from signetscan.batch.messages import Ready
from signetscan.batch.outcome import SlideFailed, SlidePlanned, SlideScanned, SlideSkipped, outcome_facts
from signetscan.cli.console import note, result, stages
from signetscan.cli.flags import with_flags
from signetscan.cli.statuses import FATAL, SOME_FAILED
from signetscan.errors import SlideError
from signetscan.models.runtime import runtime_versions
from signetscan.plurals import amount, counted
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    import click

    from signetscan.batch.events import Event
    from signetscan.batch.find import SlideTask
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.cli.console import Stage, Update
    from signetscan.results.run_record import RunRecord

BYTES_PER_CELL = 500
"""About the size of a detection in GeoJSON and CSV together, bytes."""


class ScanMessages:
    """Prints the events of one batch after another. Use it in a `with` block, which removes the progress bars.

    Args:
        request: options of the batch.
        command: the command, whose flags errors name.
        as_json: whether to print results as lines of JSON.
        quiet: whether to print only errors and results.
        tell: what to say of a scanned slide; its detections by default.
    """

    def __init__(
        self,
        request: BatchOptions,
        command: click.Command,
        *,
        as_json: bool,
        quiet: bool,
        tell: Callable[[SlideScanned | SlideSkipped], str] | None = None,
    ) -> None:
        self._request, self._command, self._tell = request, command, tell or _detections
        self._as_json, self._quiet = as_json, quiet
        self.failed_in_all = 0
        """Slides that failed in all batches so far."""
        self._log_is_lost = False
        self._bars = ExitStack()
        self._stage: Stage
        self._ready: Ready | None = None
        self._begin(())

    def __enter__(self) -> Self:
        """Use in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the progress bars."""
        self._bars.close()

    @property
    def status(self) -> int:
        """The exit status that the events so far call for."""
        if self.failed_in_all:
            return SOME_FAILED
        return FATAL if self._log_is_lost else 0

    def take(self, event: Event) -> None:  # noqa: C901 - one case for each event
        """Print an event."""
        match event:
            case Begun():
                self._begin(event.tasks)
                self._show_bars()
            case Noted():
                note(f"Note: {event.text}.", quiet=self._quiet)
            case Ready():
                self._say_ready(event)
            case Progressed():
                self._progress(event)
            case Started():
                note(f"{printable(event.name)}: started", quiet=self._quiet or not self._request.verbose)
            case Awaited():
                waiting = f"{printable(event.name)}: waiting, because another run is working on it"
                note(waiting, quiet=self._quiet or not self._request.verbose)
            case Retried():
                note(f"{self._about_slide(event)}. It will be tried once more.", quiet=self._quiet)
            case Ended():
                self._ended(event.outcome)
            case LogLost():
                self._log_is_lost = True
                note(f"Error: {event.path}: the log cannot be written: {event.reason}. The scan goes on without it.")
            case Finished():
                self._finish(event)
            case _:
                assert_never(event)

    def _begin(self, tasks: tuple[SlideTask, ...]) -> None:
        self._files = {task.name: task.name if self._request.private else task.place.name for task in tasks}
        self._alone = len(tasks) == 1
        self._ended_slides = 0
        self._tiles: dict[str, Update] = {}
        self._slides: Update | None = None
        self._seconds = 0.0
        self._planned_done = 0

    def _show_bars(self) -> None:
        self._stage = self._bars.enter_context(stages(quiet=self._quiet))
        if len(self._files) > 1:
            self._slides = self._stage("slides", "slides", brief=False)
            self._slides(0, len(self._files))

    def _finish(self, event: Finished) -> None:
        """Print a summary of all slides, and where the list of reports is."""
        self._bars.close()
        self.failed_in_all += event.failed
        if self._seconds:
            minutes = round(self._seconds / 60)
            length = f"About {counted(minutes, 'minute')}" if minutes else "Less than a minute"
            note(
                f"{length}, by the model's speed on one tile here, and {BYTES_PER_CELL} bytes per cell; "
                f"{amount(free_bytes(self._request.out) / 1e9, 0)} GB are free."
            )
        if not self._alone:
            skipped = event.skipped + self._planned_done
            what = "to scan" if self._request.dry_run else "scanned"
            parts = [f"{counted(event.done - self._planned_done, 'slide')} {what}"]
            parts += [f"{skipped} already done"] if skipped else []
            parts += [f"{event.failed} failed"] if event.failed else []
            note(", ".join(parts), quiet=self._quiet)
        if event.index is not None:
            note(f"Reports: {printable(str(event.index))}", quiet=self._quiet)

    def _say_ready(self, ready: Ready) -> None:
        if self._ready is not None:  # another worker of the same kind
            return
        self._ready = ready
        line = f"Model {ready.model} runs on {ready.runs_on.name}."
        if ready.precision == "int8" and ready.runs_on.on_gpu:
            line += " This int8 model is made for CPUs, and is slow on a GPU."
        if self._request.device == "auto" and not ready.runs_on.on_gpu and "onnxruntime-gpu" in runtime_versions():
            line += " onnxruntime-gpu is installed, but CUDA could not be loaded; --device cuda shows why."
        note(line, quiet=self._quiet)
        if ready.learnt_from:
            note(f"What it learnt from: {ready.learnt_from}", quiet=self._quiet)
        for caution in ready.cautions:
            note(f"Caution: model {ready.model} is to be doubted: {printable(caution)}.", quiet=self._quiet)

    def _about_slide(self, failure: SlideFailed | Retried) -> str:
        """The reason of a failure and the flags that would help, after the slide's name unless the reason has it."""
        error = SlideError(printable(failure.reason), options=failure.options)
        reason, file_name = with_flags(error, self._command), printable(failure.name.rpartition("/")[2])
        if printable(self._files[failure.name]) in reason:
            return reason
        return f"{printable(failure.name)}: {reason.removeprefix(f'{file_name}: ')}"

    def _progress(self, event: Progressed) -> None:
        if event.name not in self._tiles:
            title = printable(self._files[event.name] if self._alone else event.name)
            self._tiles[event.name] = self._stage(title, "tiles", brief=not self._alone)
        self._tiles[event.name](event.done, event.total)

    def _ended(self, outcome: SlideOutcome) -> None:
        self._tiles.pop(outcome.name, None)
        self._ended_slides += 1
        if self._slides is not None:
            self._slides(self._ended_slides, len(self._files))
        if not isinstance(outcome, SlideFailed):
            for warning in outcome.warnings:
                note(f"Warning: {printable(outcome.name)}: {printable(warning)}", quiet=self._quiet)
        if isinstance(outcome, SlidePlanned):
            self._planned_done += outcome.plan.done
            speed = None if self._ready is None else self._ready.megapixels_per_s
            self._seconds += outcome.plan.megapixels / speed if speed and not outcome.plan.done else 0
        if self._as_json:
            result(json.dumps(outcome_facts(outcome)))
        else:
            self._say(outcome)

    def _say(self, outcome: SlideOutcome) -> None:
        name = printable(self._files[outcome.name] if self._alone else outcome.name)
        match outcome:
            case SlideFailed():
                note(f"Error: {self._about_slide(outcome)}")
            case SlidePlanned():
                plan = outcome.plan
                size = f"{plan.width_px} x {plan.height_px} px of {plan.mpp.x:g} µm ({plan.mpp.source})"
                state = (
                    "already done"
                    if plan.done
                    else f"{counted(plan.tiles, 'tile')} of {amount(plan.megapixels, 1)} Mpx"
                )
                result(f"{name}: {size}: {state}")
            case SlideScanned() | SlideSkipped():
                skipped = ", already done" if isinstance(outcome, SlideSkipped) else ""
                result(f"{name}: {self._tell(outcome)}{skipped}")
                for path in outcome.files if self._alone else ():
                    result(f"  {path}")
            case _:
                assert_never(outcome)


def _detections(outcome: SlideScanned | SlideSkipped) -> str:
    """What was detected, and where it was looked for."""
    record = outcome.record
    counts = ", ".join(counted(count, _in_sentence(printable(label))) for label, count in record.detections.items())
    tiles = f"{record.tiles.scanned} of {counted(record.tiles.grid, 'tile')}"
    # Where nothing was scanned, a warning says so.
    nothing = "; no detection does not mean no cancer" if record.tiles.scanned and not record.total else ""
    return f"{counts} in {tiles}{area_in_words(record)}{nothing}"


def area_in_words(record: RunRecord, decimals: int = 1) -> str:
    """The area of tissue on a slide, and of what could not be read if any."""
    tissue = "" if record.tissue_mm2 is None else f" ({amount(record.tissue_mm2, decimals)} mm² of tissue)"
    return tissue + (f", {amount(record.unread_mm2, 4)} mm² unread" if record.unread_mm2 > 0 else "")


def _in_sentence(class_name: str) -> str:
    """A class name without its capital, unless that belongs to an abbreviation."""
    return class_name[0].lower() + class_name[1:] if class_name[1:2].islower() else class_name
