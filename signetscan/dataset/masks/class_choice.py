"""Which of the names in a data set are learnt, and as which classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def choose_names(where: str, kind: str, names: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """The class of each name to learn, in the order of the classes.

    Args:
        where: the data set, for messages.
        kind: what the names are of, such as "folder", for messages.
        names: the names that the data set has.
        classes: the classes, in the order of their labels: a name, in any case, or `CLASS=NAME,NAME` to learn what has
            several names as one class. Each name is a class if there are none.

    Raises:
        AnnotationError: a name is not in the data set, or is given to two classes.
    """
    chosen: dict[str, str] = {}
    named = {name.casefold(): name for name in names}
    for text in classes or names:
        class_name, joined = split_class(text)
        for part in joined:
            name = named.get(part.casefold())
            if name is None:
                message = f"{where}: no {kind} {part!r} to learn from; it has {', '.join(names)}"
                raise AnnotationError(message, options=("classes",))
            if name in chosen:
                message = f"{where}: the {kind} {name} is given to two classes; give it to one"
                raise AnnotationError(message, options=("classes",))
            chosen[name] = class_name
    return chosen


def split_class(text: str) -> tuple[str, tuple[str, ...]]:
    """The name of a class, and the names of what is learnt as that class."""
    name, equals, joined = text.partition("=")
    return name.strip(), tuple(part.strip() for part in joined.split(",")) if equals else (name.strip(),)
