"""A threshold that was calibrated on a site's normal tissue, and what results say of where it is from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from signetscan.plurals import amount, counted

if TYPE_CHECKING:
    from typing import Self

    from signetscan.json_values import Json, JsonTable


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedThreshold:
    """A threshold, and the calibration that it is from."""

    threshold: float
    """Lowest score that counts."""
    file: str
    """Name of the calibration's file, without folders."""
    sha256: str
    """SHA-256 of that file, hexadecimal."""
    budget: float
    """The false positives per mm² for which it was chosen."""
    tissue_mm2: float
    """Area of the normal tissue that it was chosen on, mm²."""
    slides: int
    """Slides and images of that tissue."""

    @property
    def sentence(self) -> str:
        """The threshold, and what it is from."""
        return (
            f"{self.threshold:g} from {self.file}: at most {rate_in_words(self.budget)} of the site's normal tissue "
            f"({amount(self.tissue_mm2, 2)} mm² on {counted(self.slides, 'slide')})"
        )

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read it from a run record.

        Raises:
            JsonError: a value is missing or impossible.
        """
        return cls(
            threshold=table.number("threshold", low=0),
            file=table.text("file"),
            sha256=table.text("sha256"),
            budget=table.number("budget", low=0),
            tissue_mm2=table.number("tissue_mm2", low=0),
            slides=table.whole("slides", low=1),
        )

    def to_json(self) -> dict[str, Json]:
        """What run records and files of results say."""
        return asdict(self)


def rate_in_words(per_mm2: float) -> str:
    """A number of false positives per mm², in words."""
    return f"{per_mm2:g} false positive{'' if per_mm2 == 1 else 's'} per mm²"
