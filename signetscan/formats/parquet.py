"""Detections as GeoParquet 1.1, for data frames and databases: the columns of the CSV file, and each box as a polygon.

Coordinates are level-0 pixels from the corner of level 0, as in the CSV file. They are not places on the globe, so the
file declares no reference system (`"crs": null`). Values are not rounded. What the model says of itself is JSON in the
file's metadata, under `signetscan`. Measurements are columns too, null where there is no value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from signetscan.atomic import part_path
from signetscan.boxes import centres
from signetscan.formats.blocks import ROWS_AT_ONCE, blocks
from signetscan.measurements import MEASURES, NO_TISSUE, TISSUE_COLUMN

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json
    from signetscan.measurements import Measurements
    from signetscan.slides import Mpp

NUMBERS = ("x0_px", "y0_px", "x1_px", "y1_px", "centre_x_um", "centre_y_um", "width_um", "height_um")
"""Columns of 64-bit numbers after id, class, score and geometry; `csv_file.COLUMNS` says what they hold."""

ROWS_A_GROUP = 16 * ROWS_AT_ONCE
"""Rows of a row group, about 10 MB, which programs read or skip as a whole."""

POLYGON = np.dtype([("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("points", "<u4"), ("xy", "<f8", (5, 2))])
"""A box in well-known binary (WKB): a little-endian polygon of one closed ring of five points, 93 bytes."""


def write_parquet(path: Path, scanned: ScannedSlide) -> None:
    """Write one row for each detection, in their order; row groups keep memory from growing with their number.

    Args:
        path: the file to write.
        scanned: the slide and its detections.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: the file cannot be written.
    """
    from pyarrow import parquet  # noqa: PLC0415 - only this format needs it

    schema = _schema(scanned)
    with part_path(path) as part, parquet.ParquetWriter(part, schema, compression="zstd") as file:
        # At least one group, so that a file without detections has its columns.
        for start in range(0, max(len(scanned.detections), 1), ROWS_A_GROUP):
            stop = min(start + ROWS_A_GROUP, len(scanned.detections))
            file.write_table(_table(scanned.detections.select(np.arange(start, stop)), scanned, schema))


def _schema(scanned: ScannedSlide) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("class", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in NUMBERS),
    ]
    measured = scanned.detections.measured
    if measured is not None:
        fields += [pa.field(measure.column, pa.float64()) for measure in MEASURES]
        fields += [] if measured.tissue is None else [pa.field(TISSUE_COLUMN, pa.dictionary(pa.int32(), pa.string()))]
    metadata = {"geo": json.dumps(_geo(scanned.detections))}
    if scanned.about_model:
        metadata["signetscan"] = json.dumps(scanned.about_model)
    return pa.schema(fields, metadata=metadata)


def _geo(detections: Detections) -> dict[str, Json]:
    """The description of the geometry column that GeoParquet demands."""
    column: dict[str, Json] = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None, "edges": "planar"}
    if len(detections):
        low, high = detections.boxes[:, :2].min(axis=0), detections.boxes[:, 2:].max(axis=0)
        column["bbox"] = [*low.tolist(), *high.tolist()]
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _table(detections: Detections, scanned: ScannedSlide, schema: pa.Schema) -> pa.Table:
    """Detections as a row group."""
    import pyarrow as pa  # noqa: PLC0415

    ids = [identity for block in blocks(detections, scanned.class_names, scanned.source) for identity in block.ids]
    names = pa.DictionaryArray.from_arrays(detections.labels.astype(np.int32), pa.array(scanned.class_names))
    numbers = [pa.array(column) for column in _numbers(detections, scanned.mpp)]
    columns = [pa.array(ids, pa.string()), names, pa.array(detections.scores), _wkb(detections.boxes), *numbers]
    if detections.measured is not None:
        columns += _measured(detections.measured)
    return pa.Table.from_arrays(columns, schema=schema)


def _measured(measured: Measurements) -> list[pa.Array]:
    """The columns of measurements, null where there is no value."""
    import pyarrow as pa  # noqa: PLC0415

    # From pandas, nan is no value.
    columns = [pa.array(np.ascontiguousarray(column), from_pandas=True) for column in measured.values.T]
    if measured.tissue is not None:
        missing = measured.tissue == NO_TISSUE
        indices = pa.array(np.where(missing, 0, measured.tissue).astype(np.int32), mask=missing)
        columns.append(pa.DictionaryArray.from_arrays(indices, pa.array(measured.tissues, pa.string())))
    return columns


def _numbers(detections: Detections, mpp: Mpp) -> list[NDArray[np.float64]]:
    """The columns `NUMBERS`."""
    size = detections.boxes[:, 2:] - detections.boxes[:, :2]
    lengths = np.concatenate([centres(detections.boxes), size], axis=1) * (mpp.x, mpp.y, mpp.x, mpp.y)
    return list(np.ascontiguousarray(np.concatenate([detections.boxes, lengths], axis=1).T))


def _wkb(boxes: NDArray[np.float64]) -> pa.Array:
    """Boxes (N, 4) as polygons, corners in the order of the GeoJSON file."""
    import pyarrow as pa  # noqa: PLC0415

    polygons = np.empty(len(boxes), POLYGON)
    # Byte order 1 is little-endian, type 3 a polygon; one ring of five points.
    polygons["order"], polygons["kind"], polygons["rings"], polygons["points"] = 1, 3, 1, 5
    polygons["xy"] = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]].reshape(-1, 5, 2)
    starts = np.arange(len(boxes) + 1, dtype=np.int32) * POLYGON.itemsize
    return pa.Array.from_buffers(pa.binary(), len(boxes), [None, pa.py_buffer(starts), pa.py_buffer(polygons)])
