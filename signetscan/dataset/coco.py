"""Parser of folders of images with one or several JSON files of COCO instances.

An image that a file lists without any annotation is normal. Objects of a crowd (`iscrowd`) are ignored areas.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from signetscan.annotations.coco import may_be_coco, read_coco
from signetscan.dataset.file_pairs import WITHOUT_FILE
from signetscan.dataset.found import path_parts, without_kind
from signetscan.dataset.parsed import ImageObjects, ParsedFolder, parsed_image
from signetscan.dataset.parts import part_of_words
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations.coco import CocoImage
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks

LAYOUT = "images with COCO JSON"
NORMAL = "Images that a COCO file lists without any annotation, taken for normal ones"
MISSING = "Images of COCO files that are not here"
CROWDS = "Objects of a crowd (iscrowd), taken for ignored areas"


def coco_files(found: FoundFiles) -> list[Path]:
    """The JSON files that may be COCO's.

    Raises:
        AnnotationError: a file cannot be read.
    """
    return [path for path in found.json if may_be_coco(path)]


def has_coco(found: FoundFiles) -> bool:
    """Whether there are images and a JSON file that may be COCO's."""
    return bool(found.images) and bool(coco_files(found))


def read_coco_folder(found: FoundFiles, remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        found: the files of the folder.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used, or none of the images is here; the message names it.
    """
    folder = ParsedFolder(layout=LAYOUT)
    here = _ImageFinder(found)
    seen: set[Path] = set()
    missing: list[str] = []
    files = coco_files(found)
    for file in files:
        images = coco_images(file, found.name(file), remarks)
        names = Counter(path_parts(image.file_name)[-1] for image in images)
        # Files of a data set in one piece may have any name; of several, the names tell the parts.
        part = part_of_words(file.stem) if len(files) > 1 else None
        for image in images:
            path = here.find(image.file_name, file, alone=names[path_parts(image.file_name)[-1]] == 1)
            if path is None:
                remarks.add(MISSING, image.file_name)
                missing.append(image.file_name)
                continue
            seen.add(path)
            folder.add(
                parsed_image(
                    path,
                    found.name(path),
                    found.name(file),
                    objects_of(image),
                    remarks,
                    normal=is_normal(image, remarks),
                    part=part,
                )
            )
    for path in found.images:
        if path not in seen:
            remarks.add(WITHOUT_FILE, found.name(path))
    if missing and not seen:
        message = f"{found.root}: none of the images of its COCO files is here, such as {listed(missing)}; add them"
        raise AnnotationError(message)
    return folder


def coco_images(file: Path, name: str, remarks: Remarks) -> tuple[CocoImage, ...]:
    """The images of a COCO file; what was left out is remarked on by the file's name.

    Raises:
        AnnotationError: the file cannot be used.
    """
    content = read_coco(file)
    for reason, count in content.left_out.items():
        remarks.add(f"Left out, being {reason}", name, count)
    for image in content.images:
        remarks.add(CROWDS, image.file_name, len(image.crowds))
    return content.images


def objects_of(image: CocoImage) -> ImageObjects:
    """What a COCO file says of an image."""
    return ImageObjects(boxes=image.boxes, names=image.names, ignored=image.crowds, drawn_on=image.size)


def is_normal(image: CocoImage, remarks: Remarks) -> bool:
    """Whether a COCO file lists an image without any annotation, which is remarked on."""
    normal = image.annotations == 0
    remarks.add(NORMAL, image.file_name, count=int(normal))
    return normal


class _ImageFinder:
    """Finds the images of COCO files among those of a folder; what a file says is never used as a path."""

    def __init__(self, found: FoundFiles) -> None:
        self._found = found
        self._of_file_name: dict[str, list[Path]] = defaultdict(list)
        for path in found.images:
            self._of_file_name[path.name].append(path)

    def find(self, file_name: str, file: Path, *, alone: bool) -> Path | None:
        """The image that a COCO file means.

        Args:
            file_name: its path by the file.
            file: the COCO file.
            alone: whether the file has no other image of this name in another folder.

        Raises:
            AnnotationError: several images could be meant.
        """
        wanted = without_kind(path_parts(file_name))
        candidates = self._of_file_name.get(wanted[-1], [])
        parts = {path: without_kind(path.relative_to(self._found.root).parts) for path in candidates}
        fitting = [path for path in candidates if parts[path][-len(wanted) :] == wanted]
        if not fitting and alone and len(candidates) == 1:
            return candidates[0]  # the folders in the file are those of another machine
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        # Such as train/a.jpg and val/a.jpg for the image a.jpg of train/_annotations.coco.json.
        folder = file.parent.relative_to(self._found.root)
        beside = [path for path in fitting if parts[path] == [*folder.parts, *wanted]]
        if len(beside) == 1:
            return beside[0]
        names = listed([self._found.name(path) for path in fitting])
        message = f"{file}: {file_name} could be several images: {names}; give its folder in the file"
        raise AnnotationError(message)
