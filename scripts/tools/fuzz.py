"""Give damaged and made-up input to everything that takes it from strangers, for a bounded time each.

    python scripts/tools/fuzz.py [--seconds 60] [--only NAME] [--seed 0]

An input may be taken or refused by an error of signetscan's own; anything else is printed with the input's number and a
traceback, and the status is 1. Seeds are the files of the tests; check_reliability.py scans damaged slides in batches.
"""

from __future__ import annotations

import argparse
import gzip
import io
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
from PIL import Image

from signetscan.annotations import read_annotations, read_geojson
from signetscan.annotations.qupath import read_areas
from signetscan.batch.find import read_list
from signetscan.batch.options import BatchOptions
from signetscan.cli.config import read_settings
from signetscan.cli.main import cli
from signetscan.dataset.record import read_dataset_record
from signetscan.detections import Detections
from signetscan.errors import SignetscanError
from signetscan.foreign.importing import import_model
from signetscan.foreign.options import ImportOptions
from signetscan.foreign.wsinfer import read_config
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.reports.index import find_entries
from signetscan.reports.run_facts import run_facts
from signetscan.results.failures import write_failure
from signetscan.results.reading import load_result
from signetscan.results.slide_finder import SlideFinder
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, Mpp, open_slide
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from signetscan.training.options import Architecture, TrainOptions
from signetscan.training.retinanet import RetinaNet
from signetscan.viewer import Viewer, ViewerServer, read_marks
from signetscan.viewer.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.viewer.replies import Answering

ROOT = Path(__file__).parents[2]
GEOJSON = b"""{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a", "geometry": {"type": "Polygon",
"coordinates": [[[0, 0], [10.5, 0], [10, 10], [0, 10], [0, 0]]]}, "properties": {"objectType": "annotation",
"classification": {"name": "Positive region", "color": [1, 2, 3]}, "measurements": {"Score": 0.5}, "childObjects": []}},
{"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "properties": null}]}"""
XML = b"""<?xml version="1.0"?><annotation><filename>a.png</filename><size><width>9</width><height>9</height></size>
<object><name>ring</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"""
CSV = b'x0,y0,x1,y1,score,class\n1,2,3,4,0.5,ring\n5,6,7,8,0.25,"a,b"\n'
TOML = b'[detect]\nmodel = "fast"\nworkers = 2\nslide-timeout = 3.5\n[train]\nepochs = 3\n'
PATCH_CONFIG = json.dumps(
    {
        "spec_version": "1.0",
        "num_classes": 2,
        "class_names": ["Other", "Tumor"],
        "patch_size_pixels": 350,
        "spacing_um_px": 0.25,
        "transform": [
            {"name": "Resize", "arguments": {"size": 224}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": [0.7, 0.6, 0.7], "std": [0.1, 0.1, 0.1]}},
        ],
    }
).encode()
RECORD = json.dumps(
    {
        "schema": 1,
        "finished": "2026-01-01T00:00:00+00:00",
        "versions": {"signetscan": "0.1.0"},
        "key": "k",
        "slide": {
            "name": "a",
            "format": "aperio",
            "fingerprint": "x",
            "width_px": 9,
            "height_px": 9,
            "mpp": {"x": 1, "y": 1, "source": "s"},
        },
        "model": {
            "name": "m",
            "sha256": "0",
            "precision": "fp32",
            "mpp": 0.5,
            "classes": ["ring"],
            "intended_use": "Research",
        },
        "provider": "CPUExecutionProvider",
        "options": {"threshold": 0.5, "min_tissue": 1000.0},
        "roi": None,
        "geojson_origin_px": [0, 0],
        "tiles": {"grid": 4, "scanned": 2},
        "unread_mm2": 0.0,
        "unread_px": [[0, 0, 4, 4]],
        "tissue_mm2": 1.5,
        "detections": {"ring": 2},
        "seconds": {"scan": 1.0},
        "files": {"csv": {"name": "a.csv", "bytes": 9}},
    }
).encode()
DATASET = b'{"signetscan": "0.1.0", "mpp": 0.25, "slides": {"a": {"fingerprint": "x", "cells": {"ring": 2}}}}'
MARKS = b"""{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a", "geometry": {"type": "Polygon",
"coordinates": [[[1, 2], [30, 2], [30, 40], [1, 40], [1, 2]]]}, "properties": {"objectType": "annotation",
"classification": {"name": "ring", "color": [1, 2, 3]}, "measurements": {"Score": 1.0}}}]}"""
LIST = b'path,mpp,threshold,tile_size\na.svs,0.25,0.5,1024\n"b.svs",,,\n'
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


def read_record(path: Path) -> None:
    """A result whose record is damaged, by everything that reads it."""
    path.with_name("a.csv").write_bytes(CSV.replace(b'"a,b"', b"ring"))
    if len(find_entries(path.parent)) != 1:
        message = "the index leaves a slide out"
        raise AssertionError(message)
    run_facts(load_result(path).record)


def read_whole(path: Path) -> None:
    """A slide, and all of its pixels."""
    with open_slide(path, mpp=0.25) as slide:
        slide.read_region((0, 0), 0, slide.dimensions)


def metadata_target(spec: DetectionSpec | SegmentationSpec) -> Callable[[random.Random, Path], None]:
    """The contract in a model's metadata."""
    metadata = spec.to_metadata()

    def target(rng: random.Random, _: Path) -> None:
        damaged = dict(metadata)
        for name in rng.sample(list(damaged), rng.choice([1, 1, 2, 4])):
            as_json = rng.random() < 0.7
            damaged[name] = (
                rng.choice(VALUES) if as_json else mutated(damaged[name].encode(), rng).decode(errors="replace")
            )
        type(spec).from_metadata(damaged)

    return target


def scanned_here(slide: ArraySlide) -> ScannedSlide:
    """A slide with one detection."""
    found = Detections(boxes=np.array([[1.0, 2, 30, 40]]), scores=np.ones(1, np.float32), labels=np.zeros(1, np.int64))
    return ScannedSlide(
        name="a",
        detections=found,
        class_names=("ring",),
        model="m",
        model_sha256="0",
        fingerprint="x",
        mpp=Mpp(0.25, 0.25),
        dimensions=slide.dimensions,
    )


ADDRESSES = (
    b"/",
    b"/tiles/8/0_0.jpg",
    b"/tiles/10/1_1.jpg",
    b"/crops/0.jpg",
    b"/gallery",
    b"/classes.png",
    b"/detections.bin",
    b"/slide.json",
    b"/marks.json",
    b"/marks",
    b"/save",
    b"/app.js",
    b"/?token=x",
    b"/../../etc/passwd",
    b"/%2e%2e/x",
)
FOLDER_ADDRESSES = (
    b"/work.json",
    b"/results/index.html",
    b"/results/b/a.report.html",
    b"/results/b/../../x.report.html",
    b"/results/%2e%2e/x.report.html",
    b"/named/b/a",
    b"/named/b%2fa",
    b"/slide/0/",
    b"/slide/0/slide.json",
    b"/slide/0/thumbnail.jpg",
)
BODIES = (
    b'{"action": "accept", "number": 0}',
    b'{"action": "reject", "number": 0}',
    b'{"action": "clear", "number": 0}',
    b'{"action": "add", "box": [1, 2, 30, 40], "label": 0}',
    b'{"action": "reject", "numbers": [0]}',
    b'{"action": "positive", "box": [1, 2, 300, 400]}',
    b'{"action": "normal", "outline": [1, 2, 300, 4, 200, 400, 7, 300]}',
    b'{"changes": [{"action": "accept", "number": 0}, {"action": "undo"}]}',
    b'{"action": "undo"}',
)


def workspace_target() -> Callable[[random.Random, Path], None]:
    """Requests to the viewer of a folder with one slide, which failed, and with a report of an earlier run."""
    folder = Path(tempfile.mkdtemp())
    (folder / "b").mkdir()
    write_failure(folder, "b/a", "not a slide", attempts=1)
    (folder / "b" / "a.report.html").write_text("<title>a</title>")
    (folder.parent / f"{folder.name}.report.html").write_text("root: not in the folder")
    return requests_to(Workspace(folder, SlideFinder([])), FOLDER_ADDRESSES, folder / "none")


def viewer_target() -> Callable[[random.Random, Path], None]:
    """Requests to the viewer of a slide."""
    slide = ArraySlide([np.full((600, 800, 3), 200, np.uint8)], mpp=0.25, name="a")
    marks = Path(tempfile.mkdtemp()) / "a.corrected.geojson"
    return requests_to(Viewer(scanned_here(slide), slide, marks), ADDRESSES, marks)


def requests_to(viewer: Answering, addresses: Sequence[bytes], marks: Path) -> Callable[[random.Random, Path], None]:
    """Requests, with the token or without, most of changes to the address of the viewer's own page."""
    server = ViewerServer(viewer)
    Thread(target=server.serve_forever, daemon=True).start()

    def target(rng: random.Random, _: Path) -> None:
        address, body = rng.choice(addresses), rng.choice(BODIES)
        path = (mutated(address, rng) if rng.random() < 0.6 else address).decode("latin-1")
        headers = {"Cookie": f"{server.cookie}={server.token}"} if rng.random() < 0.9 else {}
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        try:
            if rng.random() < 0.5:
                connection.request("GET", path, headers=headers)
            else:
                headers |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{server.server_port}"}
                body = changed(body, rng) if rng.random() < 0.6 else mutated(body, rng)
                connection.request("POST", "/marks" if rng.random() < 0.8 else path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 500 or b"root:" in content or b"Traceback" in content:
                message = f"{answer.status} for {path!r} {body!r}: {content[:200]!r}"
                raise AssertionError(message)
        except (HTTPException, ValueError):
            pass  # this client refuses to send it, or the server closed the connection
        finally:
            connection.close()
        if marks.exists() and rng.random() < 0.01:
            read_geojson(marks)  # what was saved can be read

    return target


def checkpoint() -> bytes:
    """A small one."""
    architecture = Architecture(width=8, fpn_channels=8, fpn_levels=2, head_depth=0)
    made = Checkpoint(
        options=TrainOptions(architecture=architecture),
        class_names=("ring",),
        mpp=0.25,
        data="x",
        data_digest="0",
        epoch=1,
        threshold=0.5,
        network=RetinaNet(architecture).state_dict(),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pt"
        save_checkpoint(path, made)
        return path.read_bytes()


def tiny_graph() -> bytes:
    """A graph with the outputs of RT-DETR."""
    with tempfile.TemporaryDirectory() as folder:
        return write_tiny_model(Path(folder) / "a.onnx", metadata={"names": "['a', 'b']", "imgsz": "64"}).read_bytes()


def import_tiny(path: Path) -> object:
    """Import it as a foreign one."""
    options = ImportOptions(kind="rt-detr", pixels="0-255")
    return import_model(path, path.with_name("out.onnx"), mpp=0.5, options=options)


def targets() -> dict[str, Callable[[random.Random, Path], None]]:
    """Everything that takes what strangers made."""
    slide = ArraySlide([np.full((600, 800, 3), 200, np.uint8)], mpp=0.25, name="a")
    scanned = scanned_here(slide)
    model = find_model("fast").read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(buffer, "PNG")
    return {
        "geojson": of_file(GEOJSON, "a.geojson", read_annotations),
        "geojson.gz": of_file(gzip.compress(GEOJSON), "a.geojson.gz", read_annotations),
        "outlines": of_file(GEOJSON, "a.geojson", read_areas),
        "marks": of_file(MARKS, "a.geojson", lambda path: read_marks(path, scanned, scanned.detections).marks),
        "xml": of_file(XML, "a.xml", read_annotations),
        "csv": of_file(CSV, "a.csv", read_annotations),
        "list": of_file(LIST, "a.csv", read_list_file),
        "settings": of_file(TOML, "a.toml", lambda path: read_settings(cli, [path])),
        "record": of_file(RECORD, "a.run.json", read_record),
        "dataset": of_file(DATASET, "dataset.json", lambda path: read_dataset_record(path.parent)),
        "onnx": of_file(model, "a.onnx", lambda path: load_detector(path, device="cpu")),
        "import": of_file(tiny_graph(), "a.onnx", import_tiny),
        "import-config": of_file(PATCH_CONFIG, "config.json", read_config),
        "metadata": metadata_target(load_detector(find_model("fast"), device="cpu").spec),
        "segmentation-metadata": metadata_target(make_segmentation_spec()),
        "checkpoint": of_file(checkpoint(), "a.pt", load_checkpoint),
        "slide": of_file(ROOT.joinpath("tests/data/sample.svs").read_bytes(), "a.svs", read_whole),
        "picture": of_file(buffer.getvalue(), "a.png", read_whole),
        "viewer": viewer_target(),
        "workspace": workspace_target(),
    }


def read_list_file(path: Path) -> object:
    """A list of slides."""
    for name in ("a.svs", "b.svs"):
        path.with_name(name).touch()
    with path.open(encoding="utf-8-sig", newline="") as file:
        return read_list(file, path.name, path.parent, BatchOptions(), ScanOptions())


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
