"""Export of networks that segment: the file says what torch says, in every precision, or is not written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from toy_tissue import toy_tissue

from signetscan.cli.main import cli
from signetscan.errors import ModelError, OptionError
from signetscan.formats.colours import tissue_colours
from signetscan.models.segmenter import load_segmenter
from signetscan.training.export_options import ExportOptions
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint, save_segmentation_checkpoint
from signetscan.training.segmentation.export import (
    check_segmenter,
    export_segmentation_checkpoint,
    export_segmenter,
)
from signetscan.training.segmentation.network import SegmentationNet
from signetscan.training.segmentation.options import SegmentationArchitecture
from signetscan.training.segmentation.segmenter import TorchSegmenter
from signetscan.training.segmentation.spec import make_segmentation_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.segmentation_spec import SegmentationSpec

pytestmark = pytest.mark.usefixtures("known_graphs")


@pytest.fixture(scope="module")
def spec(tissue_run: Path) -> SegmentationSpec:
    return make_segmentation_spec(load_segmentation_checkpoint(tissue_run / "best.pt"), name="toy")


def tissue_tiles(count: int = 3) -> list[NDArray[np.uint8]]:
    return [toy_tissue(np.random.default_rng(seed), lesions=True)[0] for seed in range(10, 10 + count)]


def exported(tissue_run: Path, path: Path) -> Path:
    export_segmentation_checkpoint(tissue_run / "best.pt", ExportOptions(out=path))
    return path


def test_the_file_says_what_torch_says_on_tiles_of_any_size(
    tissue_run: Path, made_once: Callable[[str, Callable[[Path], object]], Path], spec: SegmentationSpec
) -> None:
    folder = made_once("tissue-onnx", lambda out: exported(tissue_run, out / "toy.onnx"))
    file = load_segmenter(folder / "toy.onnx", device="cpu")
    assert file.spec == spec
    assert file.spec.held_out is not None
    network = load_segmentation_checkpoint(tissue_run / "best.pt").make_network()
    reference = TorchSegmenter(network, spec, torch.device("cpu"))
    found = check_segmenter(reference, file, [*tissue_tiles(), np.full((32, 320, 3), 200, np.uint8)])
    assert found.changed <= 0.001
    batch = np.stack(tissue_tiles())
    alone = np.concatenate([file.segment(tile[None]) for tile in batch])
    np.testing.assert_array_equal(file.segment(batch), alone)


def test_half_precision_says_almost_the_same(tissue_run: Path, tmp_path: Path) -> None:
    options = ExportOptions(out=tmp_path / "half.onnx", precision="fp16", intended_use="Teaching.")
    model = export_segmentation_checkpoint(tissue_run / "best.pt", options)
    assert 0 < model.differences.probability <= 0.03
    spec = load_segmenter(model.path, device="cpu").spec
    assert (spec.precision, spec.intended_use) == ("fp16", "Teaching.")


@pytest.mark.slow
def test_integers_say_nearly_the_same_on_tissue(tissue_run: Path, tmp_path: Path) -> None:
    for number, tile in enumerate(tissue_tiles(6)):
        Image.fromarray(np.tile(tile, (3, 3, 1))).save(tmp_path / f"{number}.png")
    options = ExportOptions(out=tmp_path / "int8.onnx", precision="int8", calibrate_on=(tmp_path,), tile_size=448)
    model = export_segmentation_checkpoint(tissue_run / "best.pt", options)
    assert model.differences.changed < 0.05
    assert load_segmenter(model.path, device="cpu").spec.tile_size == 448


@pytest.mark.parametrize("options", [ExportOptions(threshold=0.5), ExportOptions(overlap=64)])
def test_what_only_detectors_have_is_refused(tissue_run: Path, options: ExportOptions) -> None:
    with pytest.raises(OptionError, match=r"a model that segments has no (threshold|overlap)"):
        export_segmentation_checkpoint(tissue_run / "best.pt", options)


def test_networks_that_say_nothing_are_not_exported(tissue_run: Path, tmp_path: Path, spec: SegmentationSpec) -> None:
    state = load_segmentation_checkpoint(tissue_run / "best.pt")
    name = "decoder.0.conv.weight"
    save_segmentation_checkpoint(
        tmp_path / "nan.pt", replace(state, network=state.network | {name: state.network[name] * torch.nan})
    )
    with pytest.raises(ModelError, match=f"weights are not finite numbers .{name}"):
        export_segmentation_checkpoint(tmp_path / "nan.pt")
    blind = SegmentationNet(SegmentationArchitecture(width=8, decoder_channels=8)).eval()
    torch.nn.init.zeros_(blind.last.weight)
    with pytest.raises(ModelError, match="says the same of everything"):
        export_segmenter(blind, spec, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_a_file_of_another_network_is_refused(tissue_run: Path, spec: SegmentationSpec) -> None:
    network = load_segmentation_checkpoint(tissue_run / "best.pt").make_network()
    ours = TorchSegmenter(network, spec, torch.device("cpu"))
    other = SegmentationNet(SegmentationArchitecture(width=8, decoder_channels=8)).eval()
    with pytest.raises(ModelError, match=r"differs from torch by .* it was not written"):
        check_segmenter(ours, TorchSegmenter(other, spec, torch.device("cpu")), tissue_tiles())


def test_colours_differ_and_the_background_is_white() -> None:
    for count in (2, 5, 12):
        for background in (0, count - 1):
            colours = tissue_colours(count, background)
            assert colours[background] == (255, 255, 255)
            assert len(set(colours)) == len(colours) == count


def test_the_command_exports_either_kind(tissue_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy.onnx"
    ran = CliRunner().invoke(cli, ["export", str(tissue_run / "best.pt"), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "resamples of 2 images with scored classes and 2 without" in ran.output
    assert "toy.onnx: probabilities within 0.0" in " ".join(ran.output.split())
    shown = CliRunner().invoke(cli, ["info", str(out)])
    assert "lesion" in shown.output
