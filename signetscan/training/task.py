"""The task for which a data set is: detection or segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.dataset.digestpath import LAYOUT as DIGESTPATH
from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.masks.reading import has_masks
from signetscan.dataset.reading import LAYOUTS, found_files
from signetscan.errors import OptionError
from signetscan.models.spec import Task

if TYPE_CHECKING:
    from signetscan.training.options import TrainingRequest


def task_of(request: TrainingRequest) -> Task:
    """What a run is to learn: what the request says, else segmentation if its data has masks, else detection.

    Raises:
        AnnotationError: the folder cannot be read.
        OptionError: the data has both masks and boxes, and the request does not say which to learn from.
    """
    if request.task is not None:
        return Task(request.task)
    if not has_masks(request.data):
        return Task.DETECTION
    found = found_files(request.data)
    others = [layout.name for layout in LAYOUTS if layout.is_there(found)]
    if digestpath_root(request.data) is not None:
        others.append(DIGESTPATH)
    if others:
        message = f"{request.data}: has images with masks, and {' and '.join(others)}; say which task to train for"
        raise OptionError(message, options=("task",))
    return Task.SEGMENTATION
