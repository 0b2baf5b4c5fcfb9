"""Checking that annotations are of the slide with which they are learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations.marked_slide import Match, read_marked_slide
from signetscan.errors import AnnotationError, ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, add_suffix
from signetscan.results.folder import target_of
from signetscan.results.run_record import read_run_record
from signetscan.slides.opening import content_now

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import Slide


def check_same_slide(annotations: Path, slide: Slide, slide_path: Path, remarks: Remarks) -> None:
    """Check that a file of annotations is not of another slide, by what marks and a run record beside it say.

    Args:
        annotations: the file.
        slide: the open slide.
        slide_path: its file.
        remarks: told if the slide's files have changed since marks were made.

    Raises:
        AnnotationError: it is.
        SlideError: a file of the slide cannot be read.
    """
    marked = read_marked_slide(annotations)
    match = marked.match(slide.fingerprint, content_now(slide_path) if marked.content else "")
    others_result = match is Match.UNKNOWN and _recorded_fingerprint(annotations, slide) != slide.fingerprint
    if match is Match.OTHER or others_result:
        message = f"{annotations}: of another slide than {slide_path}; name the slide on which it was made"
        raise AnnotationError(message)
    remarks.add("Marks made before the slide's files changed", annotations.name, 1 if match is Match.CHANGED else 0)


def _recorded_fingerprint(annotations: Path, slide: Slide) -> str:
    """The fingerprint in the run record to whose results a file belongs; the slide's own where there is none."""
    target = target_of(annotations)
    if target is None:
        return slide.fingerprint
    try:
        return read_run_record(add_suffix(target, RECORD_SUFFIX)).slide.fingerprint
    except ResultError:
        return slide.fingerprint  # a damaged record says nothing
