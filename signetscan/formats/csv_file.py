"""Detections as a CSV table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from signetscan.atomic import atomic_text
from signetscan.boxes import centres
from signetscan.formats.blocks import blocks, filled
from signetscan.measurements import MEASURES, TISSUE_COLUMN, as_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.formats.blocks import RowBlock
    from signetscan.measurements import Measurements
    from signetscan.slides import Mpp

COLUMNS = {
    "id": "UUID, the same as in the GeoJSON file",
    "class": "class name",
    "score": "0 to 1",
    "x0_px": "left edge of the box, level-0 pixels",
    "y0_px": "top edge, level-0 pixels",
    "x1_px": "right edge, level-0 pixels",
    "y1_px": "bottom edge, level-0 pixels",
    "centre_x_um": "centre of the box, µm from the left edge of level 0",
    "centre_y_um": "centre, µm from the top edge of level 0",
    "width_um": "width of the box, µm",
    "height_um": "height of the box, µm",
}
"""Columns and what they hold. Pixels count from the corner of level 0, not from QuPath's bounds."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a field that begins so for a formula; a class name that does gets an apostrophe before it."""


def write_csv(path: Path, detections: Detections, class_names: Sequence[str], *, source: str, mpp: Mpp) -> None:
    """Write one row for each detection, in their order.

    Args:
        path: the file to write.
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        source: fingerprints of the slide and the model that the detections come from, for stable ids.
        mpp: size of a level-0 pixel.

    Raises:
        OutputError: the file cannot be written.
    """
    more = measured_columns(detections.measured)
    templates = [_template(name, len(more)) for name in class_names]
    with atomic_text(path) as file:
        file.write(_line([*COLUMNS, *more]))
        for block in blocks(detections, class_names, source):
            file.write(_rows(block, templates, mpp))


def _line(fields: Iterable[str]) -> str:
    line = io.StringIO()
    # The writer quotes a field that holds a character of its own line end; with "\n" alone, not one with a "\r".
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n") + "\n"


def measured_columns(measured: Measurements | None) -> tuple[str, ...]:
    """The columns that follow the others where cells were measured."""
    if measured is None:
        return ()
    return (*(measure.column for measure in MEASURES), *(() if measured.tissue is None else (TISSUE_COLUMN,)))


def _template(name: str, more: int) -> str:
    """A row of a class, quoted where CSV needs it, with placeholders for the values that differ."""
    name = _no_formula(name).replace("%", "%%")
    # The second %s takes the four edges of the box, commas included.
    return _line(["%s", name, "%.4f", "%s", "%.3f", "%.3f", "%.3f", "%.3f", *["%s"] * more])


def _no_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _rows(block: RowBlock, templates: Sequence[str], mpp: Mpp) -> str:
    """The rows of a block."""
    detections = block.detections
    middle = centres(detections.boxes) * (mpp.x, mpp.y)
    size = (detections.boxes[:, 2:] - detections.boxes[:, :2]) * (mpp.x, mpp.y)
    lengths = np.concatenate([middle, size], axis=1).T.tolist()
    columns = (block.ids, detections.scores.tolist(), block.edges.splitlines(), *lengths, *_measured(detections))
    return filled([templates[label] for label in detections.labels.tolist()], columns, "")


def _measured(detections: Detections) -> list[list[str]]:
    """The fields of each column of `measured_columns`."""
    measured = detections.measured
    if measured is None:
        return []
    names = measured.tissue_names
    if names is None:
        return as_texts(measured.values)
    quoted = {name: _line([_no_formula(name)]).removesuffix("\n") if name else "" for name in {*names}}
    return [*as_texts(measured.values), [quoted[name] for name in names]]
