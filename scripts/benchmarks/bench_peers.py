"""How many CPU seconds do signetscan, WSInfer, TIAToolbox and a script take for the same patches and the same network?

    python scripts/benchmarks/bench_peers.py SLIDE --peers PYTHON --tiatoolbox PYTHON [--rounds 3] [--only NAME ...]

Each PYTHON is that of an environment of its own, because the peers want other versions of what signetscan uses, and of
zarr than each other:

    pip install torch==2.14.1 torchvision==0.29.1 wsinfer==0.6.1 "zarr<3" openslide-bin onnx onnxruntime
    pip install torch==2.14.1 torchvision==0.29.1 "zarr>=3"  # in another, for TIAToolbox
    pip install --no-deps tiatoolbox==2.1.3  # and then what it says is missing, one by one

Patches of 224 px at 0.5 µm/px, side by side, are classified by a network that is free (the mean colour) and by one that
is the same for all (ResNet-18 with random weights): as TorchScript for WSInfer, as a torch module for TIAToolbox, as
ONNX for the script (`peer_side.py`: OpenSlide, a thread for each core, ONNX Runtime), and for `signetscan segment`
imported from the same ONNX file. Each finds the tissue as it does, but for the script, which is told; so the unit is
CPU seconds of the whole process tree for each megapixel of level 0 that a candidate looked at. All are timed in turn,
round after round, and the median counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from signetscan.concurrency import cpu_count
from signetscan.scan.tissue import find_tissue
from signetscan.slides import open_slide
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, MPP = 224, 0.5
"""Side of a patch, pixels, and the size of these, µm."""
NETWORKS = ("free", "resnet18")
BATCH = 32
SIDE_SCRIPT = Path(__file__).with_name("peer_side.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every candidate has to do."""

    slide: Path
    work: Path
    """Folder with the networks, and for what is written."""
    peers: Path
    """The peers' Python."""
    tiatoolbox: Path
    """That of TIAToolbox."""
    network: str
    mpp: float
    """Of level 0, µm/px."""

    def patches_mpx(self, count: int) -> float:
        """Megapixels of level 0 of so many patches."""
        return count * (SIDE * MPP / self.mpp) ** 2 / 1e6


def main() -> None:
    """Time all in turn, and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--peers", type=Path, required=True, metavar="PYTHON", help="of the peers' environment")
    parser.add_argument("--tiatoolbox", type=Path, required=True, metavar="PYTHON", help="of TIAToolbox's environment")
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, default=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with open_slide(arguments.slide) as slide:
        mpp = known_mpp(slide).x
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_networks(work, arguments.peers.absolute(), arguments.slide)
        for network in arguments.networks:
            job = Job(
                slide=arguments.slide.absolute(),
                work=work,
                peers=arguments.peers.absolute(),
                tiatoolbox=arguments.tiatoolbox.absolute(),
                network=network,
                mpp=mpp,
            )
            seconds: dict[str, list[float]] = {name: [] for name in arguments.only}
            for _ in range(arguments.rounds):
                for name in arguments.only:
                    spent, megapixels = timed(CANDIDATES[name], job)
                    seconds[name].append(spent / megapixels)
                    print(f"  {network}, {name}: {spent:.1f} CPU s for {megapixels:.1f} Mpx", flush=True)
            report(network, {name: median(values) for name, values in seconds.items()})


def make_networks(work: Path, peers: Path, slide: Path) -> None:
    """Write each network as TorchScript and as ONNX, and import it as a model file."""
    subprocess.run([peers, SIDE_SCRIPT, "networks", work], check=True)
    for network in NETWORKS:
        command: list[str | Path] = [sys.executable, "-m", "signetscan", "import", work / f"{network}.onnx", "--config"]
        command += [
            work / "config.json",
            "--out",
            work / f"{network}-model.onnx",
            "--check-on",
            slide,
            "--background",
            "normal",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def timed(candidate: Callable[[Job, Path], float], job: Job) -> tuple[float, float]:
    """CPU seconds of a candidate and of all its processes, and the megapixels of level 0 that it looked at."""
    with tempfile.TemporaryDirectory(dir=job.work) as out:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        megapixels = candidate(job, Path(out))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, megapixels


def run_signetscan(job: Job, out: Path) -> float:
    """`signetscan segment`, from the start of the process to the last file."""
    command: list[str | Path] = [sys.executable, "-m", "signetscan", "segment", job.slide, "--out", out, "-q"]
    command += ["--model", job.work / f"{job.network}-model.onnx"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    record = json.loads(next(out.glob("*.run.json")).read_text())
    return float(record["tissue_mm2"]) / job.mpp**2


def run_wsinfer(job: Job, out: Path) -> float:
    """`wsinfer run`; the folder of slides holds the slide alone."""
    slides, results = out / "slides", out / "results"
    slides.mkdir()
    (slides / job.slide.name).symlink_to(job.slide)
    command = [job.peers, SIDE_SCRIPT, "wsinfer", "run", "--wsi-dir", slides, "--results-dir", results]
    command += ["--config", job.work / "config.json", "--model-path", job.work / f"{job.network}.pt"]
    command += ["--batch-size", BATCH, "--num-workers", cpu_count()]
    run_peer(command)
    with next((results / "model-outputs-csv").glob("*.csv")).open() as file:
        return job.patches_mpx(sum(1 for _ in csv.DictReader(file)))


def run_tiatoolbox(job: Job, out: Path) -> float:
    """TIAToolbox's PatchPredictor with its own tissue mask."""
    command = [job.tiatoolbox, SIDE_SCRIPT, "tiatoolbox", job.slide, job.work / f"{job.network}.pt", out]
    return job.patches_mpx(int(run_peer([*command, BATCH, cpu_count()]).split()[-1]))


def run_script(job: Job, out: Path) -> float:
    """OpenSlide and ONNX Runtime, on the patches that show tissue."""
    side = SIDE * MPP / job.mpp
    with open_slide(job.slide) as slide:
        tissue = find_tissue(slide)
        columns, rows = (int(length // side) for length in slide.dimensions)
    places = [
        f"{round(column * side)} {round(row * side)}"
        for row in range(rows)
        for column in range(columns)
        if tissue.touches(column * side, row * side, (column + 1) * side, (row + 1) * side)
    ]
    command = [job.peers, SIDE_SCRIPT, "script", job.slide, job.work / f"{job.network}.onnx", out / "scores.csv"]
    run_peer([*command, BATCH, cpu_count(), round(side)], "\n".join(places))
    return job.patches_mpx(len(places))


CANDIDATES: dict[str, Callable[[Job, Path], float]] = {
    "signetscan": run_signetscan,
    "script": run_script,
    "wsinfer": run_wsinfer,
    "tiatoolbox": run_tiatoolbox,
}


def run_peer(command: list[object], text: str = "") -> str:
    """What a peer prints. It runs without network, and what it says when it fails is shown."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "WSINFER_FORCE_CPU": "1"}
    done = subprocess.run(
        [str(word) for word in command], check=False, input=text, capture_output=True, text=True, env=environment
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def report(network: str, seconds: dict[str, float]) -> None:
    """Print one network's table."""
    print(f"network {network}")
    for name, value in seconds.items():
        beside = f"  {value / seconds['signetscan']:5.2f} of signetscan's" if "signetscan" in seconds else ""
        print(f"  {name:11s} {value * 1e3:8.1f} CPU ms for each Mpx of level 0{beside}")


if __name__ == "__main__":
    main()
