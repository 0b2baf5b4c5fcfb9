"""Reading of what was segmented and of its truth, as images that can be evaluated."""

from __future__ import annotations

import math
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.masks.digestpath import tissue_root
from signetscan.dataset.masks.images import IGNORED
from signetscan.dataset.masks.pixels import PixelStore
from signetscan.dataset.masks.reading import has_masks, read_masked_dataset
from signetscan.dataset.masks.view import MaskedView
from signetscan.dataset.remarks import Remarks, listed
from signetscan.errors import AnnotationError, OptionError, ResultError
from signetscan.evaluation.label_maps import compare_labels
from signetscan.evaluation.region_results import (
    Grid,
    background_of,
    has_map,
    labelled_image,
    read_segmented,
    scored_of,
)
from signetscan.evaluation.regions import RegionResult
from signetscan.evaluation.segmented_images import judge_image
from signetscan.evaluation.task import MODEL_SUFFIX
from signetscan.models.segmenter import load_segmenter
from signetscan.results.folder import pair_names
from signetscan.scan.class_map import BAND
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.suffixes import IMAGE_SUFFIXES, SLIDE_SUFFIXES, TIFF_SUFFIXES, without_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset.masks.images import MaskedDataset, MaskedImage
    from signetscan.evaluation.options import MaskOptions
    from signetscan.evaluation.region_results import SegmentedSlide, SegmentedSlides

    Labels = NDArray[np.uint8]
    Progress = Callable[[int, int], None]

NO_SCORE = "The truth is of regions of slides, of which results have no score: there is no AUC of results"
"""Note on results of slides that were outlined."""
CACHE_BYTES = 256 << 20
"""Most bytes of decoded images and masks in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes of what is evaluated."""

    names: tuple[str, ...]
    """Name of each label."""
    background: int
    """The class that is of no interest."""
    scored: tuple[int, ...]
    """The classes that images are told by."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of all but the background."""
        return tuple(name for label, name in enumerate(self.names) if label != self.background)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionSet:
    """Images to evaluate."""

    results: tuple[RegionResult, ...]
    """One entry for each image."""
    classes: Classes
    """Their classes."""
    mpp: float
    """Size of their pixels, µm."""
    notes: tuple[str, ...]
    """What was left out or assumed."""


def read_region_set(
    predictions: Path, truth: Path, options: MaskOptions, on_progress: Progress | None = None
) -> RegionSet:
    """Read results of a segmentation, or run a model, and set them against masks.

    Args:
        predictions: results of `signetscan segment`, or a model file.
        truth: images with masks; see `signetscan.dataset.masks.reading.read_masked_dataset`.
        options: classes, pixel size and least regions.
        on_progress: called with (images done, images in all) after each image.

    Raises:
        AnnotationError: a mask cannot be used, or has other classes or another size; or no two files belong together.
        ResultError: a result is damaged, of a detection, or of another model than the others.
        ModelError: the model file cannot be used.
        OptionError: an option is out of range, or does not fit.
    """
    if not predictions.exists():
        message = f"{predictions}: no such file or folder"
        raise AnnotationError(message)
    if predictions.suffix.lower() == MODEL_SUFFIX and predictions.is_file():
        return _of_model(predictions, truth, options, on_progress)
    return _of_results(predictions, truth, options, on_progress)


def _of_model(path: Path, truth: Path, options: MaskOptions, on_progress: Progress | None) -> RegionSet:
    segmenter = load_segmenter(path)
    spec = segmenter.spec
    classes = _classes(spec.class_names, spec.background, spec.slide_score.classes, options)
    # Slides that were outlined in QuPath are read at the model's pixel size.
    mpp = spec.mpp if options.mpp is None and not has_masks(truth) else options.mpp
    dataset, label_of = _read_truth(truth, classes, options, mpp)
    names = names_below(truth, dataset.images)
    results: list[RegionResult] = []
    with _store() as store:
        for name, image in names.items():
            view = MaskedView(store, image, spec.mpp / dataset.mpp)
            result = judge_image(segmenter, view, label_of=label_of, least_um2=options.least_region, name=name)
            results.append(replace(result, scored=classes.scored))
            if on_progress is not None:
                on_progress(len(results), len(names))
    return RegionSet(results=tuple(results), classes=classes, mpp=dataset.mpp, notes=dataset.warnings)


def _of_results(path: Path, truth: Path, options: MaskOptions, on_progress: Progress | None) -> RegionSet:
    if options.mpp is not None:
        message = f"{path}: run records say how large pixels are; give their size for a model only"
        raise OptionError(message, options=("mpp",))
    given = read_segmented(path)
    if not given.slides:
        message = f"{path}: all slides failed: {listed(sorted(given.failed))}"
        raise ResultError(message)
    slides = list(given.slides.values())
    first = slides[0]
    _check_one_model(slides)
    classes = _classes(first.record.model.class_names, background_of(first), scored_of(first), options)
    level0 = first.record.slide.mpp
    # Slides that were outlined in QuPath are judged at the model's pixel size.
    mpp = (level0.x * level0.y) ** 0.5 if has_masks(truth) else first.record.model.mpp
    dataset, label_of = _read_truth(truth, classes, options, mpp)
    remarks = Remarks()
    pairs = _pairs(path, given, truth, names_below(truth, dataset.images), remarks)
    results: list[RegionResult] = []
    with _store() as store:
        for name, slide, image in pairs:
            results.append(replace(_judged(slide, image, store, label_of, options, name), scored=classes.scored))
            _remark_gaps(slide, name, remarks)
            if on_progress is not None:
                on_progress(len(results), len(pairs))
    of_parts = (NO_SCORE,) if any(image.place is not None for _, _, image in pairs) else ()
    notes = (*dataset.warnings, *remarks.lines(), *of_parts, *_simplified(first))
    return RegionSet(results=tuple(results), classes=classes, mpp=dataset.mpp, notes=notes)


@contextmanager
def _store() -> Iterator[PixelStore]:
    """A store of pixels with a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="signetscan.") as folder, PixelStore(Path(folder), CACHE_BYTES) as store:
        yield store


def _classes(names: Sequence[str], background: int, scored: Sequence[int], options: MaskOptions) -> Classes:
    """The classes of a model; the scored ones may be chosen.

    Raises:
        OptionError: there is no such class.
    """
    labels = {name.casefold(): label for label, name in enumerate(names) if label != background}
    for name in options.scored:
        if name.strip().casefold() not in labels:
            shown = ", ".join(name for label, name in enumerate(names) if label != background)
            message = f"no class {name!r} to tell images by; the model's are {shown}"
            raise OptionError(message, options=("scored",))
    chosen = tuple(sorted({labels[name.strip().casefold()] for name in options.scored}))
    return Classes(names=tuple(names), background=background, scored=chosen or tuple(scored))


def _read_truth(
    truth: Path, classes: Classes, options: MaskOptions, mpp: float | None
) -> tuple[MaskedDataset, NDArray[np.uint8]]:
    """The images with their masks, and the model's class of each label of the masks.

    Raises:
        AnnotationError: the masks have a class that the model does not have.
    """
    dataset = _dataset(truth, classes, options, mpp)
    labels = {name.casefold(): label for label, name in enumerate(classes.names)}
    label_of = np.full(256, classes.background, np.uint8)
    unknown = [name for name in dataset.class_names[1:] if name.casefold() not in labels]
    if unknown:
        message = (
            f"{truth}: shows {', '.join(unknown)}, but the classes of what is evaluated are "
            f"{', '.join(classes.shown)}; say which of these is meant"
        )
        raise AnnotationError(message, options=("truth_classes",))
    label_of[IGNORED] = IGNORED
    for label, name in enumerate(dataset.class_names[1:], start=1):
        label_of[label] = labels[name.casefold()]
    return dataset, label_of


def _dataset(truth: Path, classes: Classes, options: MaskOptions, mpp: float | None) -> MaskedDataset:
    """The data set, with the names that are given, its own, or, where it has none, the model's."""
    named = options.truth_classes
    if tissue_root(truth) is not None and len(named) == 1:  # its only class has a name, which may be another one
        dataset = read_masked_dataset(truth, mpp=mpp)
        return replace(dataset, class_names=(dataset.class_names[0], named[0].strip()))
    return read_masked_dataset(truth, classes=named, fallback=classes.shown, mpp=mpp)


def names_below(truth: Path, images: Sequence[MaskedImage]) -> dict[str, MaskedImage]:
    """Images by their names below a folder, without suffix, with "/" between folders."""

    def name_of(image: MaskedImage) -> str:
        name = without_suffix(image.path.relative_to(truth).as_posix(), IMAGE_SUFFIXES)
        return name if image.place is None else f"{name} at x {image.place.x}, y {image.place.y}"

    return {name_of(image): image for image in images}


def _check_one_model(slides: Sequence[SegmentedSlide]) -> None:
    """Check that all results are of one model.

    Raises:
        ResultError: they are not.
    """
    first = slides[0]
    for slide in slides:
        if slide.record.model.sha256 != first.record.model.sha256:
            message = (
                f"{slide.target} and {first.target} are results of two models ({slide.record.model.name}, "
                f"{first.record.model.name}); evaluate each alone"
            )
            raise ResultError(message)


def _pairs(
    path: Path, given: SegmentedSlides, truth: Path, images: dict[str, MaskedImage], remarks: Remarks
) -> list[tuple[str, SegmentedSlide, MaskedImage]]:
    """The images that have both results and a truth, in the order of the truth; others are remarked on.

    Raises:
        AnnotationError: there is none.
    """
    slide_of = {name: _slide_name(truth, name, image) for name, image in images.items()}
    of_slides = pair_names(dict.fromkeys(slide_of.values()), [*given.slides, *given.failed])
    partners = {name: of_slides[slide] for name, slide in slide_of.items() if slide in of_slides}
    pairs = [
        (name, given.slides[partners[name]], image)
        for name, image in images.items()
        if partners.get(name) in given.slides
    ]
    if not pairs:
        message = (
            f"{path}: no result has the name of a slide or image of the truth; names here: "
            f"{listed(sorted(given.slides))}; in {truth}: {listed(sorted(set(slide_of.values())))}"
        )
        raise AnnotationError(message)
    for name in images:
        if partners.get(name) in given.failed:
            remarks.add("Failed slides left out", f"{name} ({given.failed[partners[name]]})")
        elif name not in partners and path.is_dir():
            remarks.add("Images without results left out", name)
    for name in sorted(given.slides.keys() - set(partners.values())):
        remarks.add("Results left out, without a truth", name)
    return pairs


def _slide_name(truth: Path, name: str, image: MaskedImage) -> str:
    """The name that results of an image have: its own, or that of the slide of which it is a part."""
    if image.place is None:
        return name
    return without_suffix(image.path.relative_to(truth).as_posix(), (*SLIDE_SUFFIXES, *TIFF_SUFFIXES))


def _grid(slide: SegmentedSlide, image: MaskedImage) -> Grid:
    """Where the pixels of an image lie on the slide.

    Raises:
        AnnotationError: the image is of another slide, or the mask of another size.
        SlideError: the slide cannot be opened.
    """
    if image.place is not None:
        with open_slide(image.path) as opened:
            if opened.fingerprint != slide.record.slide.fingerprint:
                message = f"{slide.target}: results of another slide than {image.path}; segment that slide"
                raise AnnotationError(message)
            scale = SlideAtMpp(opened, image.place.mpp).scale
        return Grid(left=image.place.x, top=image.place.y, scale=scale)
    size = slide.record.slide.dimensions
    if size != (image.width, image.height):
        message = (
            f"{slide.target}: results of an image of {size[0]} x {size[1]} px, but {image.path} and its mask have "
            f"{image.width} x {image.height} px; segment that image"
        )
        raise AnnotationError(message)
    return Grid(left=0, top=0, scale=(1.0, 1.0))


def _judged(
    slide: SegmentedSlide, image: MaskedImage, store: PixelStore, label_of: Labels, options: MaskOptions, name: str
) -> RegionResult:
    """What the regions of a slide say of each pixel of its image, and the truth.

    Raises:
        AnnotationError: the image is of another slide, or the mask of another size.
        SlideError: the slide cannot be opened.
    """
    grid, mpp = _grid(slide, image), slide.record.slide.mpp
    labelled = labelled_image(slide)

    def bands() -> Iterator[tuple[Labels, Labels]]:
        for top in range(0, image.height, BAND):
            rows = min(BAND, image.height - top)
            truth = store.labels(image, 0, top, (image.width, rows))
            yield label_of[truth], labelled.labels(replace(grid, top=grid.top + top), rows, image.width)

    compared = compare_labels(
        (image.width, image.height),
        bands(),
        classes=len(slide.record.model.class_names),
        background=background_of(slide),
        least_px=options.least_region / (mpp.x * mpp.y * grid.scale[0] * grid.scale[1]),
    )
    return RegionResult(
        confusion=compared.confusion,
        scored=scored_of(slide),
        score=slide.regions.slide_score or 0.0 if image.place is None else math.nan,
        name=name,
        slide=image.slide,
        outlines=compared.outlines(),
    )


def _remark_gaps(slide: SegmentedSlide, name: str, remarks: Remarks) -> None:
    """Remark on what was not scanned, which counts as background."""
    if slide.record.roi is not None:
        remarks.add("Scanned within a region of interest only; the rest counts as background", name)
    if slide.record.unread_mm2:
        remarks.add("Area that could not be read counts as background", name)


def _simplified(slide: SegmentedSlide) -> Iterator[str]:
    """What the options of the segmentation took away."""
    if has_map(slide):
        return
    options = slide.record.options
    changed = [
        f"{word} {options[name]:g} {unit}"
        for name, word, unit in (
            ("simplify", "simplified by", "µm"),
            ("min_area", "left out below", "µm²"),
            ("min_hole", "filled where holes were below", "µm²"),
        )
        if isinstance(options.get(name), int | float) and options[name]
    ]
    if changed:
        yield (
            f"There is no class map, and outlines were {', '.join(changed)}, so that they do not say what the model "
            "says of each pixel; segment again with a class map for that"
        )
