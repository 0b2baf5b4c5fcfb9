"""Split the fields of NuInsSeg into those to compose training images in and those to judge on.

    python scripts/experiments/real_tissue.py NUINSSEG/images OUT

Neighbouring numbers come from one slide, so whole blocks of 35 numbers are kept back, and the four fields at each
side of such a block are left out. OUT gets links in `train`, `develop` (to choose by) and `judge` (to judge once), and
in `train-hard` and so on those of them that hold the hardest look-alikes: goblet cells, mucous glands, fat.
"""

from __future__ import annotations

from pathlib import Path

import click

BLOCK = 35
"""Numbers in a block."""
KEPT_BACK = range(2, 100, 4)
"""Blocks that train nothing; they go to `develop` and `judge` in turn."""
BORDER = 4
"""Fields left out at each side of a block that is kept back."""
HARD = (range(257, 296), range(309, 312), range(473, 513))
"""Numbers of the fields of mucosa, of a mucous gland, and of fat, by eye."""


def part_of(number: int) -> str | None:
    """The part that a field belongs to, None if it is left out."""
    block = (number - 1) // BLOCK
    if block in KEPT_BACK:
        return "judge" if KEPT_BACK.index(block) % 2 else "develop"
    near = ((number - 1 + shift) // BLOCK for shift in (-BORDER, BORDER))
    return None if any(block in KEPT_BACK for block in near) else "train"


@click.command()
@click.argument("images", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(images: Path, out: Path) -> None:
    """Write folders of links to the fields in IMAGES into OUT."""
    for path in sorted(images.glob("*.jpg")):
        number = int(path.stem)
        part = part_of(number)
        if part is None:
            continue
        hard = any(number in numbers for numbers in HARD)
        for name in [part, f"{part}-hard"] if hard else [part]:
            (out / name).mkdir(parents=True, exist_ok=True)
            (out / name / path.name).symlink_to(path.resolve())
    for folder in sorted(out.iterdir()):
        click.echo(f"{folder}: {len(list(folder.iterdir()))} fields")


if __name__ == "__main__":
    main()
