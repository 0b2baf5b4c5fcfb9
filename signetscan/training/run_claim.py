"""A run's claim to its folder, so that no second run writes to it: neither a new one nor one that resumes.

The claim is a file that is touched all the time, as those of slides are (`signetscan.batch.claims`). One that a killed
run left is taken over.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.batch.claims import HEARTBEAT_S, STALE_S, Claims
from signetscan.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.batch.claims import Claim

NAME = "training"
"""Name of what is claimed: the file is `.training.claim`."""


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Claim a run's folder, which is made if needed, for the time of a block.

    Raises:
        TrainingError: another run is at work in it.
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    claim = Claims().take(folder / NAME)
    if claim is None:
        message = (
            f"{folder}: another training run is at work in this folder; wait for its end, or name another folder. If "
            f"that run was killed on another machine, try again in {STALE_S / 60:g} minutes"
        )
        raise TrainingError(message, options=("out",))
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(HEARTBEAT_S):
            claim.touch()

    heart = threading.Thread(target=touch, name="claim of the run", daemon=True)
    heart.start()
    try:
        yield claim
    finally:
        ended.set()
        heart.join()
        claim.release()


def check_held(claim: Claim, folder: Path) -> None:
    """Check, before files are written, that no other run has taken the folder over while this one was asleep.

    Raises:
        TrainingError: one has.
    """
    if not claim.is_held():
        message = f"{folder}: this run paused for so long that another run took over the folder; it stops here"
        raise TrainingError(message, options=("out",))
