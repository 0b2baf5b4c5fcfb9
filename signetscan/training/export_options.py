"""Options of exporting a checkpoint as a model file.

Nothing heavy is imported here, because the command line makes its flags from this class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of options are looked up
from typing import Literal

from signetscan.errors import OptionError
from signetscan.options import Option, check_options, option

FloatPrecision = Literal["fp32", "fp16"]
ExportPrecision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a model file is made and checked, and what its contract says.

    Raises:
        OptionError: a value is out of range, or int8 and slides to calibrate on are not given together.
    """

    out: Path | None = option(None, Option(help="Model file.", default="the checkpoint's name, as .onnx"))
    precision: ExportPrecision = option(
        "fp32",
        Option(
            help="Precision of weights and convolutions; fp16 halves the file, for GPUs; int8 quarters it, for CPUs."
        ),
    )
    calibrate_on: tuple[Path, ...] = option(
        (),
        Option(
            help="For int8: slide or image with cells, or folder of them, to take the ranges of numbers from; may be "
            "given several times.",
            default="none",
        ),
    )
    name: str | None = option(None, Option(help="Short name of the model.", default="the file's"))
    training_data: str | None = option(
        None, Option(help="Description of the training data, stored in the model.", default="the run's counts")
    )
    licence: str = option("unknown", Option(help="Licence of the weights, stored in the model."))
    intended_use: str | None = option(
        None,
        Option(
            help="What the model is for, and what it is not for, stored in the model.",
            default="research, not diagnosis",
        ),
    )
    check_on: tuple[Path, ...] = option(
        (),
        Option(
            help="Slide or image on whose tissue the file is checked as well; may be given several times.",
            default="none",
        ),
    )
    mpp: float | None = option(
        None,
        Option(
            help="Size of the pixels of these slides and images.",
            unit="µm/px",
            low=0,
            above=True,
            default="theirs, or the model's",
        ),
    )
    threshold: float | None = option(
        None, Option(help="Score threshold.", low=0, high=1, default="the one chosen in training")
    )
    tile_size: int | None = option(
        None, Option(help="Side of the tiles to scan.", unit="px at the model's mpp", low=1, default="1024")
    )
    overlap: int | None = option(
        None,
        Option(help="Overlap of the tiles.", unit="px at the model's mpp", low=0, default="256"),
    )

    def __post_init__(self) -> None:
        check_options(self)
        if (self.precision == "int8") != bool(self.calibrate_on):
            message = "int8 precision and slides to calibrate on go together: give both or neither"
            raise OptionError(message, options=("precision", "calibrate_on"))
