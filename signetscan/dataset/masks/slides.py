"""Parser of folders of slides with QuPath's GeoJSON beside each, in which people outlined tissue.

As for cells, nobody annotates a whole slide: an annotation of the class `Region*` and others like it, or without a
class, surrounds a part in which everything was outlined, and one of the class `Normal` a part that is all background;
see `signetscan.annotations.marks`. Each becomes one image, or several if it is large. Pixels are read from the slide
when they are needed, and no more than an image of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Region
from signetscan.annotations.marks import interpret_tissue
from signetscan.annotations.outlines import area_of
from signetscan.annotations.qupath import read_areas
from signetscan.dataset.images import Place
from signetscan.dataset.masks.class_choice import choose_names, split_class
from signetscan.dataset.masks.drawn import draw_labels
from signetscan.dataset.masks.images import BACKGROUND, BACKGROUND_NAME, IGNORED, DrawnMask, MaskedImage
from signetscan.dataset.masks.parsed import ParsedMasks
from signetscan.dataset.options import MIN_SIDE
from signetscan.dataset.remarks import remark_concerns, remark_left_out
from signetscan.dataset.same_slide import check_same_slide
from signetscan.dataset.slides import MAX_SIDE, pieces, region_edges, region_order, touching, view_of
from signetscan.errors import AnnotationError
from signetscan.slides import open_slide, qupath_origin
from signetscan.suffixes import TRAINING_GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from signetscan.annotations.marks import MarkedTissue
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import SlideAtMpp

    Edges = tuple[int, int, int, int]

LAYOUT = "slides with outlines in QuPath GeoJSON"

NO_REGION = (
    "no annotation shows which parts of a slide were looked through. In QuPath, draw one around each part in which you "
    "outlined everything, with the class Region* or without a class, and one of the class Normal around each part that "
    "shows none of it; then export all objects as GeoJSON to NAME.geojson beside the slide"
)
"""Message for slides without regions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _DrawnSlide:
    """What people drew on a slide."""

    path: Path
    slide: str
    """Its name in the folder, without suffix."""
    file: str
    """Name of the file of annotations, for messages."""
    marked: MarkedTissue
    """In view pixels."""
    edges: tuple[Edges, ...]
    """Of each region, view pixels; clipped to the slide, and empty outside it."""


def read_outlined_slides(found: FoundFiles, mpp: float, classes: Sequence[str], remarks: Remarks) -> ParsedMasks:
    """Read what people drew, and cut the slides into images.

    Args:
        found: the files of the folder.
        mpp: size of the pixels of the images to cut, µm.
        classes: the classes to learn, in the order of their labels: a class in QuPath, or `NAME=CLASS,CLASS` to learn
            several as one. All that something is outlined as are learnt if there are none.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used, no region is marked, or a class is not drawn or given twice.
        SlideError: a slide cannot be opened.
    """
    chosen = [name for text in classes for name in split_class(text)[1]]
    files = found.by_key(found.geojson, TRAINING_GEOJSON_SUFFIXES)
    drawn = [
        _read_slide(found, path, file, mpp, chosen, remarks)
        for path, file in found.paired(found.slides_by_key(), files, remarks)
    ]
    # In the order of the alphabet, and the first of several spellings.
    spellings = {name.casefold(): name for slide in reversed(drawn) for name in reversed(slide.marked.names)}
    names = [spellings[folded] for folded in sorted(spellings)]
    if drawn and not names:
        message = f"{found.root}: nothing is outlined with a class; in QuPath, give a class to what you outlined"
        raise AnnotationError(message)
    class_of = choose_names(f"{found.root}", "class", names, classes)
    class_names = (BACKGROUND_NAME, *dict.fromkeys(class_of.values()))
    labels = {name.casefold(): class_names.index(of_class) for name, of_class in class_of.items()}
    images: list[MaskedImage] = []
    for slide in drawn:
        cut = list(_images(slide, labels, mpp, remarks))
        if not cut:
            remarks.add("Slides left out, without an annotated region", slide.path.name)
        images += cut
    if not images:
        message = f"{found.root}: {NO_REGION}"
        raise AnnotationError(message)
    return ParsedMasks(layout=LAYOUT, images=images, class_names=class_names)


def _read_slide(
    found: FoundFiles, path: Path, file: Path, mpp: float, chosen: Sequence[str], remarks: Remarks
) -> _DrawnSlide:
    """What people drew on a slide, in view pixels."""
    name = found.name(file)
    with open_slide(path) as slide:
        remark_concerns(slide, found.name(path), remarks)
        check_same_slide(file, slide, path, remarks)
        areas, view = read_areas(file), view_of(path, slide, mpp)
        remark_left_out(areas.left_out, name, remarks)
        origin = qupath_origin(slide, crop_to_bounds=True)
        marked = interpret_tissue([region.moved(*origin) for region in areas.regions], areas.names, chosen)
        edges = tuple(region_edges(region, slide, np.array(view.scale)) for region in marked.regions)
    remarks.add("Rejected areas left out: what they show is not of their class", name, marked.rejected)
    return _DrawnSlide(
        path=path,
        slide=PurePosixPath(found.name(path)).with_suffix("").as_posix(),
        file=name,
        marked=replace(
            marked,
            outlines=_in_view(marked.outlines, view),
            regions=_in_view(marked.regions, view),
            ignored=_in_view(marked.ignored, view),
        ),
        edges=edges,
    )


def _in_view(areas: Sequence[Region], view: SlideAtMpp) -> tuple[Region, ...]:
    """Areas in level-0 pixels in view pixels."""
    return tuple(Region(rings=tuple(ring / view.scale for ring in area.rings), normal=area.normal) for area in areas)


def _images(slide: _DrawnSlide, labels: Mapping[str, int], mpp: float, remarks: Remarks) -> Iterator[MaskedImage]:
    """The images of all regions of a slide."""
    unknown = Counter(name for name in slide.marked.names if name.casefold() not in labels)
    for name, count in unknown.items():
        remarks.add("Outlines of classes that are not learnt, taken for background", name, count)
    outlines = _in_order(slide.marked, labels)
    boxes = np.array([area.box for _, area in outlines], np.float64).reshape(-1, 4)
    for region, edges in sorted(
        zip(slide.marked.regions, slide.edges, strict=True), key=lambda one: region_order(one[0])
    ):
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            remarks.add(f"Regions left out, outside their slide or thinner than {MIN_SIDE} px in it", slide.file)
            continue
        for piece in pieces(edges, MAX_SIDE):
            x0, y0, x1, y1 = piece
            mask = DrawnMask(
                outlines=tuple(outlines[index] for index in np.flatnonzero(touching(boxes, piece))),
                within=None if region.is_rectangle else region,
                shows=(),
                normal=region.normal,
            )
            yield MaskedImage(
                path=slide.path,
                width=x1 - x0,
                height=y1 - y0,
                mask=_with_shown(mask, (x0, y0), (y1 - y0, x1 - x0)),
                slide=slide.slide,
                place=Place(x0, y0, mpp),
            )


def _with_shown(mask: DrawnMask, corner: tuple[int, int], size: tuple[int, int]) -> DrawnMask:
    """A mask that says which classes it shows: those of its pixels, because an outline may touch its box alone."""
    if not mask.outlines:
        return mask
    counts = np.bincount(draw_labels(mask, corner, size).ravel())
    shows = tuple(int(label) for label in np.flatnonzero(counts) if label not in (BACKGROUND, IGNORED))
    return replace(mask, shows=shows, normal=mask.normal and not shows)


def _in_order(marked: MarkedTissue, labels: Mapping[str, int]) -> list[tuple[int, Region]]:
    """Labels and areas, of which the last counts where they overlap.

    The smallest outline does: necrosis is drawn into a tumour, and not around it. Ignored areas count before all.
    """
    named = [
        (labels.get(name.casefold(), BACKGROUND), area)
        for area, name in zip(marked.outlines, marked.names, strict=True)
    ]
    by_size = sorted(named, key=lambda one: max(map(area_of, one[1].rings)), reverse=True)
    return by_size + [(IGNORED, area) for area in marked.ignored]
