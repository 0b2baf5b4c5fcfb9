"""The choice of the objects that count: those of one class."""

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
    """The objects of the class to evaluate.

    Args:
        predicted: predictions of each pair.
        true: truth of each pair.
        wanted: name of the class, in upper or lower case; None takes the only class of either side, and every object
            of a DigestPath folder, whatever its name.
        pairs: the pairs.
        remarks: collects what is left out.

    Returns:
        Predictions and truth with the objects that count, and the name of the class; empty if all count.

    Raises:
        AnnotationError: a class must be chosen, or the truth has none of that name.
    """
    of_truth, of_predictions = _classes(true), _classes(predicted)
    if wanted is not None:
        wanted = wanted.strip()
        if of_truth and wanted.casefold() not in of_truth:
            message = f"{pairs.truth}: no object of the class {wanted!r}; its classes: {_shown(of_truth)}"
            raise AnnotationError(message)
        if of_predictions and wanted.casefold() not in of_predictions:
            remarks.add(f"No prediction of the class {wanted}; their classes", _shown(of_predictions))
    else:
        _check_single(pairs.predictions, of_predictions)
        if not pairs.is_digestpath:
            _check_single(pairs.truth, of_truth)
            # Models and annotators often name the same class differently, so this is worth a remark, no error.
            if of_truth and of_predictions and of_truth.keys() != of_predictions.keys():
                both = f"{next(iter(of_predictions.values()))} and {next(iter(of_truth.values()))}"
                remarks.add("Class of the predictions and of the truth, taken for the same", both)
    chosen_predicted: list[Annotations] = []
    chosen_true: list[Annotations] = []
    for pair, predictions, truth in zip(pairs.pairs, predicted, true, strict=True):
        file = pair.predictions.name if pair.predictions else ""
        chosen_predicted.append(_of_class(predictions, wanted, file, remarks))
        chosen_true.append(_of_class(truth, wanted, pair.truth_name, remarks))
    return chosen_predicted, chosen_true, wanted or ""


def _classes(files: Sequence[Annotations]) -> dict[str, str]:
    """Class names by their casefolded form."""
    return {name.casefold(): name for annotations in files for name in annotations.names if name}


def _shown(classes: dict[str, str]) -> str:
    return ", ".join(sorted(classes.values()))


def _check_single(path: Path, classes: dict[str, str]) -> None:
    if len(classes) > 1:
        message = f"{path}: objects of {len(classes)} classes: {_shown(classes)}; choose one"
        raise AnnotationError(message, options=("class_name",))


def _of_class(annotations: Annotations, wanted: str | None, file: str, remarks: Remarks) -> Annotations:
    """The objects of a file that count: those of the wanted class, or all if none has a class."""
    named = any(annotations.names)
    keep = np.array([_counts(name, wanted, named=named) for name in annotations.names], np.bool_)
    for name, count in Counter(name for name, kept in zip(annotations.names, keep, strict=True) if not kept).items():
        remarks.add(
            f"Objects of the class {name} left out" if name else "Objects without a class left out", file, count
        )
    return annotations.select(keep)


def _counts(name: str, wanted: str | None, *, named: bool) -> bool:
    if not name:
        return not named
    return wanted is None or name.casefold() == wanted.casefold()
