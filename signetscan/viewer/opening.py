"""Open the viewer of a result and its slide."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from signetscan.annotations.marked_slide import Match, read_marked_slide
from signetscan.atomic import make_folder
from signetscan.errors import OptionError
from signetscan.formats.result_files import CORRECTIONS_SUFFIX, RECORD_SUFFIX, add_suffix
from signetscan.results.folder import find_results
from signetscan.results.lookup import load_with_slide
from signetscan.slides import open_slide
from signetscan.slides.opening import content_now
from signetscan.viewer.app import Viewer
from signetscan.viewer.server import ViewerServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.results.reading import StoredResult


@contextmanager
def open_viewer(result: Path, slide: Path, *, marks: Path | None = None, port: int = 0) -> Iterator[ViewerServer]:
    """Make a server of the viewer for one slide's results; it answers while its `serve_forever` runs.

    When the block ends, all marks are on the disk and the slide is closed.

    Args:
        result: any file of the slide's results, or a folder that holds the results of no other slide.
        slide: the slide, or a folder that it is in.
        marks: the file for the marks; by default NAME.corrected.geojson beside the result.
        port: the port to listen on; 0 takes a free one.

    Yields:
        The server. Its `url` is the address to open.

    Raises:
        ResultError: there is no result, it is damaged, or its slide is missing.
        AnnotationError: a file of detections or of marks cannot be used.
        OptionError: there are several results, the file is not one for marks, or the port is taken.
        SlideError: the slide cannot be read.
    """
    records = find_results(result)
    if len(records) > 1:
        message = f"{result}: results of {len(records)} slides; name a file of one slide, such as {records[0]}"
        raise OptionError(message)
    stored = load_with_slide(records[0], slide)
    path = marks or add_suffix(stored.target, CORRECTIONS_SUFFIX)
    if path.suffix.lower() != ".geojson" or add_suffix(path.with_suffix(""), RECORD_SUFFIX).exists():
        message = f"{path}: choose another file for the marks, one that ends in .geojson and is not a result of detect"
        raise OptionError(message, options=("out",))
    make_folder(path.absolute().parent)
    file = stored.scanned.path or slide
    with (
        open_slide(file, mpp=stored.scanned.mpp.x) as opened,
        ViewerServer(Viewer(stored.scanned, opened, path, warnings=_warnings(stored, file, path)), port) as server,
    ):
        try:
            yield server
        finally:
            server.viewer.close()


def _warnings(stored: StoredResult, slide: Path, marks: Path) -> tuple[str, ...]:
    """What the user should know before trusting detections and marks on this slide.

    Raises:
        SlideError: a file of the slide cannot be read.
        AnnotationError: the marks cannot be read.
    """
    fingerprint, scanned = stored.record.slide.fingerprint, stored.record.slide.identity.content
    warnings = [concern.message for concern in stored.record.slide.concerns]
    if scanned and scanned != content_now(slide):
        warnings.append("the slide's files have changed since it was scanned; scan it again")
    if marks.exists() and read_marked_slide(marks).match(fingerprint, scanned) is Match.CHANGED:
        warnings.append("the slide's files have changed since these marks were made; look at them again")
    return tuple(warnings)
