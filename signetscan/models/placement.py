"""What a model runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The runtime's backend that runs a model, and the kind of device that it uses."""

    name: str
    """The runtime's name of the backend, such as CPUExecutionProvider; for messages and run records."""
    on_gpu: bool
    """Whether it is a GPU, which is fastest with large batches of one shape and with the next batch queued."""
