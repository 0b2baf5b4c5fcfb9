"""Which objects count: those of one class."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.annotations import Annotations
    from signetscan.dataset.remarks import Remarks
    from signetscan.evaluation.pairing import Pairs


def chosen_objects(
    predicted: Sequence[Annotations],
    true: Sequence[Annotations],
    wanted: str | None,
    pairs: Pairs,
    remarks: Remarks,
) -> tuple[list[Annotations], list[Annotations], str]:
    """The objects of the class that is judged.

    Args:
        predicted: predictions, one entry a pair.
        true: truth, one entry a pair.
        wanted: name of the class, in any case; None takes the only one on either side, and of a DigestPath folder
            every object, whatever its name.
        pairs: where they are from.
        remarks: takes what is left out.

    Returns:
        Predictions and truth with the objects that count, and the name of the class; empty if all count.

    Raises:
        AnnotationError: a class must be chosen, or the truth has none of that name.
    """
    of_truth, of_predictions = _classes(true), _classes(predicted)
    if wanted is not None:
        wanted = wanted.strip()
        if of_truth and wanted.casefold() not in of_truth:
            message = f"{pairs.truth}: no object of the class {wanted!r}; classes there are: {_shown(of_truth)}"
            raise AnnotationError(message)
        if of_predictions and wanted.casefold() not in of_predictions:
            remarks.add(f"No prediction of the class {wanted}; classes there are", _shown(of_predictions))
    else:
        _only(pairs.predictions, of_predictions)
        if not pairs.is_digestpath:
            _only(pairs.truth, of_truth)
            if of_truth and of_predictions and of_truth.keys() != of_predictions.keys():
                both = f"{next(iter(of_predictions.values()))} and {next(iter(of_truth.values()))}"
                remarks.add("Class of the predictions and of the truth, taken for the same", both)
    names = [pair.predictions.name if pair.predictions else "" for pair in pairs.found]
    found = [_of_class(one, wanted, name, remarks) for one, name in zip(predicted, names, strict=True)]
    there = [_of_class(one, wanted, pair.truth_name, remarks) for one, pair in zip(true, pairs.found, strict=True)]
    return found, there, wanted or ""


def _classes(read: Sequence[Annotations]) -> dict[str, str]:
    """Class names by their form without case."""
    return {name.casefold(): name for one in read for name in one.names if name}


def _shown(classes: dict[str, str]) -> str:
    return ", ".join(sorted(classes.values()))


def _only(path: Path, classes: dict[str, str]) -> None:
    if len(classes) > 1:
        message = f"{path}: objects of {len(classes)} classes: {_shown(classes)}; choose one"
        raise AnnotationError(message, options=("class_name",))


def _of_class(read: Annotations, wanted: str | None, file: str, remarks: Remarks) -> Annotations:
    """The objects of a file that count: of the wanted class; without a class only where no object has one."""
    named = any(read.names)
    keep = np.array([_counts(name, wanted, named=named) for name in read.names], np.bool_)
    for name, count in Counter(name for name, kept in zip(read.names, keep, strict=True) if not kept).items():
        remarks.add(
            f"Objects of the class {name} left out" if name else "Objects without a class left out", file, count
        )
    return read.select(keep)


def _counts(name: str, wanted: str | None, *, named: bool) -> bool:
    if not name:
        return not named
    return wanted is None or name.casefold() == wanted.casefold()
