"""Reading results that are in parts as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations.objects import joined
from signetscan.annotations.reading import read_annotations
from signetscan.formats.parts import PARTED, paths_of, whole_target
from signetscan.formats.result_files import RECORD_SUFFIX, SUFFIXES, add_suffix
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations.objects import Annotations


def all_parts(path: Path) -> tuple[Path, ...]:
    """All parts of the results of which a file is one, as their run record lists them; of any other file, the file.

    Raises:
        ResultError: the run record cannot be read.
    """
    target = whole_target(path)
    if target is None:
        return (path,)
    files = read_run_record(add_suffix(target, RECORD_SUFFIX)).files
    for name in PARTED:
        if path.name.endswith(SUFFIXES[name]) and name in files:
            parts = paths_of(target, name, len(files[name].names))
            return parts if path in parts else (path,)
    return (path,)


def read_whole(path: Path) -> Annotations:
    """The objects of a file of annotations or results, and if it is a part, of all parts.

    Raises:
        AnnotationError: a file cannot be read.
        ResultError: the run record of the parts cannot be read.
    """
    return joined([read_annotations(part) for part in all_parts(path)])
