"""What `detect` and `watch` say: results on stdout, how it goes on stderr, and both in the log file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from signetscan.atomic import free_bytes
from signetscan.batch.outcome import printable
from signetscan.cli.console import note, result
from signetscan.formats.result_files import RECORD_SUFFIX, REPORT_SUFFIX
from signetscan.models.runtime import CPU_PROVIDER, runtime_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.batch.find import SlideTask
    from signetscan.batch.journal import Journal
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.batch.run import Event
    from signetscan.cli.console import Stage, Update

BYTES_A_CELL = 500
"""A detection takes about so many bytes of GeoJSON and CSV together."""


class ScanMessages:
    """Takes the events of a batch.

    Args:
        tasks: the slides.
        journal: the log file.
        stage: shows how far things are; see `console.stages`.
        options: the command's.
    """

    def __init__(self, tasks: Sequence[SlideTask], journal: Journal, stage: Stage, options: Mapping[str, Any]) -> None:
        self._out: Path = options["out"]
        self._as_json, self._quiet, self._verbose = options["as_json"], options["quiet"], options["verbose"]
        self._device, self._has_reports = options["device"], options["report"]
        self.failed = self.done = self.skipped = 0
        private = options["pseudonymise"] is not None
        self._files = {task.name: task.name if private else task.path.name for task in tasks}
        self._alone = len(tasks) == 1
        self._total = len(tasks)
        self._journal, self._stage = journal, stage
        self._slides: Update | None = None if self._alone else stage("slides", "slides", brief=False)
        self._tiles: dict[str, Update] = {}
        self._about: dict[str, Any] = {}
        self._seconds = 0.0
        journal.note("begins", slides=len(tasks))

    def take(self, event: Event) -> None:
        """Say what an event has to say."""
        name = printable(event.name)
        if event.kind == "ready":
            self._ready(event.content)
        elif event.kind == "progress":
            self._progress(event.name, *event.content)
        elif event.kind == "ended":
            self._ended(event.content)
        else:
            reason = printable(event.content or "")
            if event.kind != "awaited":
                self._journal.note(event.kind, slide=name, **({"reason": reason} if reason else {}))
            if event.kind != "retried":
                note(f"{name}: {event.kind}", quiet=not self._verbose)
            else:
                said = self._about_slide(event.name, reason)
                note(f"{said}. It is tried once more.", quiet=self._quiet)

    def close(self, *, index: Path | None = None) -> None:
        """Say what became of all slides, and where the list of their reports is."""
        self._journal.note("ends", done=self.done, skipped=self.skipped, failed=self.failed)
        if self._seconds:
            length = f"About {self._seconds / 60:.0f} minutes" if self._seconds >= 60 else "Less than a minute"
            note(
                f"{length}, by the model's speed on one tile here, and {BYTES_A_CELL} "
                f"bytes for each cell found; {free_bytes(self._out) / 1e9:.0f} GB are free."
            )
        elif not self._alone:
            note(f"{self.done} done, {self.skipped} done before, {self.failed} failed", quiet=self._quiet)
        if index is not None:
            note(f"Reports: {printable(str(index))}", quiet=self._quiet)

    def _ready(self, about: dict[str, Any]) -> None:
        self._journal.note("ready", model=about["model"], provider=about["provider"])
        if self._about:  # another worker of the same kind
            return
        self._about = about
        line = f"Model {about['model']} runs on {about['provider']}."
        if about["precision"] == "int8" and about["provider"] != CPU_PROVIDER:
            line += " A model in 8-bit integers is made for CPUs, and slow there."
        if self._device == "auto" and about["provider"] == CPU_PROVIDER and "onnxruntime-gpu" in runtime_versions():
            line += " onnxruntime-gpu is installed, but CUDA could not be loaded: try --device cuda to see why."
        note(line, quiet=self._quiet)

    def _about_slide(self, name: str, reason: str) -> str:
        """A reason, with the slide's name before it unless it says that itself."""
        reason, last = printable(reason), printable(name.rpartition("/")[2])
        if printable(self._files[name]) in reason:
            return reason
        return f"{printable(name)}: {reason.removeprefix(f'{last}: ')}"

    def _progress(self, name: str, done: int, total: int) -> None:
        if name not in self._tiles:
            shown = printable(self._files[name] if self._alone else name)
            self._tiles[name] = self._stage(shown, "tiles", brief=not self._alone)
        self._tiles[name](done, total)

    def _ended(self, outcome: SlideOutcome) -> None:
        name = printable(outcome.name)
        self._tiles.pop(outcome.name, None)
        if outcome.status == "failed":
            self.failed += 1
        elif outcome.status == "skipped":
            self.skipped += 1
        else:
            self.done += 1
        if self._slides is not None:
            self._slides(self.done + self.skipped + self.failed, self._total)
        for warning in outcome.warnings:
            note(f"Warning: {name}: {printable(warning)}", quiet=self._quiet)
        facts = _facts(outcome)
        self._journal.note("ended", **facts)
        if self._as_json:
            result(json.dumps(facts))
        elif outcome.status == "failed":
            note(f"Error: {self._about_slide(outcome.name, outcome.reason)}")
        else:
            self._say(outcome, name)

    def _say(self, outcome: SlideOutcome, name: str) -> None:
        file_name = printable(self._files[outcome.name]) if self._alone else name
        record = outcome.record
        if record is None:
            plan: Any = outcome.planned
            self._seconds += 0 if plan["done"] else plan["megapixels"] / self._about["megapixels_per_s"]
            state = "done already" if plan["done"] else f"{plan['tiles']} tiles of {plan['megapixels']:.1f} Mpx"
            size = f"{plan['width_px']} x {plan['height_px']} px of {plan['mpp']:g} um ({plan['mpp_source']})"
            result(f"{file_name}: {size}: {state}")
            return
        counts = ", ".join(f"{count} {printable(label)}" for label, count in record.detections.items())
        tissue = "" if record.tissue_mm2 is None else f" ({record.tissue_mm2:.1f} mm2 of tissue)"
        tiles = f"{record.tiles.scanned} of {record.tiles.grid} tiles"
        again = ", done before" if outcome.status == "skipped" else ""
        result(f"{file_name}: {counts} in {tiles}{tissue}{again}")
        if self._alone:
            target = self._out / outcome.name
            suffixes = [RECORD_SUFFIX, *([REPORT_SUFFIX] if self._has_reports else [])]
            others = [f"{target.name}{suffix}" for suffix in suffixes]
            for file in [*(each.name for each in record.files.values()), *others]:
                result(f"  {printable(str(target.with_name(file)))}")


def _facts(outcome: SlideOutcome) -> dict[str, Any]:
    """What is said of a slide in JSON."""
    facts: dict[str, Any] = {"slide": printable(outcome.name), "status": outcome.status}
    if outcome.reason:
        facts["reason"] = printable(outcome.reason)
    if outcome.status == "planned":
        return facts | dict(outcome.planned)
    if outcome.record is not None:
        for name in ("detections", "tissue_mm2", "unread_mm2"):
            facts[name] = getattr(outcome.record, name)
    if outcome.warnings:
        facts["warnings"] = [printable(warning) for warning in outcome.warnings]
    return facts | ({"seconds": round(outcome.seconds, 1)} if outcome.status == "done" else {})
