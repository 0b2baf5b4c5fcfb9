"""A folder of slides, a model, and what batches make of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from signetscan.batch.events import Ended
from signetscan.batch.find import find_slides
from signetscan.batch.local import LocalBatch
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed, SlidePlanned, SlideScanned, SlideSkipped, outcome_facts
from signetscan.batch.slide import scan_slide
from signetscan.models.detector import load_detector
from signetscan.scan.options import ScanOptions
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.batch.outcome import PlannedScan, SlideOutcome
    from signetscan.results.run_record import RunRecord


class Ward(NamedTuple):
    """A folder of slides, and a model."""

    slides: Path
    model: Path
    out: Path

    def add(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.slides / "a.svs", self.slides / f"{name}.svs")

    def request(self, **values: Any) -> BatchOptions:  # noqa: ANN401
        usual: dict[str, Any] = {"model": str(self.model), "out": self.out, "device": "cpu", "threads": 1, "workers": 1}
        return BatchOptions(**usual | values)

    def batch(self, scan: ScanOptions | None = None, **values: Any) -> LocalBatch:  # noqa: ANN401
        request = self.request(**values)
        tasks = find_slides([self.slides], options=scan or ScanOptions(threshold=0.1), mpp=request.mpp)
        return LocalBatch(request=request, tasks=tasks)

    def run(self, scan: ScanOptions | None = None, **values: Any) -> dict[str, SlideOutcome]:  # noqa: ANN401
        """What became of each slide; each ends once."""
        ended = [event.outcome for event in self.batch(scan, **values).run() if isinstance(event, Ended)]
        assert len({outcome.name for outcome in ended}) == len(ended)
        return {outcome.name: outcome for outcome in ended}

    def scan_here(self, scan: ScanOptions | None = None, **values: Any) -> dict[str, SlideOutcome]:  # noqa: ANN401
        """The same without processes, which cost more time than such small slides."""
        batch = self.batch(scan, **values)
        detector = load_detector(self.model, device="cpu", threads=1)
        self.out.mkdir(exist_ok=True)
        return {task.name: scan_slide(task, batch.request, detector) for task in batch.tasks}

    def results(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.rglob("*") if path.suffix in {".geojson", ".csv"}}

    def leftovers(self) -> list[str]:
        return [path.name for path in self.out.rglob(".*")]


def new_ward(folder: Path, slide: Path) -> Ward:
    """A folder with a copy of a slide, and a tiny model beside it."""
    (folder / "slides").mkdir()
    shutil.copy(slide, folder / "slides" / "a.svs")
    return Ward(folder / "slides", write_tiny_model(folder / "tiny.onnx"), folder / "out")


def statuses(outcomes: dict[str, SlideOutcome]) -> dict[str, str]:
    return {name: str(outcome_facts(outcome)["status"]) for name, outcome in outcomes.items()}


def failure(outcome: SlideOutcome) -> SlideFailed:
    assert isinstance(outcome, SlideFailed)
    return outcome


def record_of(outcome: SlideOutcome) -> RunRecord:
    assert isinstance(outcome, SlideScanned | SlideSkipped)
    return outcome.record


def plan_of(outcome: SlideOutcome) -> PlannedScan:
    assert isinstance(outcome, SlidePlanned)
    return outcome.plan
