"""The device to train on, the precision of its arithmetic, and whether torch compiles the network for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from signetscan.errors import DeviceError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from signetscan.training.options import Compile, Device, Precision

Output = TypeVar("Output")
"""What a network gives for a batch of tiles."""

BACKEND = "inductor"
"""Compiler of `torch.compile`."""


def choose_device(device: Device) -> torch.device:
    """The device to train on.

    Raises:
        DeviceError: `cuda` was asked for, and torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        message = (
            f"torch {torch.__version__} sees no GPU. Check that `nvidia-smi` shows one and that torch is a CUDA build, "
            "or train on the CPU"
        )
        raise DeviceError(message, options=("device",))
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def use_bf16(precision: Precision, device: torch.device, network: nn.Module) -> bool:
    """Whether to compute in bf16: as asked, or by default where the processor has instructions for it and it pays.

    On a CPU it does not pay in depthwise convolutions: a step of an EfficientNet-Lite0 took 0.21 s in place of 0.13 s,
    one of a ResNet-18 of width 32 0.05 s in place of 0.08 s (8 crops of 96 px, one thread with avx512_bf16).
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules()):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def forward_of(
    network: Callable[[Tensor], Output], choice: Compile, device: torch.device
) -> Callable[[Tensor], Output]:
    """The network as a function, compiled or not; the network itself and the names of its parameters do not change.

    `auto` compiles for a GPU, where that pays over the thousands of equal steps of a run, and falls back to the plain
    network where the machine lacks a compiler. On a CPU, compiling takes minutes and gains little, so there it must be
    asked for by `on`.

    Returns:
        A function that does what the network does. With `on` it raises TrainingError if the network does not compile.
    """
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return network
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - loads the compiler

    compiled: Callable[[Tensor], Output] = torch.compile(network, backend=BACKEND, dynamic=False)
    compiles = True

    # torch compiles at the first call, so it is here that a failure shows; later calls must not try again.
    def forward(tiles: Tensor) -> Output:
        nonlocal compiles
        try:
            return compiled(tiles) if compiles else network(tiles)
        except TorchDynamoException as error:
            if choice == "on":
                message = f"torch.compile: {str(error).strip().splitlines()[0]}; train without compiling"
                raise TrainingError(message, options=("compile",)) from error
        compiles = False
        return network(tiles)

    return forward
