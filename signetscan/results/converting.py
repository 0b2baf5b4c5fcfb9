"""Write the results of an earlier run in further formats, without scanning again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.errors import AnnotationError, NameTakenError, OptionError, ResultError, SlideError
from signetscan.formats.parts import files_there, write_files
from signetscan.formats.result_files import RECORD_SUFFIX, REGION_SUFFIXES, SUFFIXES, add_suffix, check_libraries
from signetscan.results.folder import find_results, is_segmentation
from signetscan.results.lookup import load_with_slide, locate_place
from signetscan.results.namesakes import taken
from signetscan.results.run_record import read_run_record
from signetscan.results.writing import add_formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from signetscan.slides.addresses import AnyPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What became of one slide's results."""

    name: str
    """Name of the results, without folders."""
    files: tuple[Path, ...] = ()
    """The files that were written."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Why a format cannot hold this slide's results, by format."""
    problem: str = ""
    """Why the results could not be read; empty if they could."""


def convert_results(
    results: Sequence[Path],
    formats: Sequence[str],
    *,
    slides: AnyPlace | None = None,
    out: Path | None = None,
    objects_per_file: int | None = None,
    overwrite: bool = False,
) -> Iterator[Converted]:
    """Write results in further formats. A result that cannot be read does not stop the others.

    Args:
        results: folders of results of detection, or files that belong to one slide's results, of either kind.
        formats: names from `formats.result_files.ALL_FORMATS`.
        slides: the slide, or a folder or study that holds all slides; DICOM needs it.
        out: folder for the files, made if it does not exist. By default they are written beside the results, and the
            run records list them too.
        objects_per_file: most objects in a GeoJSON file, of which there may be several; None for all in one.
        overwrite: whether files that are in `out` already may be replaced.

    Returns:
        An iterator that converts one slide at a time and says what became of it.

    Raises:
        MissingExtraError: a format needs a library that is not installed.
        OptionError: DICOM is requested without slides, or files of two slides would have the same name.
        ResultError: there are no results.
        OutputError: a file cannot be written.
    """
    formats = tuple(dict.fromkeys(formats))
    check_libraries(formats)
    if "dicom" in formats and slides is None:
        message = "DICOM results refer to the slide; name the slide, or the folder or study that it is in"
        raise OptionError(message, options=("slide",))
    records = list(dict.fromkeys(record for path in results for record in find_results(path)))
    if out is not None:
        _check_names(records, out)
    return (_converted(record, formats, slides, out, objects_per_file, overwrite=overwrite) for record in records)


def _check_names(records: Sequence[Path], out: Path) -> None:
    seen: dict[str, Path] = {}
    for record in records:
        # Names that differ in case only are one file on Windows and macOS.
        other = seen.setdefault(record.name.casefold(), record)
        if other is not record:
            message = f"{other} and {record} would be written to the same files in {out}; use different folders"
            raise OptionError(message)


def _converted(
    record: Path,
    formats: Sequence[str],
    slides: AnyPlace | None,
    out: Path | None,
    objects_per_file: int | None,
    *,
    overwrite: bool,
) -> Converted:
    name = record.name.removesuffix(RECORD_SUFFIX)
    of_regions = is_segmentation(record.with_name(name))
    what, suffixes = ("regions", REGION_SUFFIXES) if of_regions else ("detections", SUFFIXES)
    fitting = [form for form in formats if form in suffixes]
    unfit = {form: f"{what} have no such format" for form in formats if form not in suffixes}
    if not fitting:
        return Converted(name=name, unfit=unfit)
    try:
        if out is not None:
            _check_is_free(record, out, fitting, of_regions=of_regions, overwrite=overwrite)
        if of_regions:
            done = _converted_regions(record, fitting, slides, out)
        else:
            done = _converted_detections(record, fitting, slides, out, objects_per_file)
    except (AnnotationError, ResultError, SlideError) as error:
        return Converted(name=record.name, problem=str(error))
    return replace(done, unfit=unfit | dict(done.unfit))


def _converted_regions(record: Path, formats: Sequence[str], slides: AnyPlace | None, out: Path | None) -> Converted:
    """Write the results of a segmentation in further formats, made of its maps."""
    # They need shapely, and detections do not.
    from signetscan.formats.region_writers import write_region_files  # noqa: PLC0415
    from signetscan.results.region_formats import add_region_formats, load_segmentation  # noqa: PLC0415

    name = record.name.removesuffix(RECORD_SUFFIX)
    slide = None if slides is None else locate_place(read_run_record(record), slides)
    if out is None:
        now = add_region_formats(record, formats, slide=slide)
        unfit = {form: why for form, why in now.unfit.items() if form in formats}
        files = tuple(record.with_name(now.files[form].name) for form in formats if form not in unfit)
        return Converted(name=name, files=files, unfit=unfit)
    make_folder(out)
    segmented = load_segmentation(record, formats, slide=slide, folder=out)
    written, unfit = write_region_files(out / name, formats, segmented)
    return Converted(name=name, files=tuple(written.values()), unfit=unfit)


def _converted_detections(
    record: Path, formats: Sequence[str], slides: AnyPlace | None, out: Path | None, objects_per_file: int | None
) -> Converted:
    """Write the results of a detection in further formats."""
    stored = load_with_slide(record, slides)
    if out is None:
        now = add_formats(stored, formats, objects_per_file=objects_per_file).record
        # The record also lists formats that earlier runs could not write.
        unfit = {name: why for name, why in now.unfit.items() if name in formats}
        names = [file for name in formats if name not in unfit for file in now.files[name].names]
        files = tuple(stored.target.with_name(name) for name in names)
    else:
        make_folder(out)
        written, unfit = write_files(out / stored.target.name, formats, stored.scanned, objects_per_file)
        files = tuple(path for paths in written.values() for path in paths)
    return Converted(name=stored.target.name, files=files, unfit=unfit)


def _check_is_free(record: Path, out: Path, formats: Sequence[str], *, of_regions: bool, overwrite: bool) -> None:
    """Check that a folder has no results of another run, and no file, of the name of results, if it is not theirs.

    Raises:
        NameTakenError: it has.
    """
    other = out / record.name
    if other.exists():
        if other.samefile(record):
            return
        message = f"{out}: has other results of this name, {other.name}; choose another folder"
        raise NameTakenError(message, options=("out",))
    target = out / record.name.removesuffix(RECORD_SUFFIX)
    regions = [add_suffix(target, REGION_SUFFIXES[form]) for form in formats if of_regions]
    there = [path for path in regions if path.exists()] if of_regions else files_there(target, formats)
    if there and not overwrite:
        raise NameTakenError(taken(there[0]), options=("out", "overwrite"))
