"""Write reports from the results of an earlier run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.errors import NameTakenError
from signetscan.formats.result_files import RECORD_SUFFIX, REPORT_SUFFIX, add_suffix
from signetscan.models.spec import Task
from signetscan.reports.cells_in_tissue import cells_in_tissue
from signetscan.reports.index import find_entries, write_index
from signetscan.reports.index_file import INDEX_NAME, is_index
from signetscan.reports.regions_report import write_regions_report
from signetscan.reports.slide_report import write_slide_report
from signetscan.results.folder import find_results, is_segmentation
from signetscan.results.lookup import load_with_slide, locate_place
from signetscan.results.namesakes import taken
from signetscan.results.regions_reading import load_regions
from signetscan.slides import open_slide
from signetscan.slides.mpp import MppSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signetscan.results.reading import StoredResult
    from signetscan.results.regions_reading import StoredRegions
    from signetscan.results.run_record import RunRecord
    from signetscan.slides import Slide
    from signetscan.slides.addresses import AnyPlace, SlidePlace


def report_results(
    results: Sequence[Path], slides: AnyPlace, out: Path | None = None, *, overwrite: bool = False
) -> Iterator[Path]:
    """Write a report of each slide, of its cells, its regions or both, and, last, the index of the folder of results.

    Args:
        results: folders of results, or files that belong to one slide's results.
        slides: the slide, or a folder or study that holds all slides; reports show pictures of them.
        out: folder for the reports, which has the same folders in it as that of the results. By default reports are
            written beside the results.
        overwrite: whether files that are in `out` already may be replaced; an index made before always is.

    Yields:
        Path of each file as soon as it is written.

    Raises:
        ResultError: there are no results, some are damaged, or a slide is missing.
        NameTakenError: a file that may not be replaced is there.
        AnnotationError: a file of detections cannot be read.
        OptionError: the folder holds no slide.
        SlideError: a slide cannot be read.
        OutputError: a report cannot be written.
    """
    folder = _common_folder(results)
    keeps = out is not None and not overwrite and not (out.exists() and out.samefile(folder))
    index = (out or folder) / INDEX_NAME
    if keeps and not is_index(index):
        _check_is_free(index)
    tasks = (Task.DETECTION, Task.SEGMENTATION)
    for record in dict.fromkeys(record for path in results for record in find_results(path, tasks)):
        source = record.with_name(record.name.removesuffix(RECORD_SUFFIX))
        target = source if out is None else out / os.path.relpath(source, folder)
        path = add_suffix(target, REPORT_SUFFIX)
        if keeps:
            _check_is_free(path)
        make_folder(path.parent)
        if is_segmentation(source):
            _write_of_regions(path, load_regions(record), slides)
        else:
            stored = load_with_slide(record, slides)
            _write_of_cells(path, stored, stored.scanned.path or locate_place(stored.record, slides))
        yield path
    write_index(index, find_entries(folder, out))
    yield index


def _check_is_free(path: Path) -> None:
    """Check that there is no file at a path.

    Raises:
        NameTakenError: there is.
    """
    if path.exists():
        raise NameTakenError(taken(path), options=("out", "overwrite"))


def _common_folder(results: Sequence[Path]) -> Path:
    """The deepest folder that holds all results, which the index lists."""
    folders = [path if path.is_dir() else path.parent for path in results]
    return folders[0] if len(folders) == 1 else Path(os.path.commonpath([path.absolute() for path in folders]))


def _write_of_cells(path: Path, stored: StoredResult, slide_place: SlidePlace) -> None:
    """Write the report of a slide on which cells were detected."""
    with _opened(slide_place, stored.record) as slide:
        write_slide_report(path, slide, stored.scanned, stored.record, cells_in_tissue(stored.target))


def _write_of_regions(path: Path, stored: StoredRegions, slides: AnyPlace) -> None:
    """Write the report of a slide whose tissue was segmented."""
    with _opened(locate_place(stored.record, slides), stored.record) as slide:
        write_regions_report(path, slide, stored)


def _opened(place: SlidePlace, record: RunRecord) -> Slide:
    """A slide, opened with the mpp with which it was scanned."""
    mpp = record.slide.mpp
    return open_slide(place, mpp=mpp.x if mpp.source is MppSource.GIVEN else None)
