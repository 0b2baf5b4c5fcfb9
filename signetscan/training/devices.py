"""What a network is trained on: the device, its arithmetic, and whether torch compiles for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from signetscan.errors import DeviceError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from signetscan.training.options import Compile, Device, Precision

    Forward = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]

BACKEND = "inductor"
"""What torch.compile compiles with."""


def choose_device(device: Device) -> torch.device:
    """The device to train on.

    Raises:
        DeviceError: `cuda` was asked for and is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        message = (
            f"torch {torch.__version__} sees no GPU. Check that `nvidia-smi` shows one and that torch is a CUDA build, "
            "or train on the CPU"
        )
        raise DeviceError(message, options=("device",))
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def use_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether to calculate in bf16: as asked, or where the processor has instructions for it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def forward_of(network: nn.Module, choice: Compile, device: torch.device) -> Forward:
    """The network as a function, compiled or not; it stays what it is, with its own parameters and their names.

    `auto` compiles for a GPU, where that pays over the thousands of equal steps of a run, and does without where the
    machine lacks what the compiler needs. On a CPU compiling takes minutes and gains little, so `on` is for trying.

    Returns:
        A function like the network. With `on` it raises TrainingError where the network cannot be compiled.
    """
    plain: Forward = network
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return plain
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - loads the compiler

    compiled: Forward = torch.compile(network, backend=BACKEND, dynamic=False)
    able = True

    def forward(tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal able
        try:
            return compiled(tiles) if able else plain(tiles)
        except TorchDynamoException as error:
            if choice == "on":
                message = f"torch.compile: {str(error).strip().splitlines()[0]}; train without compiling"
                raise TrainingError(message, options=("compile",)) from error
        able = False
        return plain(tiles)

    return forward
