"""How good is a model on DigestPath 2019, or on cells of which the centres are known? A table to publish.

    python scripts/experiments/judge_digestpath.py MODEL FOLDER --out DIR
    python scripts/experiments/judge_digestpath.py MODEL IMAGES --points POINTS --out DIR [--within 6]

FOLDER has the layout of DigestPath 2019, or another one that `signetscan evaluate` reads. The images are scanned down
to score 0.02, and judged by the challenge's figures, AP50 and F1, with 95% intervals, at the threshold that the model
ships with; false positives are also given per mm² of normal images. DIR gets `judged.md`, `judged.json` and the
detections; a run that was stopped goes on.

POINTS is a CSV with the columns image, x and y, or a folder with a file for each image: NAME.csv with x and y, or
NAME.json with a list of [x, y] or with the `Multiple points` of grand-challenge.org. A detection hits a point in its
box, or with --within one at most so many µm from its centre; one hits one, the nearest that is free. An image whose
file has no point is normal; to name normal images, give a file for each image.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from signetscan.atomic import make_folder
from signetscan.batch.events import Ended
from signetscan.errors import SignetscanError
from signetscan.testing.judged.judge import Points, judge
from signetscan.testing.judged.points import PointRule, read_points
from signetscan.testing.judged.table import markdown, write_judged

UNITS_UM = {"px": None, "um": 1.0, "mm": 1000.0}
"""Length of the units of points, µm."""


def points_of(arguments: argparse.Namespace) -> Points | None:
    """The points of the arguments, if they name any."""
    if arguments.points is None:
        return None
    unit = UNITS_UM[arguments.unit]
    if arguments.mpp is None and (unit is not None or arguments.within is not None):
        sys.exit("give --mpp: without it, µm cannot be turned into pixels")
    of_image = read_points(arguments.points, per_pixel=1.0 if unit is None else arguments.mpp / unit)
    within = arguments.within
    words = "the point lies in the detection's box"
    if within is not None:
        words = f"the centre of the detection lies at most {within:g} µm from the point"
    rule = PointRule(within=None if within is None else within / arguments.mpp)
    return Points(of_image=of_image, rule=rule, words=f"{words}, one to one, the best score first")


def main() -> int:
    """Judge, print the table, and give the exit status: 3 if some images could not be scanned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a shipped model, or an ONNX file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mpp", type=float, help="µm per pixel; 0.25 in DigestPath's layout, else what the files say")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--full-truth", action="store_true", help="FOLDER is simulated: all cells count")
    parser.add_argument("--points", type=Path)
    parser.add_argument("--unit", choices=tuple(UNITS_UM), default="px", help="unit of the points")
    parser.add_argument("--within", type=float, help="µm from the centre, in place of the box")
    arguments = parser.parse_args()
    done = 0

    def count(event: object) -> None:
        nonlocal done
        if isinstance(event, Ended):
            done += 1
            print(f"\r{done} images", end="", file=sys.stderr)

    try:
        make_folder(arguments.out)
        judged = judge(
            arguments.model,
            arguments.folder,
            arguments.out,
            mpp=arguments.mpp,
            device=arguments.device,
            points=points_of(arguments),
            full_truth=arguments.full_truth,
            on_event=count,
        )
        data = arguments.folder.resolve().name
        paths = write_judged(arguments.out, judged, data)
    except SignetscanError as error:
        sys.exit(f"Error: {error}")
    print(file=sys.stderr)
    print(markdown(judged, data), end="")
    print("", *paths, sep="\n")
    return 3 if judged.failed else 0


if __name__ == "__main__":
    sys.exit(main())
