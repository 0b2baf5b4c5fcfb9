"""OME-TIFFs by the schema that OME publishes, read by a reader that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ome_types
import pytest
import tifffile
from ome_types.model import UnitsLength
from scanned_slides import CONTROLS, HOSTILE, many
from segmented_slides import MPP, PIXEL, segmented

from signetscan.formats.heatmap import PIXEL_UM, write_heatmap
from signetscan.formats.tissue_maps import write_class_map, write_probability_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ome_types import OME

NAMES = tuple(HOSTILE + CONTROLS)


def class_map(path: Path) -> None:
    write_class_map(path, segmented(1500, 2001, class_names=NAMES, class_colours=((1, 2, 3),) * len(NAMES)))


def probability_map(path: Path) -> None:
    write_probability_map(path, segmented(1500, 2001, class_names=NAMES, class_colours=((1, 2, 3),) * len(NAMES)))


def heat_map(path: Path) -> None:
    write_heatmap(path, many(300, classes=len(NAMES), class_names=NAMES, dimensions=(40_000, 36_000)))


def described(path: Path) -> OME:
    """What the metadata of a file say, if the schema allows it."""
    with tifffile.TiffFile(path) as file:
        return ome_types.from_xml(file.ome_metadata or "", validate=True)


@pytest.mark.parametrize(
    ("write", "images", "channels", "samples", "um"),
    [
        (class_map, 1, 1, 1, PIXEL[0] * MPP.x),
        (probability_map, 1, 1, 1, PIXEL[0] * MPP.x),
        (heat_map, len(NAMES), 3, 3, PIXEL_UM),
    ],
)
def test_metadata_follow_the_schema_and_say_what_the_file_holds(
    tmp_path: Path, write: Callable[[Path], None], images: int, channels: int, samples: int, um: float
) -> None:
    path = tmp_path / "a.ome.tif"
    write(path)
    said = described(path)
    assert said.uuid is not None
    assert len(said.images) == images
    with tifffile.TiffFile(path) as file:
        # One plane for each image; the smaller levels are in its SubIFDs, and in no plane of their own.
        assert len(file.pages) == images
        for index, (image, page) in enumerate(zip(said.images, file.pages, strict=True)):
            pixels = image.pixels
            assert (pixels.size_y, pixels.size_x) == page.shape[:2]
            assert (pixels.size_z, pixels.size_t, pixels.size_c) == (1, 1, channels)
            assert pixels.type.value == "uint8"
            assert [channel.samples_per_pixel for channel in pixels.channels] == [samples]
            assert [(data.ifd, data.plane_count) for data in pixels.tiff_data_blocks] == [(index, 1)]
            assert pixels.physical_size_x == pytest.approx(um, rel=0.01)
            assert pixels.physical_size_x_unit == pixels.physical_size_y_unit == UnitsLength.MICROMETER
            assert isinstance(page, tifffile.TiffPage)
            widths = [page.imagewidth, *(level.shape[1] for level in page.pages or ())]
            assert len(widths) >= 2
            assert widths == [page.imagewidth >> level for level in range(len(widths))]
            assert page.is_subifd is False
