"""Tables of a training run's report: its options and its epochs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.reports.page import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signetscan.json_values import Json

ROWS = 60
"""Most rows of the table of epochs: about a screen and a half."""


def options_table(values: Mapping[str, Json], recipe: Mapping[str, Json]) -> list[dict[str, str | None]]:
    """All options of a run; `usual` is the value in a recipe, where the run has another.

    Args:
        values: the options, as `as_dict` gives them.
        recipe: those of the recipe.
    """
    flat, usual = _flat(values), _flat(recipe)
    for name in ("architecture.classes", "seed"):  # not part of a recipe
        usual[name] = flat[name]
    return [
        {
            "name": name.replace(".", ": ").replace("_", " "),
            "value": value,
            "usual": None if usual.get(name) == value else usual.get(name),
        }
        for name, value in flat.items()
    ]


def _flat(values: Mapping[str, Json], prefix: str = "") -> dict[str, str]:
    """Nested values as text, by names such as `loss.bins`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = _text(value)
    return flat


def _text(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def epochs_table(
    history: Sequence[Mapping[str, float]], columns: Mapping[str, tuple[str, str]], best_epoch: int | None
) -> dict[str, object]:
    """The table of epochs; of a long run evenly spaced rows, and always the best and the last.

    Args:
        history: the metrics of each epoch.
        columns: heading and format of each metric.
        best_epoch: the epoch to mark; None to mark none.
    """
    step = -(-len(history) // ROWS)
    # Counted from the end, so that the last epoch is among the evenly spaced ones.
    kept = [
        row
        for index, row in enumerate(history)
        if (len(history) - 1 - index) % step == 0 or int(row["epoch"]) == best_epoch
    ]
    shown = {name: column for name, column in columns.items() if name in history[-1]}
    rows = [
        (
            int(row["epoch"]) == best_epoch,
            [number(row.get(name, math.nan), style) for name, (_, style) in shown.items()],
        )
        for row in kept
    ]
    return {
        "columns": [heading for heading, _ in shown.values()],
        "rows": rows,
        "left_out": len(history) - len(kept),
    }


def duration(seconds: float) -> str:
    """A time in words, such as "3.2 min"."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
