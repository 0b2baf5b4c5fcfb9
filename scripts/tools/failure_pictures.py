"""What does a model get wrong? A sheet of the cells it missed and of its false alarms, for the model's card.

    python scripts/tools/failure_pictures.py SLIDE [SLIDE ...] --out failures.jpg [--model NAME]

Each SLIDE is a simulated one with its truth beside it, as `signetscan simulate slide` writes them. Missed cells are
spread evenly over the slides, false alarms are those of the highest scores, both at the model's own threshold. A missed
cell's score is that of the detection that would find it below the threshold.
"""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from signetscan.atomic import part_path
from signetscan.evaluation.examples import pick_examples
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.slides import open_slide
from signetscan.testing.simulated import results_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.evaluation.examples import Example
    from signetscan.slides import Slide

SHOWN = 12
"""Pictures of each kind."""
SIDE = 160
"""Side of a picture, level-0 pixels and pixels of the sheet."""
CAPTION = 18
"""Height of the line below a picture, and of a title, pixels."""
GAP = 6
"""Between pictures, pixels."""


def crop(slide: Slide, example: Example) -> Image.Image:
    """An example's surroundings with its box."""
    x0, y0, x1, y1 = example.box
    left, top = round((x0 + x1 - SIDE) / 2), round((y0 + y1 - SIDE) / 2)
    picture = Image.fromarray(slide.read_region((left, top), 0, (SIDE, SIDE)))
    ImageDraw.Draw(picture).rectangle((x0 - left, y0 - top, x1 - left, y1 - top), outline=(0, 0, 0), width=2)
    return picture


def sheet(groups: Sequence[tuple[str, Sequence[tuple[Image.Image, str]]]], columns: int = 6) -> Image.Image:
    """Titled rows of captioned pictures."""
    rows = [math.ceil(len(pictures) / columns) for _, pictures in groups]
    step_x, step_y = SIDE + GAP, SIDE + CAPTION + GAP
    page = Image.new("RGB", (columns * step_x + GAP, sum(rows) * step_y + len(groups) * 2 * CAPTION), "white")
    draw, y = ImageDraw.Draw(page), 0
    for (title, pictures), count in zip(groups, rows, strict=True):
        draw.text((GAP, y + CAPTION // 2), title, fill="black", font_size=15)
        y += 2 * CAPTION
        for index, (picture, caption) in enumerate(pictures):
            place = GAP + index % columns * step_x, y + index // columns * step_y
            page.paste(picture, place)
            draw.text((place[0], place[1] + SIDE + 1), caption, fill="black", font_size=12)
        y += count * step_y
    return page


def caption(example: Example) -> str:
    """The score, or that there is none."""
    return "not found at all" if math.isnan(example.score) else f"score {example.score:.2f}"


def main() -> None:
    """Make the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    results, slide_of = [], []
    for slide in arguments.slides:
        new = results_of(slide, detector)
        results += new
        slide_of += [slide] * len(new)
    picked = pick_examples(results, detector.spec.score_threshold, limit=SHOWN)
    wrong = sorted((*picked.false_positives, *picked.unmatched), key=lambda example: -example.score)[:SHOWN]
    titles = (
        (f"Missed cells, {len(picked.misses)} of {picked.misses_in_all}", picked.misses),
        (f"False alarms, {len(wrong)} of {picked.false_positives_in_all + picked.unmatched_in_all}", wrong),
    )
    with ExitStack() as stack:
        opened = {path: stack.enter_context(open_slide(path)) for path in arguments.slides}
        groups = [
            (title, [(crop(opened[slide_of[example.image]], example), caption(example)) for example in examples])
            for title, examples in titles
        ]
    with part_path(arguments.out) as part:
        sheet(groups).save(part, format="JPEG", quality=90)
    print(arguments.out)


if __name__ == "__main__":
    main()
