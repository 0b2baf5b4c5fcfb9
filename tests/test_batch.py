"""Batches: what becomes of each slide, and how they go on."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from wards import Ward, new_ward, plan_of, record_of, statuses

from signetscan.batch import slide as slide_module
from signetscan.batch.claims import Claims
from signetscan.batch.events import Awaited, Begun, Ended, Finished
from signetscan.batch.find import find_slides
from signetscan.batch.run import scan_slides
from signetscan.batch.slide import scan_slide
from signetscan.errors import DeviceError, ModelError, OptionError, SlideError
from signetscan.models.detector import load_detector
from signetscan.scan.options import ScanOptions
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from wards import Ward

pytestmark = pytest.mark.usefixtures("ready_workers")


@pytest.fixture
def ward(tmp_path: Path, small_slide: Path) -> Ward:
    return new_ward(tmp_path, small_slide)


# ---- faults of a slide, and of all ----------------------------------------------------------------------------------


def test_a_recorded_failure_is_removed_once_the_slide_succeeds(ward: Ward) -> None:
    good = (ward.slides / "a.svs").read_bytes()
    (ward.slides / "a.svs").write_bytes(good[:20000])
    assert statuses(ward.run()) == {"a": "failed"}
    (ward.slides / "a.svs").write_bytes(good)
    assert statuses(ward.run()) == {"a": "done"}
    assert sorted(path.name for path in ward.out.iterdir()) == ["a.csv", "a.geojson", "a.run.json"]


def test_a_name_that_is_too_long_for_results_is_cut(ward: Ward) -> None:
    ward.add("n" * 248, "n" * 247 + "m")
    outcomes = ward.run()
    assert list(statuses(outcomes).values()) == ["done"] * 3
    assert min(outcomes) == "a"
    assert all(name.startswith("n" * 160) for name in sorted(outcomes)[1:])
    assert len(ward.results()) == 6


def test_an_error_that_concerns_all_slides_stops_at_once(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="text"):
        ward.run(model=str(tmp_path / "text.onnx"))
    with pytest.raises(DeviceError, match="cuda"):
        ward.run(device="cuda")
    with pytest.raises(OptionError, match="overlap 64 must be") as caught:
        ward.run(ScanOptions(tile_size=64, overlap=64))
    assert caught.value.options == ("tile_size", "overlap"), "an error keeps them on its way out of a worker"
    assert not ward.out.exists() or list(ward.out.iterdir()) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_model_whose_scores_cannot_be_stops_at_once(ward: Ward, tmp_path: Path, dry_run: bool) -> None:
    model = write_tiny_model(tmp_path / "odd.onnx", changed={"one": np.array(5, np.float32)})
    with pytest.raises(ModelError, match=r"model test breaks the contract: it gives a score of 4\.\d+"):
        ward.run(model=str(model), dry_run=dry_run)
    assert not list(ward.out.rglob("*"))


def test_a_slide_that_grows_while_it_is_read_fails(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = find_slides([ward.slides])
    ward.out.mkdir()
    from signetscan.scan.detect import detect_slide as real

    def grow(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        assert isinstance(task.place, Path)
        with task.place.open("ab") as file:
            file.write(b"more")
        return real(*arguments, **options)

    monkeypatch.setattr(slide_module, "detect_slide", grow)
    with pytest.raises(SlideError, match="changed while it was being read"):
        scan_slide(task, ward.request(), load_detector(ward.model, device="cpu"))
    assert list(ward.out.iterdir()) == []


# ---- going on -------------------------------------------------------------------------------------------------------


def remove_csv(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.csv").unlink()
    return {}


def cut_geojson(ward: Ward) -> dict[str, Any]:
    os.truncate(ward.out / "a.geojson", 100)
    return {}


def spoil_csv(ward: Ward) -> dict[str, Any]:
    content = (ward.out / "a.csv").read_bytes()
    (ward.out / "a.csv").write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    return {}


def remove_record(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.run.json").unlink()
    return {}


def spoil_record(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.run.json").write_text('{"key": [')
    return {}


def other_slide(ward: Ward) -> dict[str, Any]:
    write_slide(ward.slides / "a.svs", SlideOptions(width=1024, height=1024, region=400, seed=6))
    return {}


def other_model(ward: Ward) -> dict[str, Any]:
    write_tiny_model(ward.model, label_type=7, metadata=replace_name(ward.model))
    return {}


def replace_name(model: Path) -> dict[str, str]:
    return replace(load_detector(model, device="cpu").spec, name="other").to_metadata()


@pytest.mark.parametrize(
    "change",
    [
        remove_csv,
        cut_geojson,
        spoil_csv,
        remove_record,
        spoil_record,
        other_slide,
        other_model,
        lambda _: {"scan": ScanOptions(threshold=0.3)},
        lambda _: {"mpp": 0.3},
        lambda _: {"bounds_crop": False},
        lambda _: {"overwrite": True},
    ],
)
def test_finished_slides_are_skipped_unless_changed(ward: Ward, change: Callable[[Ward], dict[str, Any]]) -> None:
    ward.add("b")
    assert statuses(ward.scan_here()) == {"a": "done", "b": "done"}
    before = ward.results()
    again = ward.scan_here(ScanOptions(threshold=0.1, batch_size=4, read_threads=1))
    assert statuses(again) == {"a": "skipped", "b": "skipped"}
    assert record_of(again["a"]) == record_of(ward.scan_here()["a"])
    options = change(ward)
    redone = statuses(ward.scan_here(**options))
    assert redone["a"] == "done"
    of_one_slide = {remove_csv, cut_geojson, spoil_csv, remove_record, spoil_record, other_slide}
    assert redone["b"] == ("skipped" if change in of_one_slide else "done")
    assert statuses(ward.scan_here(**({} if options == {"overwrite": True} else options))) == {
        "a": "skipped",
        "b": "skipped",
    }
    if not options and change not in {other_slide, other_model}:
        assert ward.results() == before


@pytest.mark.slow
def test_a_dry_run_plans_all_slides_and_writes_nothing(ward: Ward) -> None:
    ward.add("b")
    (ward.slides / "cut.svs").write_bytes(b"II*\0")
    outcomes = ward.run(dry_run=True)
    assert statuses(outcomes) == {"a": "planned", "b": "planned", "cut": "failed"}
    plan = plan_of(outcomes["a"])
    assert (plan.width_px, plan.mpp.x, plan.done) == (1024, 0.25, False)
    assert not ward.out.exists()
    (ward.slides / "cut.svs").unlink()
    assert record_of(ward.run()["a"]).tiles.scanned == plan.tiles
    assert plan_of(ward.run(dry_run=True)["a"]).done


def test_slides_claimed_by_another_run_are_left_to_it(ward: Ward) -> None:
    ward.add("b")
    ward.out.mkdir()
    theirs = Claims(host="elsewhere").take(ward.out / "a")
    assert theirs is not None
    outcomes = []
    for event in ward.batch().run():
        if isinstance(event, Awaited):
            theirs.release()
        if isinstance(event, Ended):
            outcomes.append(event.outcome.name)
    assert outcomes == ["b", "a"]


def test_a_run_that_lost_its_claim_does_not_overwrite_results(ward: Ward) -> None:
    (task,) = find_slides([ward.slides])
    ward.out.mkdir()
    claim = Claims(host="there").take(ward.out / "a")
    assert claim is not None
    os.utime(claim.path, (time.time() - 1000,) * 2)
    assert Claims().take(ward.out / "a") is not None
    with pytest.raises(SlideError, match="another run took over the slide"):
        scan_slide(task, ward.request(), load_detector(ward.model, device="cpu"), claim=claim)
    assert ward.results() == {}


def test_one_function_call_scans_a_batch(ward: Ward) -> None:
    ward.add("b")
    request = ward.request(log_file=ward.out.with_name("log"), workers=None)
    events = list(scan_slides([ward.slides], request, ScanOptions(threshold=0.1)))
    assert isinstance(events[0], Begun)
    assert [task.name for task in events[0].tasks] == ["a", "b"]
    assert [type(event) for event in events].count(Ended) == 2
    assert events[-1] == Finished(done=2, skipped=0, failed=0)
    assert len(ward.results()) == 4
    lines = [json.loads(line)["event"] for line in ward.out.with_name("log").read_text().splitlines()]
    assert lines == ["begins", "ready", "started", "ended", "started", "ended", "ends"]
    with pytest.raises(OptionError, match="name slides"):
        next(scan_slides([]))
    with pytest.raises(OptionError, match="one file for several slides"):
        list(scan_slides([ward.slides], replace(request, roi=ward.model)))
    with pytest.raises(OptionError, match="the key cannot be read"):
        list(scan_slides([ward.slides], replace(request, pseudonymise=ward.slides / "none")))
