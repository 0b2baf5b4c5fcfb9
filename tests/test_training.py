"""The whole way from annotated images to a model file, on toy cells that a tiny network learns in seconds."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from onnx import numpy_helper
from toy_images import TINY, toy_image

from signetscan.cli.main import cli
from signetscan.dataset import Place, read_dataset
from signetscan.errors import AnnotationError, ModelError, OptionError, SignetscanError, TrainingError
from signetscan.json_values import JsonTable
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.scan.merge import suppress
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.engine import data_digest, train
from signetscan.training.export import check_model, export_model
from signetscan.training.loop import learning_rate_at
from signetscan.training.options import LossOptions, TrainingRequest, TrainOptions, preset_options
from signetscan.training.run import DataRead, EpochDone, PseudoLabelsAdded, TrainingProgress, train_detector
from signetscan.training.spec import make_spec
from signetscan.training.tensor_files import load_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset import Dataset
    from signetscan.training.run import TrainingEvent


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).network


def test_it_learns(trained: Path) -> None:
    history = load_checkpoint(trained / "last.pt").history
    assert len(history) == TINY.epochs
    assert max(row["froc"] for row in history) > 0.9, "rings are easy to tell from discs"
    best = load_checkpoint(trained / "best.pt")
    assert best.history[-1]["ap50"] == max(row["ap50"] for row in history)
    assert 0 < best.threshold < 1
    assert best.optimiser == {}
    with (trained / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["froc"]) == pytest.approx(history[-1]["froc"], abs=1e-5)


class StopTrainingError(Exception):
    """Stands for a kill."""


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_resumed_run_ends_with_the_same_weights(toy_set: Dataset, tmp_path: Path, momentum: float) -> None:
    options = replace(TINY, batches=4, epochs=3, loss=LossOptions(momentum=momentum), augment="strong", max_scale=1.2)
    train(toy_set, options, tmp_path / "whole", device="cpu")

    def stop(done: int, _total: int) -> None:
        if done == 6:  # in the middle of the second epoch
            raise StopTrainingError

    with pytest.raises(StopTrainingError):
        train(toy_set, options, tmp_path / "broken", device="cpu", on_progress=stop)
    assert load_checkpoint(tmp_path / "broken" / "last.pt").epoch == 1
    train(toy_set, options, tmp_path / "broken", device="cpu", resume=True)
    whole, resumed = (load_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "broken"))
    assert whole.network.keys() == resumed.network.keys()
    for name, value in whole.network.items():
        assert torch.equal(value, resumed.network[name]), name
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert repr(one | {"seconds": 0}) == repr(other | {"seconds": 0})  # as text: no number is equal to nan


def test_seeds_decide(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=2, epochs=1, validation_split=0.0)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(toy_set, replace(options, seed=seed), tmp_path / name, device="cpu")
    a, b, c = (weights_of(tmp_path / name / "best.pt") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["backbone.conv1.weight"], c["backbone.conv1.weight"])


def test_a_run_is_neither_overwritten_nor_mixed(toy_set: Dataset, trained: Path) -> None:
    before = (trained / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match="holds a training run; resume it"):
        train(toy_set, TINY, trained, device="cpu")
    with pytest.raises(OptionError, match="learning rate"):
        train(toy_set, replace(TINY, learning_rate=1e-5), trained, device="cpu", resume=True)
    with pytest.raises(TrainingError, match="other images"):
        train(replace(toy_set, images=toy_set.images[:-1]), TINY, trained, device="cpu", resume=True)
    assert (trained / "last.pt").read_bytes() == before


def test_nothing_to_learn_from(toy_set: Dataset, tmp_path: Path) -> None:
    normal = replace(toy_set, images=tuple(image for image in toy_set.images if image.normal))
    with pytest.raises(TrainingError, match="box"):
        train(normal, TINY, tmp_path, device="cpu")
    with pytest.raises(TrainingError, match="cannot be read"):
        train(toy_set, TINY, tmp_path / "empty", device="cpu", resume=True)


def test_the_classes_and_pixels_of_the_data_set_go_into_the_checkpoint(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=1, epochs=1, validation_split=0.0)
    images = tuple(replace(image, labels=np.arange(len(image.boxes)) % 2) for image in toy_set.images)
    two = replace(toy_set, images=images, class_names=("ring", "disc"), mpp=0.5)
    train(two, options, tmp_path, device="cpu")
    checkpoint = load_checkpoint(tmp_path / "last.pt")
    assert (checkpoint.class_names, checkpoint.mpp, checkpoint.options.architecture.classes) == (
        ("ring", "disc"),
        0.5,
        2,
    )
    spec = make_spec(checkpoint, name="two")
    assert (spec.class_names, spec.mpp) == (("ring", "disc"), 0.5)
    for other in (replace(two, class_names=("disc", "ring")), replace(two, mpp=0.25)):
        with pytest.raises(TrainingError, match=r"ring, disc at 0\.5 µm/px.*resume it with the same"):
            train(other, options, tmp_path, device="cpu", resume=True)


def test_a_fold_is_held_out(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=1, epochs=1, fold=(2, 3))
    train(toy_set, options, tmp_path, device="cpu")
    checkpoint = load_checkpoint(tmp_path / "last.pt")
    assert checkpoint.options.fold == (2, 3)
    assert checkpoint.history[-1]["froc"] >= 0
    assert TrainOptions.from_dict(options.as_dict()) == options
    assert make_spec(checkpoint, name="fold").recipe["fold"] == [2, 3]
    with pytest.raises(OptionError, match="fold"):
        train(toy_set, replace(options, fold=(1, 3)), tmp_path, device="cpu", resume=True)
    with pytest.raises(AnnotationError, match=r"7 folds need .* there are 6"):
        train(toy_set, replace(options, fold=(1, 7)), tmp_path / "many", device="cpu")
    for fold in ((0, 3), (4, 3), (1, 1)):
        with pytest.raises(OptionError, match="fold"):
            replace(options, fold=fold)


def test_slides_with_regions_train(tmp_path: Path) -> None:
    """Pieces of slides are read on several threads, and give a checkpoint like any other images."""
    for name, seed in (("a", 1), ("b", 2)):
        write_slide(tmp_path / "data" / f"{name}.svs", SlideOptions(width=1000, height=600, region=400, seed=seed))
    dataset = read_dataset(tmp_path / "data")
    assert {image.slide for image in dataset.images} == {"a", "b"}
    train(dataset, replace(TINY, batches=2, epochs=1, validation_split=0.5), tmp_path / "run", device="cpu")
    checkpoint = load_checkpoint(tmp_path / "run" / "best.pt")
    assert checkpoint.class_names == ("Signet ring cell",)
    assert checkpoint.history[-1]["froc"] >= 0
    moved = [replace(image, place=Place(0, 0, 0.25)) for image in dataset.images]
    assert data_digest(moved) != data_digest(dataset.images) == checkpoint.data_digest


def test_a_loss_that_is_not_a_number_stops_and_names_the_images(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=1, epochs=2, validation_split=0.0)

    def stop(_row: dict[str, float]) -> None:
        raise StopTrainingError

    with pytest.raises(StopTrainingError):
        train(toy_set, options, tmp_path, device="cpu", on_epoch=stop)
    values = load_tensors(tmp_path / "last.pt")
    network = values["network"]
    assert isinstance(network, dict)
    network["classify.last.bias"][:] = float("nan")
    torch.save(values, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"not a number.*\.jpeg"):
        train(toy_set, options, tmp_path, device="cpu", resume=True)
    assert load_checkpoint(tmp_path / "last.pt").epoch == 1, "the broken weights are not kept as a new epoch"


def test_learning_rate_schedules() -> None:
    steps = TrainOptions(warm_up=0)
    assert [learning_rate_at(steps, epoch * 10, 10) for epoch in (0, 8, 9, 11, 12)] == pytest.approx(
        [1e-4, 1e-4, 1e-5, 1e-5, 1e-6]
    )
    warm = TrainOptions(warm_up=10)
    assert [learning_rate_at(warm, batch, 100) for batch in (0, 4, 9, 10)] == pytest.approx([1e-5, 5e-5, 1e-4, 1e-4])
    cosine = TrainOptions(warm_up=0, schedule="cosine", epochs=4)
    rates = [learning_rate_at(cosine, batch, 5) for batch in range(20)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[10]) == pytest.approx((1e-4, 5e-5))


def test_presets_and_their_options() -> None:
    paper = preset_options("paper")
    assert (paper.patch, paper.patch_step, paper.crop, paper.normals_per_positive) == (800, 300, 600, 3)
    assert (paper.learning_rate, paper.learning_rate_steps, paper.batch_size) == (1e-4, (9, 12), 8)
    assert (paper.architecture.width, paper.architecture.fpn_channels, paper.loss.loss) == (64, 256, "dghm-c")
    assert preset_options("fast", crop=256, learning_rate=None).crop == 256
    assert TrainOptions.from_dict(preset_options("fast").as_dict()) == preset_options("fast")
    with pytest.raises(OptionError, match="preset"):
        preset_options("best")  # type: ignore[arg-type]
    for change in ({"crop": 10}, {"validation_split": 0.95}, {"augment": "some"}, {"schedule": "none"}, {"shape": 1}):
        with pytest.raises(OptionError, match=next(iter(change)).replace("_", " ")):
            preset_options("fast", **change)


EARLIER = {
    "batch_size": "batch",
    "learning_rate": "rate",
    "learning_rate_steps": "rate_steps",
    "validation_split": "validation_share",
    "false_positives_per_normal": "alarms_per_normal",
}


def as_earlier_versions_wrote(options: TrainOptions) -> dict[str, Any]:
    values: dict[str, Any] = {EARLIER.get(name, name): value for name, value in options.as_dict().items()}
    sizes = values["architecture"]
    sizes |= {"pyramid": sizes.pop("fpn_channels"), "levels": sizes.pop("fpn_levels")}
    values["loss"] |= {"name": values["loss"].pop("loss")}
    return values


@pytest.mark.parametrize("name", ["accurate", "fast"])
def test_the_recipes_of_shipped_models_can_be_read(name: str) -> None:
    recipe = load_detector(find_model(name), device="cpu").spec.recipe
    options = TrainOptions.from_dict({name: value for name, value in recipe.items() if name != "weights"})
    assert options.as_dict() | {"weights": recipe["weights"]} == recipe
    assert (options.batch_size, options.learning_rate, options.false_positives_per_normal) == (8, 1e-3, 0.25)
    assert (options.architecture.fpn_channels, options.architecture.fpn_levels) == (64, 3)
    assert TrainOptions.from_dict(as_earlier_versions_wrote(options)) == options


def test_a_run_of_an_earlier_version_can_be_resumed(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=1, epochs=1, validation_split=0.0)
    train(toy_set, options, tmp_path, device="cpu")
    values = load_tensors(tmp_path / "last.pt")
    torch.save(values | {"options": as_earlier_versions_wrote(options)}, tmp_path / "last.pt")
    assert load_checkpoint(tmp_path / "last.pt").options == options
    train(toy_set, options, tmp_path, device="cpu", resume=True)


# ---- the whole run ----------------------------------------------------------------------------------------------


def test_one_function_does_what_the_command_does(toy_folder: Path, trained: Path, tmp_path: Path) -> None:
    """From Python, with a listener; and by the command, with the flags of now and of earlier versions."""
    events: list[TrainingEvent] = []
    sizes = {"width": 8, "fpn_channels": 16, "crop": 128, "batch_size": 2, "batches": 2, "epochs": 2}
    request = TrainingRequest(data=toy_folder, out=tmp_path / "python", pseudo_labels=trained / "best.pt", device="cpu")
    result = train_detector(request, preset_options("fast", fold=(1, 3), **sizes), events.append)
    assert (result.checkpoint, result.report) == (request.out / "best.pt", request.out / "report.html")
    first, second, *rest = events
    assert isinstance(first, DataRead)
    assert first.description.startswith("12 images with ")
    assert isinstance(second, PseudoLabelsAdded)
    assert second.teacher == request.pseudo_labels
    done = [event.done for event in rest if isinstance(event, TrainingProgress) and event.stage == "training"]
    assert done == [1, 2, 3, 4]
    assert [event.metrics["epoch"] for event in rest if isinstance(event, EpochDone)] == [1, 2]
    assert rest[-1] == TrainingProgress(stage="reporting", done=8, total=8)

    for name, words in (
        ("now", ["--fpn-channels", 16, "--batch-size", 2, "--pseudo-labels", trained / "best.pt"]),
        ("former", ["--pyramid", 16, "--batch", 2, "--repair", trained / "best.pt"]),
    ):
        usual = ["--preset", "fast", "--width", 8, "--crop", 128, "--batches", 2, "--epochs", 2, "--fold", "1/3"]
        told = ["train", toy_folder, "--out", tmp_path / name, "--device", "cpu", "--quiet", *usual, *words]
        assert CliRunner().invoke(cli, [str(word) for word in told], catch_exceptions=False).exit_code == 0
        theirs, ours = (load_checkpoint(tmp_path / folder / "last.pt") for folder in (name, "python"))
        assert theirs.options == ours.options
        assert all(torch.equal(value, ours.network[key]) for key, value in theirs.network.items())


# ---- checkpoints ----------------------------------------------------------------------------------------------------


class Hostile:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("where", ["top", "inside"])
def test_a_checkpoint_runs_nothing(tmp_path: Path, where: str) -> None:
    hostile = Hostile(str(tmp_path / "made by the pickle"))
    torch.save(hostile if where == "top" else {"format": 1, "network": hostile}, tmp_path / "a.pt")
    with pytest.raises(TrainingError, match=r"a\.pt"):
        load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "made by the pickle").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02]q\x00.", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"a\.pt"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_checkpoint_of_another_make_is_refused(trained: Path, tmp_path: Path) -> None:
    values = load_tensors(trained / "best.pt")
    for change in ({"format": 99}, {"options": {"crop": 1}}, {"surprise": 1}):
        torch.save(values | change, tmp_path / "a.pt")
        with pytest.raises(TrainingError, match=r"a\.pt.*this version"):
            load_checkpoint(tmp_path / "a.pt")


# ---- export ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory, known_graphs: None) -> Path:
    checkpoint = load_checkpoint(trained / "best.pt")
    path = tmp_path_factory.mktemp("model") / "toy.onnx"
    worst = export_model(checkpoint.make_network(), make_spec(checkpoint, name="toy", licence="CC0-1.0"), path)
    assert worst.box_px < 0.01
    assert worst.score < 1e-4
    return path


@pytest.mark.slow
def test_an_exported_model_keeps_its_contract(exported: Path, trained: Path, toy_folder: Path) -> None:
    detector = load_detector(exported, device="cpu")
    checkpoint = load_checkpoint(trained / "best.pt")
    assert detector.spec == make_spec(checkpoint, name="toy", licence="CC0-1.0")
    assert isinstance(detector.spec, DetectionSpec)
    assert (detector.spec.mpp, detector.spec.stride) == (0.25, 128)
    boxes = sum(path.read_text().count("<object>") for path in toy_folder.rglob("*.xml"))
    assert detector.spec.training_data == f"12 images with {boxes} boxes, and 12 images without cells"
    assert JsonTable(detector.spec.recipe).table("loss").text("loss") == "dghm-c"


@pytest.mark.slow
def test_an_exported_model_finds_what_was_learnt_and_batches_change_nothing(exported: Path) -> None:
    detector = load_detector(exported, device="cpu")
    rng = np.random.default_rng(77)
    images, truths = zip(*(toy_image(rng, cells=True) for _ in range(5)), strict=True)
    together = detector.detect(np.stack(images), 0.05)
    found = total = 0
    for image, truth, of_batch in zip(images, truths, together, strict=True):
        (alone,) = detector.detect(image[None], 0.05)
        np.testing.assert_allclose(alone.boxes, of_batch.boxes, atol=1e-3)
        np.testing.assert_allclose(alone.scores, of_batch.scores, atol=1e-5)
        strong = alone.select(alone.scores >= detector.spec.score_threshold)
        middle = (strong.boxes[:, :2] + strong.boxes[:, 2:]) / 2
        for x, y in (truth[:, :2] + truth[:, 2:]) / 2:
            found += bool(len(middle)) and bool((np.hypot(*(middle - (x, y)).T) < 6).any())
            total += 1
    assert found / total > 0.9


@pytest.mark.slow
def test_half_precision_is_half_the_size_and_nearly_the_same(trained: Path, exported: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    spec, path = make_spec(checkpoint, name="half"), tmp_path / "half.onnx"
    worst = export_model(checkpoint.make_network(), spec, path, precision="fp16")
    assert 1e-5 < worst.score < 5e-3, "rounded to half precision, and no more"
    assert path.stat().st_size < 0.62 * exported.stat().st_size
    full, half = load_detector(exported, device="cpu"), load_detector(path, device="cpu")
    image, _ = toy_image(np.random.default_rng(78), cells=True)
    expected = suppress(full.detect(image[None], 0.3)[0], 0.4).boxes
    found = half.detect(image[None], 0.2)[0].boxes
    apart = np.abs(expected[:, None] - found[None])
    # The error of a box grows with its size, and a network this small may believe in a very large one.
    close = np.any(np.all(apart <= 0.5 + 1e-3 * np.abs(expected)[:, None], axis=2), axis=1)
    assert len(expected) > 5
    assert close.mean() >= 0.9, "but for places whose best anchors score the same"


@pytest.mark.slow
def test_a_model_tells_nothing_of_the_machine_it_was_made_on(exported: Path) -> None:
    content = exported.read_bytes()
    for trace in (b"site-packages", b"retinanet.py", str(ROOT).encode()):
        assert trace not in content


@pytest.mark.slow
def test_shapes_are_free(exported: Path) -> None:
    detector = load_detector(exported, device="cpu")
    for shape in ((1, 128, 128), (3, 256, 384), (2, 640, 128)):
        assert len(detector.detect(np.zeros((*shape, 3), np.uint8), 0.5)) == shape[0]


@pytest.mark.slow
@pytest.mark.parametrize("head", ["classify", "regress"])
def test_a_network_of_nan_is_not_written(trained: Path, exported: Path, tmp_path: Path, head: str) -> None:
    """Of which torch detects nothing either, so that the two do not differ."""
    checkpoint = load_checkpoint(trained / "best.pt")
    network = checkpoint.make_network()
    getattr(network, head).last.bias.data += np.nan
    model = onnx.load(exported)
    (bias,) = [each for each in model.graph.initializer if each.name.endswith(f"{head}.last.bias")]
    bias.CopyFrom(numpy_helper.from_array(np.full(tuple(bias.dims), np.nan, np.float32), bias.name))
    onnx.save(model, tmp_path / "nan.onnx")
    tile = toy_image(np.random.default_rng(5), cells=True)[0]
    with pytest.raises(ModelError, match=r"breaks the contract: .*(nan|not finite)"):
        check_model(network, make_spec(checkpoint, name="toy"), tmp_path / "nan.onnx", [tile])


@pytest.mark.slow
def test_a_model_that_differs_from_torch_is_not_written(
    trained: Path, exported: Path, tmp_path: Path, known_graphs: None
) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    other = checkpoint.make_network()
    other.regress.last.bias.data += 0.01  # type: ignore[union-attr] # a convolution with a bias
    tile = toy_image(np.random.default_rng(5), cells=True)[0]
    spec = make_spec(checkpoint, name="toy")
    assert check_model(checkpoint.make_network(), spec, exported, [tile]).box_px < 0.01
    with pytest.raises(ModelError, match="differs"):
        check_model(other, spec, exported, [tile])
    (tmp_path / "folder").mkdir()
    with pytest.raises(SignetscanError, match="folder"):
        export_model(checkpoint.make_network(), spec, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
