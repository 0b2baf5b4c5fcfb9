"""Does a batch survive kills and damaged slides? Long; resumable by hand: each part stands alone.

    python scripts/tools/check_reliability.py kills [--rounds 100] [--slides 12]
    python scripts/tools/check_reliability.py damage SLIDE ... [--copies 1000] [--healthy 50] [--workers 2]

kills   A batch of small simulated slides is started and killed (SIGKILL) at a random moment, every other time the run
        itself and otherwise one of its workers; then it is started again and goes on to the end. GeoJSON and CSV must
        be those of an unbroken run, byte for byte, and nothing else may be left.
damage  Copies of real slides, each damaged in one of several ways, and healthy ones among them, are one batch. It must
        end; the healthy ones must be done, with the results of an undamaged run; a damaged one is done or failed, with
        its reason. Prints how many of each, and the most memory that a worker held.

A model that finds one box in each tile keeps it quick: what is tested is everything around the model.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import tifffile

from signetscan.errors import SlideError
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.slides import open_slide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TAGS = ("ImageWidth", "ImageLength", "TileWidth", "TileLength", "Compression", "BitsPerSample", "SamplesPerPixel")
MPP = 0.5


def results(folder: Path) -> dict[str, bytes]:
    """What was found, by the path below the folder."""
    wanted = (path for path in folder.rglob("*") if path.suffix in {".geojson", ".csv"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in wanted}


def command(slides: Path, out: Path, model: Path, *options: str) -> list[str]:
    """A batch."""
    words = [sys.executable, "-m", "signetscan", "detect", str(slides), "--out", str(out), "--model", str(model)]
    return [*words, "--device", "cpu", "--threads", "1", "--threshold", "0.05", "--json", "-q", *options]


def children(pid: int) -> list[int]:
    """Worker processes of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in stat.with_name("cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def kills(rounds: int, slides: int) -> None:
    """Kill and go on, again and again."""
    rng = random.Random(0)  # noqa: S311 - moments, no secrets
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = write_tiny_model(root / "tiny.onnx")
        (root / "slides").mkdir()
        for seed in range(slides):
            write_slide(root / "slides" / f"{seed}.svs", SlideOptions(width=1024, height=1024, region=400, seed=seed))
        options = ("--tile-size", "64", "--overlap", "32")
        started = time.monotonic()
        subprocess.run(command(root / "slides", root / "whole", model, *options), check=True, capture_output=True)
        length = time.monotonic() - started
        whole = results(root / "whole")
        tally: Counter[str] = Counter()
        for turn in range(rounds):
            out = root / "out"
            shutil.rmtree(out, ignore_errors=True)
            process = subprocess.Popen(
                command(root / "slides", out, model, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            time.sleep(rng.uniform(0, length))
            workers = children(process.pid)
            victim = process.pid if turn % 2 == 0 or not workers else rng.choice(workers)
            tally["run killed" if victim == process.pid else "worker killed"] += 1
            kill(victim)
            process.communicate()
            done = len(results(out)) // 2 if out.exists() else 0
            tally["finished before"] += done == slides
            again = subprocess.run(command(root / "slides", out, model, *options), check=False, capture_output=True)
            left = [path.name for path in out.rglob("*") if path.suffix not in {".geojson", ".csv", ".json"}]
            same = results(out) == whole
            tally["same results"] += same
            tally["nothing left over"] += not left
            if not same or left or again.returncode != 0:
                print(f"round {turn}: status {again.returncode}, same {same}, left {left}, {again.stderr.decode()}")
        print(f"{rounds} rounds of {slides} slides, {length:.1f} s unbroken: {dict(tally)}")


def kill(pid: int) -> None:
    """End a process by force, if it is still there."""
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=False, capture_output=True)  # noqa: S607


def flip(content: bytearray, rng: random.Random) -> None:
    """Change some bytes, anywhere."""
    for _ in range(rng.choice([1, 10, 1000])):
        content[rng.randrange(len(content))] = rng.randrange(256)


def flip_head(content: bytearray, rng: random.Random) -> None:
    """Change some bytes near the start, where headers are, or the end, where directories may be."""
    for _ in range(rng.choice([1, 4, 16])):
        place = rng.randrange(min(4096, len(content)))
        content[place if rng.random() < 0.5 else -1 - place] = rng.randrange(256)


def cut(content: bytearray, rng: random.Random) -> None:
    """Cut the end off."""
    del content[rng.randrange(1, len(content)) :]


def blank(content: bytearray, rng: random.Random) -> None:
    """Zero a stretch, as a bad disk does."""
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.choice([512, 4096, 65536]))
    content[start:end] = bytes(end - start)


def bomb(content: bytearray, rng: random.Random) -> None:
    """Let a JPEG say that it is of 65,500 px a side."""
    starts = [match.start() for match in re.finditer(rb"\xff\xc0\x00\x11\x08", bytes(content))]
    for start in rng.sample(starts, min(len(starts), rng.choice([1, 5, 10**6]))):
        content[start + 5 : start + 9] = b"\xff\xdc\xff\xdc"


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, flip_head, cut, blank, bomb)


def change_tag(path: Path, rng: random.Random) -> None:
    """Give a tag another value, or tiles another place; of what is no TIFF, bytes change."""
    try:
        with tifffile.TiffFile(path, mode="r+") as file:
            page = rng.choice([page for page in file.pages if isinstance(page, tifffile.TiffPage)])
            names = [name for name in (*TAGS, "TileOffsets", "TileByteCounts") if name in page.tags]
            tag = page.tags[rng.choice(names)]
            value = rng.choice([0, 1, 7, 65535, 2**31 - 1])
            tag.overwrite([value] * tag.count if tag.count > 1 else min(value, 65535) if tag.dtype == 3 else value)
    except Exception:  # noqa: BLE001 - what cannot be changed in this way is changed in another
        content = bytearray(path.read_bytes())
        flip(content, rng)
        path.write_bytes(content)


def damaged(source: Path, path: Path, rng: random.Random) -> str:
    """Write a damaged copy; gives in which way."""
    shutil.copyfile(source, path)
    which = rng.randrange(len(WAYS) + 1)
    if which == len(WAYS):
        change_tag(path, rng)
        return "change_tag"
    content = bytearray(source.read_bytes())
    WAYS[which](content, rng)
    path.write_bytes(content)
    return WAYS[which].__name__


def watch_memory(pid: int, over: threading.Event, most: list[int]) -> None:
    """Note the most memory that a worker of a process holds, KiB."""
    while not over.wait(0.2):
        for child in children(pid):
            try:
                status = Path(f"/proc/{child}/status").read_text()
            except OSError:
                continue
            found = re.search(r"VmHWM:\s+(\d+)", status)
            most.append(int(found[1]) if found else 0)


def damage(sources: Sequence[Path], copies: int, healthy: int, workers: int) -> None:
    """One batch of damaged and healthy slides."""
    rng = random.Random(1)  # noqa: S311
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = write_tiny_model(root / "tiny.onnx")
        (root / "slides").mkdir()
        (root / "sound").mkdir()
        ways = {}
        for index in range(copies):
            source = rng.choice(list(sources))
            folder = root / "slides" / f"{index:04d}"  # of its own, since DICOM files of one series are one slide
            folder.mkdir()
            ways[f"{index:04d}/slide"] = damaged(source, folder / f"slide{source.suffix}", rng)
        for index in range(healthy):
            source = sources[index % len(sources)]
            for place in ("slides", "sound"):
                folder = root / place / f"healthy{index:03d}"
                folder.mkdir()
                shutil.copyfile(source, folder / f"slide{source.suffix}")
        options = ("--mpp", str(MPP), "--workers", str(workers), "--slide-timeout", "120")
        subprocess.run(command(root / "sound", root / "expected", model, *options), check=False, capture_output=True)
        started = time.monotonic()
        process = subprocess.Popen(
            command(root / "slides", root / "out", model, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        over, most = threading.Event(), [0]
        watcher = threading.Thread(target=watch_memory, args=(process.pid, over, most))
        watcher.start()
        out, err = process.communicate()
        over.set()
        watcher.join()
        lines = {line["slide"]: line for line in map(json.loads, out.decode().splitlines())}
        print(f"status {process.returncode} after {time.monotonic() - started:.0f} s; {len(lines)} slides told of")
        report(lines, ways, root)
        print(f"most memory of a worker: {max(most) / 1024:.0f} MiB")
        print(err.decode()[-2000:])


def report(lines: dict[str, dict[str, str]], ways: dict[str, str], root: Path) -> None:
    """What became of all."""
    table: dict[str, Counter[str]] = {}
    for name, way in ways.items():
        line = lines.get(name, {"status": "NOT TOLD OF"})
        table.setdefault(way, Counter())[line["status"] if line["status"] == "done" else reason_of(line)] += 1
    for way, counts in sorted(table.items()):
        print(f"{way}: {dict(counts.most_common())}")
    sound = {name: line for name, line in lines.items() if name.startswith("healthy")}
    print(f"healthy: {dict(Counter(line['status'] for line in sound.values()))}", end="; ")
    ours = {name: found for name, found in results(root / "out").items() if name.startswith("healthy")}
    print(f"with the results of an undamaged run: {ours == results(root / 'expected')}")
    without = [name for name in ways if lines.get(name, {}).get("status") == "failed"]
    written = [name for name in without if (root / "out" / f"{name}.geojson").exists()]
    print(f"failed with results nevertheless: {len(written)}")
    garbage = 0
    for name in ways:
        if lines.get(name, {}).get("status") == "done":
            path = next((root / "slides").glob(f"{name}.*"))
            try:
                open_slide(path, mpp=MPP).close()
            except SlideError:
                garbage += 1
    print(f"done, but cannot be opened: {garbage}")


def reason_of(line: dict[str, str]) -> str:
    """A reason in a word or two."""
    text = line.get("reason", line["status"])
    for words in ("SIGSEGV", "SIGABRT", "SIGKILL", "--slide-timeout", "Error: "):
        if words in text:
            return words.strip(": -")
    return "failed, with its reason"


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    first = parts.add_parser("kills")
    first.add_argument("--rounds", type=int, default=100)
    first.add_argument("--slides", type=int, default=12)
    second = parts.add_parser("damage")
    second.add_argument("slides", type=Path, nargs="+")
    second.add_argument("--copies", type=int, default=1000)
    second.add_argument("--healthy", type=int, default=50)
    second.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.part == "kills":
        kills(arguments.rounds, arguments.slides)
    else:
        damage(arguments.slides, arguments.copies, arguments.healthy, arguments.workers)


if __name__ == "__main__":
    main()
