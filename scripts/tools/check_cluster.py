"""Does a Dask cluster lose nothing when workers die or stall? Three workers, one killed and one stopped mid-slide.

    python scripts/tools/check_cluster.py SLIDE [--model NAME] [--copies 12] [--kill 1] [--stall 1]

Copies of the slide are scanned on a local cluster; as soon as workers are at slides, one is killed and one is stopped
(SIGSTOP, as a machine that hangs); the stopped one is woken up at the end. Each slide must be done exactly once, with
the results of a run on one machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import dask
from distributed import Client, LocalCluster

from signetscan.batch.claims import Claims
from signetscan.batch.cluster import run_on_cluster
from signetscan.batch.events import Ended
from signetscan.batch.find import find_slides
from signetscan.batch.local import LocalBatch
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import outcome_facts
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.options import ScanOptions

WORKER_TTL_S, STALE_S = 6, 4
"""A worker is given up after so many seconds without a word, and its claims are stale a little earlier."""


def results(folder: Path) -> dict[str, bytes]:
    """What was found."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".geojson", ".csv"}}


def disturb(client: Client, kill: int, stall: int, stalled: list[int]) -> None:
    """Once all workers are at a slide, kill some and stop some."""
    while sum(bool(tasks) for tasks in client.processing().values()) < 3:
        time.sleep(0.02)
    pids = list(client.run(os.getpid).values())
    for pid in pids[:kill]:
        os.kill(pid, signal.SIGKILL)
    for pid in pids[kill : kill + stall]:
        os.kill(pid, signal.SIGSTOP)
        stalled.append(pid)


def main() -> None:
    """Run both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--tile-size", type=int, help="smaller ones make a small slide last; by default the model's")
    parser.add_argument("--kill", type=int, default=1)
    parser.add_argument("--stall", type=int, default=1)
    arguments = parser.parse_args()
    dask.config.set({"distributed.scheduler.worker-ttl": f"{WORKER_TTL_S}s", "distributed.nanny.environ": {}})
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "slides").mkdir()
        for index in range(arguments.copies):
            shutil.copy(arguments.slide, root / "slides" / f"{index}{arguments.slide.suffix}")
        size = arguments.tile_size
        options = ScanOptions(threshold=0.1, tile_size=size, overlap=None if size is None else size // 2)
        tasks = find_slides([root / "slides"], options=options)
        request = BatchOptions(
            model=str(find_model(arguments.model)), out=root / "cluster", device="cpu", threads=1, workers=1
        )
        stalled: list[int] = []
        with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
            with Client(cluster) as client:
                request = replace(request, dask=cluster.scheduler_address)
                events = run_on_cluster(request, tasks, claims=Claims(stale_s=STALE_S))
                disturber = threading.Thread(target=disturb, args=(client, arguments.kill, arguments.stall, stalled))
                disturber.start()
                ended = [event.outcome for event in events if isinstance(event, Ended)]
                disturber.join()
            for pid in stalled:
                with contextlib.suppress(ProcessLookupError):  # its nanny has ended it
                    os.kill(pid, signal.SIGCONT)
        list(LocalBatch(request=replace(request, out=root / "alone", dask=None), tasks=tasks).run())
        statuses = Counter(str(outcome_facts(outcome)["status"]) for outcome in ended)
        once = len({outcome.name for outcome in ended}) == len(ended) == arguments.copies
        same = results(root / "cluster") == results(root / "alone")
        trouble = f"{len(stalled)} stalled, {arguments.kill} killed"
        print(f"{trouble}: {dict(statuses)}; each once: {once}; same results: {same}")
        if not (once and same and statuses.keys() <= {"done", "skipped"}):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
