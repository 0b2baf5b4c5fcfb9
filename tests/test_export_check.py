"""`signetscan export --check-on`: real tiles to check the file on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from PIL import Image

from signetscan.cli.main import cli
from signetscan.errors import ModelError, SlideError
from signetscan.models.detector import load_detector
from signetscan.scan.real_tiles import real_tiles
from signetscan.slides import open_slide
from signetscan.testing.specs import make_spec
from signetscan.training import export
from signetscan.training.int8_check import Differences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE = ROOT / "tests" / "data" / "sample.svs"


def test_real_tiles_are_pieces_of_the_slide() -> None:
    spec = make_spec(tile_size=512, stride=128, tile_overlap=256)
    tiles = real_tiles(SAMPLE, spec, count=3)
    assert 1 < len(tiles) <= 3
    with open_slide(SAMPLE) as slide:
        whole = slide.read_region((0, 0), 0, slide.dimensions)
    places = [(x, y) for y in range(0, whole.shape[0], 128) for x in range(0, whole.shape[1], 128)]
    for tile in tiles:
        assert tile.shape == (512, 512, 3)
        assert any(np.array_equal(tile, whole[y : y + 512, x : x + 512]) for x, y in places)


def test_glass_is_nothing_to_check_on(tmp_path: Path) -> None:
    Image.new("RGB", (600, 600), "white").save(tmp_path / "glass.png")
    with pytest.raises(SlideError, match=r"glass\.png: shows no tissue"):
        real_tiles(tmp_path / "glass.png", make_spec())


@pytest.mark.slow
@pytest.mark.usefixtures("known_graphs")
def test_the_file_is_checked_on_the_slides_named_and_not_written_if_it_fails_there(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_real_tiles_only(
        _network: object, _spec: object, _path: object, tiles: Sequence[NDArray[np.uint8]], **_: object
    ) -> Differences:
        if any(tile.shape[0] >= 512 for tile in tiles):
            message = "differs on tissue"
            raise ModelError(message)
        return Differences(box_px=0.0, score=0.0)

    monkeypatch.setattr(export, "check_model", on_real_tiles_only)
    arguments = ["export", str(trained / "best.pt"), "--out", str(tmp_path / "toy.onnx")]
    result = CliRunner().invoke(cli, [*arguments, "--check-on", str(SAMPLE)])
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "differs on tissue" in result.stderr
    own = ["--tile-size", "512", "--overlap", "128", "--threshold", "0.6"]
    assert CliRunner().invoke(cli, [*arguments, *own]).exit_code == 0
    spec = load_detector(tmp_path / "toy.onnx", device="cpu").spec
    assert (spec.tile_size, spec.tile_overlap, spec.score_threshold) == (512, 128, 0.6)
    result = CliRunner().invoke(cli, [*arguments, "--tile-size", "500"])
    assert (result.exit_code, "tile_size must be a multiple of 128 px" in result.stderr) == (1, True)
