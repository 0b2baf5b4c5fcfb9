"""Would a network gain by computing its first blocks, those of the largest maps, piece by piece?

    python scripts/experiments/bands.py MODEL [--cut getitem_33] [--side 2048] [--rounds 5]

A model file is cut in two at the output of a node, the projection of the first block of stride 8 of signet-sim-3. Its
first part is run on a whole tile, and on pieces of it, each with the halo that its places see, so that together they
give what the whole gives (checked); its second part is run on the whole. CPU seconds, as a share of those of the whole
first part, and the largest memory of a process of its own for each.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime

HALO = 32
"""Pixels around a piece that its places see at most; a multiple of the stride."""
STRIDE = 8
PIECES = ((256, None), (512, None), (512, 512), (1024, 1024))
"""Rows and columns of a piece, tile pixels; None for all columns."""


def cut(model: Path, name: str, folder: Path) -> None:
    """Write the two parts of a model."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(model))
    onnx.save(graph, folder / "whole.onnx")
    for part, (inputs, outputs) in {"first": (["tiles"], [name]), "second": ([name, "tiles"], ["boxes"])}.items():
        onnx.utils.extract_model(str(folder / "whole.onnx"), str(folder / f"{part}.onnx"), inputs, outputs)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """A session as a scan makes it, on one thread, so that CPU seconds are those of the work."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_mem_pattern, options.log_severity_level = 1, False, 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def in_pieces(session: onnxruntime.InferenceSession, tile: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The first part's output for a tile (1, H, W, 3), computed piece by piece."""
    height, width = tile.shape[1:3]
    bands = []
    for top in range(0, height, rows):
        pieces = []
        for left in range(0, width, columns):
            y0, x0 = max(top - HALO, 0), max(left - HALO, 0)
            seen = tile[:, y0 : top + rows + HALO, x0 : left + columns + HALO]
            output = session.run(None, {"tiles": np.ascontiguousarray(seen)})[0]
            above, before = (top - y0) // STRIDE, (left - x0) // STRIDE
            down, across = min(rows, height - top) // STRIDE, min(columns, width - left) // STRIDE
            pieces.append(output[..., above : above + down, before : before + across])
        bands.append(np.concatenate(pieces, -1))
    return np.concatenate(bands, -2)


def measure(folder: Path, side: int, rounds: int, rows: int, columns: int) -> None:
    """Print CPU seconds and MiB of the first part in pieces, and how far its output is from the whole's."""
    session = session_of(folder / "first.onnx")
    tile = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    output = in_pieces(session, tile, rows, columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        output = in_pieces(session, tile, rows, columns)
        seconds.append(time.process_time() - started)
    whole = side in (rows, columns) and rows == columns
    apart = 0.0 if whole else float(np.abs(output - session.run(None, {"tiles": tile})[0]).max())
    print(f"{median(seconds):.3f} {before / 1024:.0f} {apart:.2g}")


def measure_second(folder: Path, side: int, rounds: int) -> float:
    """CPU seconds of the second part."""
    tile = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    maps = session_of(folder / "first.onnx").run(None, {"tiles": tile})[0]
    session = session_of(folder / "second.onnx")
    given = {value.name: {"tiles": tile}.get(value.name, maps) for value in session.get_inputs()}
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        session.run(None, given)
        seconds.append(time.process_time() - started)
    return median(seconds)


def main() -> None:
    """Cut, measure each way in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--cut", default="getitem_33", metavar="TENSOR")
    parser.add_argument("--side", type=int, default=2048, help="of the tile, px")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--piece", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    side, rounds = arguments.side, arguments.rounds
    if arguments.piece:
        measure(arguments.model, side, rounds, *arguments.piece)
        return
    with tempfile.TemporaryDirectory() as folder:
        cut(arguments.model, arguments.cut, Path(folder))
        whole = 0.0
        for rows, columns in ((side, side), *((rows, columns or side) for rows, columns in PIECES)):
            numbers = [str(number) for number in (side, rounds, rows, columns)]
            command = [sys.executable, __file__, folder, "--side", *numbers[:1], "--rounds", numbers[1], "--piece"]
            line = subprocess.run([*command, *numbers[2:]], check=True, capture_output=True, text=True).stdout
            seconds, mebibytes, apart = map(float, line.split())
            whole = whole or seconds
            print(f"first part by {rows} x {columns} px: {seconds / whole:.2f}, {mebibytes:.0f} MiB, apart {apart:.2g}")
        print(f"second part on the whole: {measure_second(Path(folder), side, rounds) / whole:.2f}")


if __name__ == "__main__":
    main()
