"""What may be wrong with the checkpoint of any task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from signetscan.class_names import problem_of_names
from signetscan.dataset.options import MAX_MPP
from signetscan.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn


def problems_of_classes(mpp: float, class_names: Sequence[str], network_classes: int) -> Iterator[str]:
    """What is wrong with the size of the pixels and with the classes.

    Args:
        mpp: size of the pixels, µm/px.
        class_names: name of each label.
        network_classes: classes of the network that the options describe.
    """
    if not 0 < mpp <= MAX_MPP:
        yield f"its mpp is {mpp:g}, not above 0 and up to {MAX_MPP:g} µm/px"
    if len(class_names) != network_classes:
        names = counted(len(class_names), "class", "classes")
        yield f"it names {names}, but its network has {network_classes}"
    problem = problem_of_names(class_names)
    if problem:
        yield problem


def problems_of_weights(weights: Mapping[str, Tensor], make_network: Callable[[], nn.Module]) -> Iterator[str]:
    """Whether weights fit their network; this takes longest, so it is looked at last.

    Args:
        weights: parameters and buffers.
        make_network: makes the network that the options describe.
    """
    # A network without memory for its weights tells their shapes, however large a file says that they are.
    with torch.device("meta"):
        wanted = make_network().state_dict()
    kinds = {name: (value.shape, value.dtype, torch.strided, "cpu") for name, value in wanted.items()}
    given = {name: (value.shape, value.dtype, value.layout, value.device.type) for name, value in weights.items()}
    if kinds != given:
        yield "its weights do not fit the network that its options describe"
