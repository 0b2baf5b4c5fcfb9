"""The messages of `detect` and `watch`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from run_records import MADE

from signetscan.batch.events import Awaited, Begun, Ended, Finished, Progressed, Retried, Started
from signetscan.batch.find import SlideTask
from signetscan.batch.messages import Ready
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import PlannedScan, SlideFailed, SlidePlanned, SlideScanned, SlideSkipped
from signetscan.cli.detect import detect
from signetscan.cli.scan_messages import ScanMessages
from signetscan.models.placement import Placement
from signetscan.plurals import counted
from signetscan.results.record_parts import TileCounts
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from signetscan.batch.events import Event
    from signetscan.results.run_record import RunRecord

CPU = Placement(name="CPUExecutionProvider", on_gpu=False)
GPU = Placement(name="CUDAExecutionProvider", on_gpu=True)


def task(name: str) -> SlideTask:
    return SlideTask(place=Path("in") / f"{name}.svs", name=name, root=Path("in"))


def record(count: int) -> RunRecord:
    tiles = TileCounts(grid=3, scanned=2)
    return replace(MADE, tiles=tiles, tissue_mm2=1.25, detections={"Signet ring cell": count})


def said(
    capsys: pytest.CaptureFixture[str], *events: Event, request: BatchOptions | None = None, quiet: bool = False
) -> tuple[list[str], list[str], int]:
    """Lines on stdout, lines on stderr but for those of progress, and how many slides failed."""
    with ScanMessages(request or BatchOptions(), detect, as_json=False, quiet=quiet) as messages:
        for event in events:
            messages.take(event)
    out, err = capsys.readouterr()
    notes = [
        line for line in err.splitlines() if not re.fullmatch(r"slides: \d+ of \d+ slides(, [\d.]+ an? \w+)?", line)
    ]
    return out.splitlines(), notes, messages.failed_in_all


def test_a_failure_names_the_flags_that_would_help(capsys: pytest.CaptureFixture[str]) -> None:
    reason, options = "not done after 600 s", ("slide_timeout",)
    out, err, failed = said(
        capsys,
        Begun(tasks=(task("a"), task("b"))),
        Retried(name="a", reason=reason, options=options),
        Ended(outcome=SlideFailed(name="a", reason=reason, options=options)),
        Ended(outcome=SlideFailed(name="b", reason="in/b.svs: not a slide")),
        Finished(done=0, skipped=0, failed=2),
    )
    assert out == []
    assert err == [
        "a: not done after 600 s. See --slide-timeout. It will be tried once more.",
        "Error: a: not done after 600 s. See --slide-timeout",
        "Error: in/b.svs: not a slide",
        "0 slides scanned, 2 failed",
    ]
    assert failed == 2


def test_failures_of_one_batch_after_another_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    batch = (
        Begun(tasks=(task("a"),)),
        Ended(outcome=SlideFailed(name="a", reason="odd")),
        Finished(done=0, skipped=0, failed=1),
    )
    assert said(capsys, *batch, *batch)[2] == 2


def test_counts_have_the_right_plural(capsys: pytest.CaptureFixture[str]) -> None:
    out, err, _ = said(
        capsys,
        Begun(tasks=(task("a"), task("b"), task("c"))),
        Started(name="a"),
        Progressed(name="a", done=1, total=2),
        Ended(outcome=SlideScanned(name="a", record=record(1), seconds=1)),
        Awaited(name="b"),
        Ended(outcome=SlideSkipped(name="b", record=record(91), warnings=("odd",))),
        Ended(outcome=SlideFailed(name="c", reason="odd")),
        Finished(done=1, skipped=1, failed=1),
    )
    assert out == [
        "a: 1 signet ring cell in 2 of 3 tiles (1.2 mm² of tissue)",
        "b: 91 signet ring cells in 2 of 3 tiles (1.2 mm² of tissue), already done",
    ]
    assert err == ["Warning: b: odd", "Error: c: odd", "1 slide scanned, 1 already done, 1 failed"]
    assert [counted(1, "tile"), counted(2, "HE stain"), counted(0, "box", "boxes")] == [
        "1 tile",
        "2 HE stains",
        "0 boxes",
    ]
    assert [counted(1200, "cell"), counted(2, "cells"), counted(2, "nucleus")] == ["1200 cells", "2 cells", "2 nuclei"]


def test_unread_area_stands_in_the_line_of_a_slide(capsys: pytest.CaptureFixture[str]) -> None:
    worn = replace(record(1), unread_mm2=0.0123)
    out, _, _ = said(
        capsys,
        Begun(tasks=(task("a"), task("b"))),
        Ended(outcome=SlideScanned(name="a", record=worn, seconds=1)),
        Ended(outcome=SlideScanned(name="b", record=record(2), seconds=1)),
    )
    assert out == [
        "a: 1 signet ring cell in 2 of 3 tiles (1.2 mm² of tissue), 0.0123 mm² unread",
        "b: 2 signet ring cells in 2 of 3 tiles (1.2 mm² of tissue)",
    ]


@pytest.mark.parametrize(
    ("precision", "runs_on", "more"),
    [
        ("fp32", CPU, ""),
        ("int8", CPU, ""),
        ("fp32", GPU, ""),
        ("int8", GPU, " This int8 model is made for CPUs, and is slow on a GPU."),
    ],
)
def test_the_device_of_a_model_is_printed_once(
    capsys: pytest.CaptureFixture[str], precision: str, runs_on: Placement, more: str
) -> None:
    ready = Ready(model="m", precision=precision, runs_on=runs_on)
    request = BatchOptions(device="cuda" if runs_on.on_gpu else "cpu")
    _, err, _ = said(capsys, Begun(tasks=(task("a"),)), ready, ready, request=request)
    assert err == [f"Model m runs on {runs_on.name}.{more}"]
    assert said(capsys, Begun(tasks=(task("a"),)), ready, request=request, quiet=True)[1] == []


def test_no_detection_is_not_no_cancer(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = replace(record(0), tiles=TileCounts(grid=3, scanned=0), tissue_mm2=0.0)
    out, err, _ = said(
        capsys,
        Begun(tasks=(task("a"), task("b"))),
        Ready(model="m", precision="fp32", runs_on=CPU, learnt_from="drawn cells only"),
        Ended(outcome=SlideScanned(name="a", record=record(0), seconds=1)),
        Ended(outcome=SlideSkipped(name="b", record=nothing, warnings=("no tissue",))),
        Finished(done=1, skipped=1, failed=0),
        request=BatchOptions(device="cpu"),
    )
    assert out == [
        "a: 0 signet ring cells in 2 of 3 tiles (1.2 mm² of tissue); no detection does not mean no cancer",
        "b: 0 signet ring cells in 0 of 3 tiles (0.0 mm² of tissue), already done",
    ]
    assert err == [
        "Model m runs on CPUExecutionProvider.",
        "What it learnt from: drawn cells only",
        "Warning: b: no tissue",
        "1 slide scanned, 1 already done",
    ]


def test_a_dry_run_says_how_many_slides_are_left(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def planned(name: str, *, done: bool) -> Ended:
        size = {"width_px": 10, "height_px": 20, "tiles": 1}
        plan = PlannedScan(mpp=Mpp(0.25, 0.25), megapixels=0.004, tissue_mm2=None, done=done, **size)
        return Ended(outcome=SlidePlanned(name=name, plan=plan))

    for done, summary in ((True, "0 slides to scan, 2 already done, 1 failed"), (False, "1 slide to scan, 1 already")):
        out, err, _ = said(
            capsys,
            Begun(tasks=(task("a"), task("b"), task("c"))),
            planned("a", done=True),
            planned("b", done=done),
            Ended(outcome=SlideFailed(name="c", reason="odd")),
            Finished(done=2, skipped=0, failed=1),
            request=BatchOptions(out=tmp_path, dry_run=True, device="cpu"),
        )
        assert err[-1].startswith(summary)
        assert ("0.004 Mpx" in out[1]) != done


def test_a_dry_run_prints_how_long_the_scan_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = PlannedScan(
        width_px=10, height_px=20, mpp=Mpp(0.25, 0.25), tiles=1, megapixels=240.0, tissue_mm2=None, done=False
    )
    ready = Ready(model="m", precision="fp32", runs_on=CPU, megapixels_per_s=2.0)
    out, err, _ = said(
        capsys,
        Begun(tasks=(task("a"),)),
        ready,
        Ended(outcome=SlidePlanned(name="a", plan=plan)),
        Finished(done=1, skipped=0, failed=0),
        request=BatchOptions(out=tmp_path, dry_run=True, device="cpu"),
    )
    assert out == ["a.svs: 10 x 20 px of 0.25 µm (given by the user): 1 tile of 240.0 Mpx"]
    assert err[1].startswith("About 2 minutes, by the model's speed on one tile here, and 500 bytes per cell; ")
