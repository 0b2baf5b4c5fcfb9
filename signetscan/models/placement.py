"""What a model runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The part of a runtime that runs a model, and the kind of device that it uses."""

    name: str
    """What the runtime calls it, such as CPUExecutionProvider; for messages and run records."""
    on_gpu: bool
    """Whether it is a GPU, which wants large batches of one shape and the next batch while it works on one."""
