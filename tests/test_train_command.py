"""`signetscan train` on data sets of several layouts: what it says, and what it refuses."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.cli.main import cli
from signetscan.training.backbones import EfficientNetLite0
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.options import Architecture
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SMALL = (
    *("--preset", "fast", "--epochs", 1, "--batches", 1, "--batch-size", 2, "--crop", 128),
    *("--width", 8, "--fpn-channels", 8),
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Six images of two classes, one of them normal, one without XML."""
    folder = tmp_path / "my cells"
    folder.mkdir()
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (160, 200, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
        boxes = np.array([[10, 10, 50, 50], [90, 60, 130, 100], [500, 0, 540, 40]])[: 0 if number == 4 else 3]
        content = boxes_xml(f"{number}.png", (200, 160), boxes, ["Ring", "Lymphocyte", "Ring"][: len(boxes)])
        if number != 5:
            (folder / f"{number}.xml").write_bytes(content)
    return folder


@pytest.mark.slow
def test_a_model_may_work_at_another_size_of_pixels(voc: Path, tmp_path: Path) -> None:
    sizes = ("--mpp", 0.25, "--model-mpp", 0.5, "--head-depth", 1)
    others = ("--false-positives-per-normal", 0.5, "--focal-gamma", 1.5, "--sce-beta", 2)
    result = run("train", voc, "--class", "ring", "--out", tmp_path / "run", *SMALL, *sizes, *others)
    assert result.exit_code == 0, result.output
    assert "Ring at 0.5 µm/px" in result.stderr
    checkpoint = load_checkpoint(tmp_path / "run" / "best.pt")
    spec = make_spec(checkpoint, name="coarse")
    assert (spec.mpp, spec.stride, checkpoint.options.architecture.head_depth) == (0.5, 32, 1)
    assert checkpoint.options.false_positives_per_normal == 0.5
    assert (checkpoint.options.loss.focal_gamma, checkpoint.options.loss.sce_beta) == (1.5, 2)
    result = run("train", voc, "--class", "ring", "--model-mpp", 20, "--out", tmp_path / "other", *SMALL)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: images of 0.25 µm/px cannot be resampled to 20 µm/px; choose a size from 0.0625 to 10 µm/px",
    )


@pytest.mark.slow
def test_what_was_left_out_is_said_on_stderr(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run("train", voc, "--class", "ring", "--mpp", 0.5, "--fold", "1/2", "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out / 'best.pt'}\n"
    first, *rest = result.stderr.splitlines()
    assert first == (
        f"{voc} (images with VOC-like XML): 4 images with 4 boxes, and 1 image without cells; Ring at 0.5 µm/px"
    )
    files = "0.xml, 1.xml, 2.xml, 3.xml"
    assert [line for line in rest if line.startswith("Warning: ")] == [
        "Warning: Images whose annotation file has no object, taken for normal ones: 1, namely 4.png.",
        "Warning: Left out, without an annotation file: 1, namely 5.png.",
        "Warning: Objects of other classes left out: 4, namely Lymphocyte (4).",
        f"Warning: Boxes left out, outside their image or thinner than 4 px in it: 4, namely {files}.",
        "Warning: Images whose names do not tell the slide, each taken for a slide of its own: 5.",
    ]
    checkpoint = load_checkpoint(out / "last.pt")
    assert (checkpoint.class_names, checkpoint.mpp, checkpoint.options.fold) == (("Ring",), 0.5, (1, 2))
    assert rest[-1] == f"Report: {out / 'report.html'}"
    expected = ["best.pt", "events.out.tfevents.000001", "last.pt", "metrics.csv", "report.html"]
    assert sorted(path.name for path in out.iterdir()) == expected


@pytest.mark.slow
def test_a_run_that_is_over_gets_its_report_anew(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("train", voc, "--class", "ring", "--out", out, *SMALL)
    assert run(*words).exit_code == 0
    before = (out / "last.pt").read_bytes()
    (out / "report.html").unlink()
    result = run(*words, "--resume")
    assert result.exit_code == 0, result.output
    assert "epoch" not in result.stderr
    assert "Training report" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_several_classes_train_together(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run("train", voc, "--class", "Lymphocyte", "--class", "Ring", "--out", out, "--quiet", *SMALL)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert load_checkpoint(out / "best.pt").class_names == ("Lymphocyte", "Ring")


def test_another_backbone_starts_from_a_file_of_weights(voc: Path, tmp_path: Path) -> None:
    torch.manual_seed(77)  # not the run's seed
    weights = EfficientNetLite0().state_dict()
    torch.save(weights | {"_fc.bias": torch.zeros(1000)}, tmp_path / "lite0.pth")
    out, small = tmp_path / "run", [word for word in SMALL if word not in ("--width", 8, "--fpn-channels")]
    chosen = ("--class", "ring", "--backbone", "efficientnet-lite0", "--weights", tmp_path / "lite0.pth")
    result = run("train", voc, *chosen, "--out", out, "--fpn-channels", 8, "--precision", "bf16", "--quiet", *small)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    checkpoint = load_checkpoint(out / "best.pt")
    assert checkpoint.options.architecture == Architecture(backbone="efficientnet-lite0", fpn_channels=8, fpn_levels=2)
    for name in ("_conv_stem.weight", "_blocks.15._project_conv.weight"):
        learnt = checkpoint.network[f"backbone.{name}"]
        assert 0 < (learnt - weights[name]).abs().max() < 1e-4, "one step at the rate of a first batch away"
    digest = hashlib.sha256((tmp_path / "lite0.pth").read_bytes()).hexdigest()
    assert make_spec(checkpoint, name="lite").recipe["weights"] == f"lite0.pth, SHA-256 {digest}"


@pytest.mark.parametrize(
    ("options", "named", "status"),
    [
        ((), "--class", 1),
        (("--class", "mitosis"), "Lymphocyte (4), Ring (8)", 1),
        (("--class", "ring", "--fold", "5/5"), "at least 5 slides", 1),
        (("--class", "ring", "--fold", "3/2"), "fold", 2),
        (("--class", "ring", "--fold", "two"), "fold must be I/K", 2),
        (("--class", "ring", "--fold", "1/2", "--validation-split", "0.2"), "--validation-split", 2),
        (("--class", "ring", "--mpp", "0"), "mpp", 2),
        (("--class", "ring", "--backbone", "efficientnet-lite0"), "width", 2),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    voc: Path, tmp_path: Path, options: tuple[str, ...], named: str, status: int
) -> None:
    result = run("train", voc, "--out", tmp_path / "run", *options, *SMALL)
    assert result.exit_code == status
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert named in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()
