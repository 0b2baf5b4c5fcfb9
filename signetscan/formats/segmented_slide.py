"""What the writers of regions know of a segmented slide, whether it was scanned now or read back from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.formats.scanned_slide import SlideFacts
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, UNREAD
from signetscan.slides import qupath_origin
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from signetscan.formats.class_areas import ClassArea
    from signetscan.formats.colours import Colour
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.class_map import ClassMap
    from signetscan.scan.options import ResolvedSegmentOptions
    from signetscan.scan.segment import SegmentationResult
    from signetscan.slides import Slide
    from signetscan.slides.addresses import SlidePlace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentedSlide(SlideFacts):
    """The classes of a slide's tissue, with what files of results say of the slide and the model."""

    class_map: ClassMap
    """The class of each place."""
    class_colours: tuple[Colour, ...]
    """Colour of each class."""
    background: int
    """Index of the class for which no regions are written."""
    scored: tuple[int, ...]
    """Indices of the classes that score the slide."""
    options: ResolvedSegmentOptions
    """How the map is outlined."""
    areas: tuple[ClassArea, ...] = ()
    """The area of each class; none before the map is outlined, because regions are counted then."""

    @property
    def outlined(self) -> tuple[int, ...]:
        """Indices of the classes for which regions are written."""
        return tuple(label for label in range(len(self.class_names)) if label != self.background)

    @property
    def values(self) -> dict[int, str]:
        """What each value of the map means."""
        return {
            NOT_SCANNED: "not scanned",
            **{FIRST_CLASS + label: name for label, name in enumerate(self.class_names)},
            UNREAD: "could not be read",
        }


def segmented_slide(
    name: str,
    slide: Slide,
    segmenter: Segmenter,
    result: SegmentationResult,
    *,
    path: SlidePlace | None = None,
    crop_to_bounds: bool = True,
) -> SegmentedSlide:
    """Describe a slide that has just been segmented.

    Args:
        name: name of the slide in results.
        slide: the slide.
        segmenter: the model that was used.
        result: the result of the scan.
        path: the slide's file.
        crop_to_bounds: whether QuPath shows the slide cropped to its bounds, as it does by default.

    Raises:
        MppError: the slide's mpp is unknown.
    """
    spec = segmenter.spec
    return SegmentedSlide(
        name=name,
        class_map=result.class_map,
        class_names=spec.class_names,
        class_colours=spec.class_colours,
        background=spec.background,
        scored=spec.slide_score.classes,
        options=result.options,
        model=spec.name,
        model_sha256=segmenter.sha256,
        learnt_from=spec.training_data,
        fingerprint=slide.fingerprint,
        mpp=known_mpp(slide),
        dimensions=slide.dimensions,
        origin=qupath_origin(slide, crop_to_bounds=crop_to_bounds),
        path=path,
    )
