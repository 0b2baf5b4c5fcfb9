"""Training that says when it does not know: thresholds, epochs, data that teaches too little, and broken weights."""

from __future__ import annotations

import json
import math
import os
import shutil
import zipfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from toy_images import TINY

from signetscan.batch.claims import Claims
from signetscan.cli.main import cli
from signetscan.dataset import hold_out
from signetscan.detections import Detections
from signetscan.errors import ModelError, SignetscanError, TrainingError
from signetscan.evaluation import (
    ImageResult,
    average_precision,
    evaluate,
    make_tally,
    match_nearest_free,
    pr_curve,
)
from signetscan.evaluation.curves import AP_IOU
from signetscan.json_values import JsonTable
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.models.held_out import HeldOut
from signetscan.training.cautions import cautions_of, check_split, split_cautions
from signetscan.training.checkpoint import load_checkpoint, save_checkpoint
from signetscan.training.engine import train
from signetscan.training.export import export_checkpoint, export_model
from signetscan.training.held_out import held_out_figures
from signetscan.training.history import chosen_by, is_best
from signetscan.training.options import TrainingRequest
from signetscan.training.retinanet import RetinaNet
from signetscan.training.run import train_detector
from signetscan.training.run_claim import NAME, check_held, claimed
from signetscan.training.spec import make_spec
from signetscan.training.steps import step
from signetscan.training.thresholds import FIRST_THRESHOLD, ThresholdBasis, choose_threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.training.steps import Learner, LossWatch

CELL = [10.0, 10.0, 40.0, 40.0]


def positive(scores: Sequence[float], *, found: bool = True) -> ImageResult:
    """An image with one cell, which the best detection finds or not; further detections lie beside it."""
    boxes = [[x + 100 * index + (0 if found else 500) for x in CELL] for index in range(len(scores))]
    return ImageResult(detections=detected(boxes, scores), truth=np.array([CELL]), normal=False)


def normal(scores: Sequence[float]) -> ImageResult:
    return ImageResult(detections=detected([CELL] * len(scores), scores), truth=np.empty((0, 4)), normal=True)


def detected(boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.zeros(len(scores), np.int64),
    )


# ---- thresholds and FROC --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "threshold", "basis"),
    [
        ([positive([0.9, 0.3]), normal([0.7, 0.6, 0.5])], 0.6, ThresholdBasis.FALSE_POSITIVES),
        ([positive([0.9, 0.3]), normal([0.7])], 0.9, ThresholdBasis.FEW_FALSE_POSITIVES),
        ([positive([0.9, 0.3]), normal([])], 0.9, ThresholdBasis.FEW_FALSE_POSITIVES),
        ([positive([0.9, 0.3])], 0.9, ThresholdBasis.NO_NORMAL_IMAGE),
        ([positive([0.9], found=False), normal([])], FIRST_THRESHOLD, ThresholdBasis.NOTHING_FOUND),
        ([positive([])], FIRST_THRESHOLD, ThresholdBasis.NOTHING_FOUND),
        ([normal([])], FIRST_THRESHOLD, ThresholdBasis.NOTHING_FOUND),
    ],
)
def test_a_threshold_is_chosen_by_what_there_is(
    results: list[ImageResult], threshold: float, basis: ThresholdBasis
) -> None:
    chosen, why = choose_threshold(results, 1, lowest=LEAST_SCORE)
    assert chosen == pytest.approx(threshold, abs=1e-6)
    assert why is basis
    assert chosen >= LEAST_SCORE


def test_froc_needs_a_normal_image() -> None:
    assert evaluate([positive([0.9]), normal([])], 0).froc == 1
    scores = evaluate([positive([0.9])], 0)
    assert all(map(math.isnan, (scores.froc, *scores.recall_at)))
    assert scores.recall == 1


def row(epoch: int, **values: float) -> dict[str, float]:
    return {"epoch": epoch, "loss_class": 1.0, "loss_box": 1.0, "rate": 1e-3, "seconds": 1.0} | values


def test_epochs_are_compared_by_ap50_even_where_froc_is_full() -> None:
    saturated = [row(1, froc=1.0, ap50=0.5, fps_score=90.0), row(2, froc=0.99, ap50=0.8, fps_score=90.0)]
    assert (is_best(saturated[:1]), is_best(saturated), chosen_by(saturated)) == (True, True, "AP50")
    assert not is_best([*saturated, row(3, froc=1.0, ap50=0.7, fps_score=90.0)])
    of_froc = [row(1, froc=0.5, fps_score=90.0)]
    assert chosen_by(of_froc) == "FROC", "of an earlier version, which had nothing else"
    # Earlier versions wrote the recall of all detections as FROC of a run without normal images.
    of_ap = [row(1, froc=1.0, ap50=0.5, fps_score=math.nan), row(2, froc=1.0, ap50=0.4, fps_score=math.nan)]
    assert (is_best(of_ap[:1]), is_best(of_ap), chosen_by(of_ap)) == (True, False, "AP50")
    former = [row(1, froc=1.0, fps_score=math.nan), row(2, froc=math.nan, ap50=0.1, fps_score=math.nan)]
    assert is_best(former)
    unseen = [row(1), row(2)]
    assert (is_best(unseen), chosen_by(unseen)) == (True, "nothing, so it is the latest")
    assert not is_best([*saturated, row(3, froc=math.nan, ap50=math.nan, fps_score=math.nan)])


def test_detections_in_normal_images_lower_the_figure_that_chooses() -> None:
    def ap50(*results: ImageResult) -> float:
        return average_precision(pr_curve(make_tally(results, AP_IOU, match_nearest_free)))

    assert ap50(positive([0.8]), normal([])) == 1
    assert ap50(positive([0.8]), normal([0.9])) == 0.5
    assert ap50(positive([0.8]), normal([0.9, 0.9, 0.9])) == 0.25


def test_figures_at_the_threshold_are_those_of_an_evaluation() -> None:
    results = [positive([0.9, 0.6]), positive([0.3]), normal([0.7]), normal([]), normal([0.2])]
    figures, scores = held_out_figures(results, 0.5), evaluate(results, 0.5)
    assert (figures.recall.value, figures.precision.value) == (0.5, 0.5) == (scores.recall, scores.precision)
    assert figures.f1.value == pytest.approx(2 / 5) == scores.f1
    assert figures.false_positives_per_normal.value == pytest.approx(1 / 3) == scores.false_positives_per_normal
    assert (figures.recall.low, figures.recall.high) == (0, 1), "of two images with a cell, one is found"
    assert figures.intervals == (
        "2 images with cells and 3 without; fewer than 8 of a kind, so the true intervals are wider"
    )
    assert HeldOut.from_json(JsonTable(json.loads(json.dumps(asdict(figures))))) == figures
    one = held_out_figures([positive([0.9])], 0.5)
    assert (one.intervals, one.recall.low, one.false_positives_per_normal.value) == ("", None, None)


# ---- data that teaches or tells too little --------------------------------------------------------------------------


def only_labels(images: Sequence[AnnotatedImage], label: int) -> list[AnnotatedImage]:
    return [replace(image, labels=np.full(len(image.boxes), label)) for image in images]


def test_a_class_must_have_a_box_to_learn_from(toy_set: Dataset) -> None:
    learn, held_out = hold_out(toy_set.images, 0.25, None, 0)
    names = ["ring", "disc"]
    with pytest.raises(TrainingError, match="no training image has a box of the class disc, because all"):
        check_split(only_labels(learn, 0), only_labels(held_out, 1), names, TINY)
    (line,) = [line for line in split_cautions(learn, only_labels(held_out, 0), names) if "class disc" in line]
    assert "nothing tells how it is found" in line


def test_images_held_out_must_have_a_box_if_there_are_to_be_any(toy_set: Dataset) -> None:
    cells = [image for image in toy_set.images if not image.normal]
    normals = [image for image in toy_set.images if image.normal]
    for held_out in ([], normals):
        with pytest.raises(TrainingError, match="no held-out image has a box"):
            check_split(cells, held_out, ["ring"], TINY)
        check_split(cells, held_out, ["ring"], replace(TINY, validation_split=0.0))
    with pytest.raises(TrainingError, match="no training image has a box: check"):
        check_split(normals, cells, ["ring"], TINY)


def test_a_split_too_small_to_hold_anything_out_is_refused(toy_set: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no held-out image has a box"):
        train(toy_set, replace(TINY, validation_split=0.01), tmp_path, device="cpu")


def test_what_the_split_lacks_is_said(toy_set: Dataset) -> None:
    cells = [image for image in toy_set.images if not image.normal]
    normals = [image for image in toy_set.images if image.normal]
    assert "FROC is unknown" in "\n".join(split_cautions([*cells, *normals], cells, ["ring"]))
    assert "Only 2 normal images held out" in "\n".join(
        split_cautions([*cells, *normals], [*cells, *normals[:2]], ["ring"])
    )
    assert "the loss can trust no negative" in "\n".join(split_cautions(cells, [*cells, *normals], ["ring"]))
    assert "the latest epoch counts as the best" in "\n".join(split_cautions([*cells, *normals], [], ["ring"]))
    assert split_cautions([*cells, *normals], [*cells, *normals], ["ring"]) == []


# ---- cautions of a model --------------------------------------------------------------------------------------------


def test_the_model_carries_its_cautions(trained: Path) -> None:
    best = load_checkpoint(trained / "best.pt")
    latest = best.history[-1] | {"recall": 0.9, "precision": 0.9}
    sure = replace(best, threshold_basis=ThresholdBasis.FALSE_POSITIVES, history=[latest | {"normals": 50.0}])
    assert cautions_of(sure) == make_spec(sure, name="m").cautions == ()
    few = replace(sure, history=[latest | {"normals": 3.0}])
    assert "rests on 3 normal images only" in cautions_of(few)[0]
    nothing = replace(sure, history=[latest | {"normals": 50.0, "froc": 0.0}])
    assert "FROC is 0" in cautions_of(nothing)[0]
    blind = replace(sure, history=[latest | {"froc": 1.0, "fps_score": math.nan, "normals": 0.0}])
    blind = replace(blind, threshold_basis=ThresholdBasis.NO_NORMAL_IMAGE)
    assert ["FROC is unknown" in cautions_of(blind)[0], "chosen by F1" in cautions_of(blind)[1]] == [True, True]
    assert len(make_spec(blind, name="m", threshold=0.7).cautions) == 1, "a person chose the threshold"
    for basis in ThresholdBasis:
        told = cautions_of(replace(sure, threshold_basis=basis))
        assert bool(told) == (basis is not ThresholdBasis.FALSE_POSITIVES)


@pytest.mark.parametrize(
    ("recall", "precision", "missing"),
    [(0.9, 0.13, "86%"), (1.0, 0.29, "71%"), (1.0, 0.31, None), (0.5, 0.2, None), (0.0, 0.0, None), (1.0, 1.0, None)],
)
def test_many_detections_beside_the_boxes_are_told(
    trained: Path, recall: float, precision: float, missing: str | None
) -> None:
    """With N boxes, recall * N detections are right, and as many as the precision says lie beside."""
    state = load_checkpoint(trained / "best.pt")
    row = state.history[-1] | {"recall": recall, "precision": precision}
    said = [text for text in cautions_of(replace(state, history=[row])) if "what lies between" in text]
    assert [f"unless {missing} of the cells" in text for text in said] == ([] if missing is None else [True])


def test_a_model_says_what_it_is_for(trained: Path) -> None:
    """A model of other cells must not say that it points out signet ring cells."""
    state = load_checkpoint(trained / "best.pt")
    assert "candidate signet ring cells in H&E" in make_spec(state, name="m").intended_use
    other = make_spec(replace(state, class_names=("Mitosis", "Nucleus")), name="m")
    assert "candidate cells of the classes Mitosis, Nucleus in H&E" in other.intended_use
    assert make_spec(state, name="m", intended_use="teaching").intended_use == "teaching"


def test_cautions_survive_the_file_and_files_without_them_are_read(trained: Path) -> None:
    best = load_checkpoint(trained / "best.pt")
    spec = replace(make_spec(best, name="m"), cautions=("its FROC is 0",))
    metadata = spec.to_metadata()
    assert type(spec).from_metadata(metadata) == spec
    del metadata["signetscan.cautions"]
    assert type(spec).from_metadata(metadata).cautions == ()
    for wrong in ((1,), ("x" * 501,), ("x",) * 21, "text"):
        with pytest.raises(ModelError, match="cautions"):
            replace(spec, cautions=wrong)  # type: ignore[arg-type]


def changed(trained: Path, tmp_path: Path, **values: object) -> Path:
    save_checkpoint(tmp_path / "changed.pt", replace(load_checkpoint(trained / "best.pt"), **values))  # type: ignore[arg-type]
    return tmp_path / "changed.pt"


@pytest.mark.parametrize("threshold", [0.0, 0.019])
def test_a_threshold_that_nobody_looked_at_is_not_exported(trained: Path, tmp_path: Path, threshold: float) -> None:
    path = changed(trained, tmp_path, threshold=threshold, threshold_basis=None)
    with pytest.raises(ModelError, match=r"below 0\.02, the lowest score that training looks at") as caught:
        export_checkpoint(path)
    assert caught.value.options == ("threshold",)
    assert not path.with_suffix(".onnx").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_weights_are_not_exported(trained: Path, tmp_path: Path, value: float) -> None:
    network = load_checkpoint(trained / "best.pt").network
    name = "backbone.stem.1.running_var" if "backbone.stem.1.running_var" in network else next(iter(network))
    spoilt = network[name].clone()
    spoilt.view(-1)[0] = value
    with pytest.raises(ModelError, match=f"weights are not finite numbers.*{name}"):
        export_checkpoint(changed(trained, tmp_path, network=network | {name: spoilt}))


@pytest.mark.parametrize(("scale", "said"), [(1e30, "not finite numbers"), (0.0, "the same score")])
def test_a_network_that_overflows_or_knows_nothing_is_not_exported(
    trained: Path, tmp_path: Path, scale: float, said: str
) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    network = checkpoint.make_network()
    with torch.no_grad():
        for weight in network.backbone.parameters() if scale else [network.classify.last.weight]:
            weight.mul_(scale)
    with pytest.raises(ModelError, match=said):
        export_model(network, make_spec(checkpoint, name="m"), tmp_path / "m.onnx", precision="fp32")
    assert list(tmp_path.iterdir()) == []


def test_training_that_diverges_says_so_and_keeps_the_best(
    toy_set: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[dict[str, float]] = []

    def breaking(learner: Learner, losses: Mapping[str, Tensor], names: tuple[str, ...], watch: LossWatch) -> None:
        step(learner, losses, names, watch)
        if done:
            with torch.no_grad():
                network = learner.network
                assert isinstance(network, RetinaNet)
                network.classify.last.weight.fill_(math.inf)

    monkeypatch.setattr("signetscan.training.loop.step", breaking)
    options = replace(TINY, batches=1, epochs=3)
    with pytest.raises(TrainingError, match=r"training has diverged: in epoch 2 .*classify\.last\.weight"):
        train(toy_set, options, tmp_path, device="cpu", on_epoch=done.append)
    assert load_checkpoint(tmp_path / "best.pt").broken_weights == []


# ---- checkpoints that do not fit together ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"threshold": 9.0}, "score threshold is 9"),
        ({"mpp": 0.0}, "mpp is 0"),
        ({"mpp": 1e9}, "mpp is"),
        ({"epoch": -1}, "-1 epochs"),
        ({"epoch": 10**18}, "epochs"),
        ({"class_names": ("a", "b")}, "names 2 classes"),
        ({"class_names": ("",)}, "is empty"),
        ({"class_names": tuple(map(str, range(100_000)))}, "names 100000 classes"),
        ({"network": {}}, "weights do not fit"),
        ({"network": {"a": torch.zeros(1)}}, "weights do not fit"),
        ({"history": [{"epoch": 1.0}]}, "metrics"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(
    trained: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    path = changed(trained, tmp_path, **values)
    with pytest.raises(TrainingError, match=f"changed.*{said}"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": math.nan},
        {"threshold": "<b>"},
        {"threshold_basis": "guessing"},
        {"history": "abc"},
        {"network": [1]},
        {"network": {"a": 1}},
        {"class_names": [1, None]},
        {"epoch": 1.5},
    ],
)
def test_odd_fields_end_in_words(trained: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    values = torch.load(trained / "best.pt", weights_only=True) | change
    torch.save(values, tmp_path / "odd.pt")
    with pytest.raises(TrainingError, match=r"odd\.pt"):
        load_checkpoint(tmp_path / "odd.pt")


@pytest.mark.parametrize("kind", ["half", "sparse", "complex"])
def test_weights_of_an_odd_kind_are_refused(trained: Path, tmp_path: Path, kind: str) -> None:
    network = load_checkpoint(trained / "best.pt").network
    name = "classify.last.bias"
    odd = {"half": network[name].half(), "sparse": network[name].to_sparse(), "complex": network[name].to(torch.cfloat)}
    with pytest.raises(TrainingError, match="weights"):
        load_checkpoint(changed(trained, tmp_path, network=network | {name: odd[kind]}))


def test_huge_networks_and_packed_files_are_refused_before_they_take_memory(trained: Path, tmp_path: Path) -> None:
    values = torch.load(trained / "best.pt", weights_only=True)
    values["options"]["architecture"] |= {"width": 256, "fpn_channels": 1024}
    torch.save(values, tmp_path / "huge.pt")
    with pytest.raises(TrainingError, match="weights do not fit"):
        load_checkpoint(tmp_path / "huge.pt")
    with (
        zipfile.ZipFile(trained / "best.pt") as plain,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as z,
    ):
        for member in plain.infolist():
            z.writestr(member.filename, plain.read(member))
    with pytest.raises(TrainingError, match="compressed"):
        load_checkpoint(tmp_path / "z.pt")


@pytest.mark.parametrize("part", ["optimiser", "loss"])
def test_a_run_with_a_damaged_state_is_not_resumed(toy_set: Dataset, tmp_path: Path, part: str) -> None:
    options = replace(TINY, batches=1, epochs=1)
    train(toy_set, options, tmp_path, device="cpu")
    last = load_checkpoint(tmp_path / "last.pt")
    broken: dict[str, Any] = {"state": {0: {"step": 1}}, "param_groups": []}
    state = {"optimiser": broken} if part == "optimiser" else {"loss": {"nothing": torch.zeros(1)}}
    save_checkpoint(tmp_path / "last.pt", replace(last, options=replace(last.options, epochs=2), **state))
    with pytest.raises(TrainingError, match=r"last\.pt"):
        train(toy_set, replace(options, epochs=2), tmp_path, device="cpu", resume=True)


# ---- two runs in one folder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_in_a_folder_is_refused(toy_folder: Path, tmp_path: Path, resume: bool) -> None:
    request = TrainingRequest(data=toy_folder, out=tmp_path / "run", device="cpu", resume=resume)
    with claimed(tmp_path / "run"), pytest.raises(TrainingError, match="another training run is at work"):
        train_detector(request, TINY)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [], "neither a claim nor files of the second run"


def test_the_claim_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    gone = Claims().take(tmp_path / NAME)
    assert gone is not None
    text = gone.path.read_text(encoding="utf-8")
    gone.path.write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 999999999'), encoding="utf-8")
    with claimed(tmp_path) as claim:
        assert claim.is_held()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_lost_its_folder_stops(tmp_path: Path) -> None:
    with claimed(tmp_path) as claim:
        check_held(claim, tmp_path)
        claim.path.unlink()
        with pytest.raises(TrainingError, match="another run took over"):
            check_held(claim, tmp_path)


# ---- on the terminal ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_without_normal_images_says_what_it_does_not_know(toy_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_folder / "sig-train-pos", tmp_path / "data" / "sig-train-pos")
    small = "--epochs 1 --batches 1 --batch-size 2 --crop 128 --width 8 --fpn-channels 16 --head-depth 1 --device cpu"
    out = tmp_path / "run"
    run = CliRunner().invoke(cli, ["train", str(tmp_path / "data"), *small.split(), "--preset", "fast", "-o", str(out)])
    assert run.exit_code == 0, run.output
    for words in ("FROC unknown (no normal images)", "No normal image is held out", "the model is to be doubted"):
        assert words in run.stderr
    assert "1.0000" not in run.stderr
    export = CliRunner().invoke(cli, ["export", str(out / "best.pt")])
    assert export.exit_code == 0, export.output
    assert "the model is to be doubted" in export.stderr


def test_errors_are_of_one_family() -> None:
    assert issubclass(TrainingError, SignetscanError)
