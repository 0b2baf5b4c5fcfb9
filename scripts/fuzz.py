"""Give damaged and made-up input to everything that takes it from strangers, for a bounded time each.

    python scripts/fuzz.py [--seconds 60] [--only NAME] [--seed 0]

An input may be taken or refused by an error of signetscan's own; anything else is printed with the input's number and a
traceback, and the status is 1. Seeds are the files of the tests; slides are fuzzed in batches by check_reliability.py.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import read_annotations
from signetscan.annotations.qupath import read_outlines
from signetscan.cli.config import read_settings
from signetscan.cli.main import cli
from signetscan.dataset.record import read_dataset_record
from signetscan.detections import Detections
from signetscan.errors import SignetscanError
from signetscan.inference import load_detector
from signetscan.model_store import find_model
from signetscan.outputs.scanned import ScannedSlide
from signetscan.outputs.stored import load_result
from signetscan.slides import ArraySlide, Mpp, open_slide
from signetscan.viewer import Viewer, ViewerServer

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
GEOJSON = b"""{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a", "geometry": {"type": "Polygon",
"coordinates": [[[0, 0], [10.5, 0], [10, 10], [0, 10], [0, 0]]]}, "properties": {"objectType": "annotation",
"classification": {"name": "Positive region", "color": [1, 2, 3]}, "measurements": {"Score": 0.5}, "childObjects": []}},
{"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "properties": null}]}"""
XML = b"""<?xml version="1.0"?><annotation><filename>a.png</filename><size><width>9</width><height>9</height></size>
<object><name>ring</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"""
CSV = b'x0,y0,x1,y1,score,class\n1,2,3,4,0.5,ring\n5,6,7,8,0.25,"a,b"\n'
TOML = b'[detect]\nmodel = "fast"\nworkers = 2\nslide-timeout = 3.5\n[train]\nepochs = 3\n'
RECORD = json.dumps(
    {
        "slide": {
            "name": "a",
            "fingerprint": "x",
            "width_px": 9,
            "height_px": 9,
            "mpp": {"x": 1, "y": 1, "source": "s"},
        },
        "model": {"name": "m", "sha256": "0", "classes": ["ring"]},
        "geojson_origin_px": [0, 0],
        "files": {"csv": {"name": "a.csv", "bytes": 9}},
        "detections": {"ring": 2},
    }
).encode()
SPECIAL = (
    b"\x00",
    b"\xff",
    b'"',
    b"<",
    b"&",
    b"{",
    b"[",
    b"]",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"..",
    b"/",
    b"%2e",
    b"\n",
)
"""What often breaks a parser."""
VALUES = (
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "NaN",
    "1.5",
    '""',
    '"a"',
    '"../x"',
    "[]",
    "{}",
    "[[1, 2]]",
    '{"name": 3}',
)
"""What stands in JSON where something else is expected."""


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """A seed with some changes: bytes, stretches, things that break parsers."""
    content = bytearray(seed)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(content) + 1)
        end = min(len(content), place + rng.choice([0, 1, 4, 64]))
        source = rng.randrange(len(content) + 1)
        new = rng.choice([rng.choice(SPECIAL), bytes(content[source : source + 40]), rng.randbytes(3), b""])
        content[place:end] = new
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.1 else content)


def changed(seed: bytes, rng: random.Random) -> bytes:
    """A JSON seed in which values stand where others were: still JSON, but not what is expected."""
    tree = json.loads(seed)
    for _ in range(rng.choice([1, 1, 2, 4])):
        holders = [tree]
        for each in holders:
            inner = each.values() if isinstance(each, dict) else each
            holders += [value for value in inner if isinstance(value, dict | list) and value]
        holder = rng.choice(holders)
        place = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[place] = json.loads(rng.choice(VALUES))
    return json.dumps(tree).encode()


def of_file(seed: bytes, name: str, read: Callable[[Path], object]) -> Callable[[random.Random, Path], None]:
    """A target that reads a file."""

    def target(rng: random.Random, folder: Path) -> None:
        path = folder / name
        is_json = seed.startswith(b"{") and rng.random() < 0.7
        path.write_bytes(changed(seed, rng) if is_json else mutated(seed, rng))
        read(path)

    return target


def read_record(path: Path) -> object:
    """A result whose record is damaged."""
    path.with_name("a.csv").write_bytes(CSV)
    return load_result(path)


def viewer_target() -> Callable[[random.Random, Path], None]:
    """Requests to a viewer, with its token or without."""
    slide = ArraySlide([np.full((600, 800, 3), 200, np.uint8)], mpp=0.25, name="a")
    found = Detections(boxes=np.array([[1.0, 2, 30, 40]]), scores=np.ones(1, np.float32), labels=np.zeros(1, np.int64))
    scanned = ScannedSlide(
        name="a",
        detections=found,
        class_names=("ring",),
        model="m",
        model_sha256="0",
        fingerprint="x",
        mpp=Mpp(0.25, 0.25, "--mpp"),
        dimensions=slide.dimensions,
    )
    server = ViewerServer(Viewer(scanned, slide, Path(tempfile.mkdtemp()) / "a.corrected.geojson"))
    Thread(target=server.serve_forever, daemon=True).start()
    seeds = (
        b"/tiles/8/0_0.jpeg",
        b"/detections",
        b"/marks",
        b"/app.js",
        b"/?token=x",
        b"/../../etc/passwd",
        b"/%2e%2e/x",
    )
    bodies = (b'{"number": 0, "verdict": "accepted"}', b'{"box": [1, 2, 3, 4], "label": 0}', b"{}")

    def target(rng: random.Random, _: Path) -> None:
        path = mutated(rng.choice(seeds), rng).decode("latin-1")
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        headers = {"Cookie": f"{server.cookie}={server.token}"} if rng.random() < 0.8 else {}
        try:
            if rng.random() < 0.5:
                connection.request("GET", path, headers=headers)
            else:
                headers |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{server.server_port}"}
                connection.request("POST", path, mutated(rng.choice(bodies), rng), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 500 or b"root:" in content or b"Traceback" in content:
                message = f"{answer.status} for {path!r}: {content[:200]!r}"
                raise AssertionError(message)
        except (HTTPException, ValueError):
            pass  # this client refuses to send it, or the server closed the connection
        finally:
            connection.close()

    return target


def targets() -> dict[str, Callable[[random.Random, Path], None]]:
    """Everything that takes what strangers made."""
    model = find_model("fast").read_bytes()
    return {
        "geojson": of_file(GEOJSON, "a.geojson", read_annotations),
        "outlines": of_file(GEOJSON, "a.geojson", read_outlines),
        "xml": of_file(XML, "a.xml", read_annotations),
        "csv": of_file(CSV, "a.csv", read_annotations),
        "settings": of_file(TOML, "a.toml", lambda path: read_settings(cli, [path])),
        "record": of_file(RECORD, "a.run.json", read_record),
        "dataset": of_file(
            b'{"mpp": 0.25, "slides": {}}', "dataset.json", lambda path: read_dataset_record(path.parent)
        ),
        "onnx": of_file(model, "a.onnx", lambda path: load_detector(path, device="cpu")),
        "slide": of_file(ROOT.joinpath("tests/data/sample.svs").read_bytes(), "a.svs", open_slide),
        "viewer": viewer_target(),
    }


def main() -> None:
    """Run all targets, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failures = 0
    for name, target in targets().items():
        if options.only not in {None, name}:
            continue
        ends, number, refused = time.monotonic() + options.seconds, 0, 0
        with tempfile.TemporaryDirectory() as scratch:
            while time.monotonic() < ends:
                try:
                    target(random.Random(f"{options.seed}:{name}:{number}"), Path(scratch))  # noqa: S311
                except SignetscanError:
                    refused += 1
                except Exception:  # noqa: BLE001 - that is what is looked for
                    failures += 1
                    print(f"{name}, input {number}:\n{traceback.format_exc(limit=-4)}", flush=True)
                number += 1
        print(f"{name}: {number} inputs, {refused} refused", flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
