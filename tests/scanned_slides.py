"""Scanned slides as writers get them, drawn at random for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from signetscan.detections import Detections
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "a \"b\" 'c'",
    "%s %d 100 %",
    "&amp;",
    "]]>",
    "Ünïcode é 胃 🙂",
]
CONTROLS = ["a\nb", "\tx\r\n", "nul\0", "\x1b[2Jx", "\x7f", "\ufffe", "back\\slash", "None", "x" * 300]
CLASS_NAMES = st.sampled_from(HOSTILE + CONTROLS) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)


def scanned(
    boxes: Sequence[Sequence[float]] = (),
    scores: Sequence[float] = (),
    labels: Sequence[int] = (),
    **changes: Any,  # noqa: ANN401
) -> ScannedSlide:
    """A slide with some detections."""
    values: dict[str, Any] = {
        "name": "a slide",
        "detections": Detections(
            boxes=np.array(boxes, np.float64).reshape(-1, 4),
            scores=np.array(scores, np.float32),
            labels=np.array(labels, np.int64),
        ),
        "class_names": ("Signet ring cell",),
        "model": "test",
        "model_sha256": "0" * 64,
        "fingerprint": "f",
        "mpp": Mpp(0.25, 0.25),
        "dimensions": (120_000, 90_000),
    }
    return ScannedSlide(**(values | changes))


def many(count: int, *, classes: int = 1, seed: int = 0, **changes: Any) -> ScannedSlide:  # noqa: ANN401
    """A slide with so many detections of random size, place, score and class, with the decimals of a scan."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, (119_000, 89_000), (count, 2)).round(2)
    boxes = np.concatenate([low, low + rng.uniform(20, 120, (count, 2))], axis=1).round(2)
    labels = rng.integers(0, classes, count)
    names = tuple(f"Class {number}" for number in range(classes))
    found = Detections(boxes=boxes, scores=rng.random(count).round(4).astype(np.float32), labels=labels)
    return scanned(**({"class_names": names} | changes | {"detections": found}))


@st.composite
def scanned_slides(draw: st.DrawFn, names: st.SearchStrategy[str] = CLASS_NAMES) -> ScannedSlide:
    """A slide of up to a million pixels a side, with up to a dozen detections of up to three classes."""
    class_names = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    hundredths = st.integers(0, 100_000_000)
    table = draw(
        st.lists(
            st.tuples(
                hundredths,
                hundredths,
                st.integers(1, 50_000),
                st.integers(1, 50_000),
                st.integers(0, 10_000),
                st.integers(0, len(class_names) - 1),
            ),
            max_size=12,
        )
    )
    return scanned(
        [[x / 100, y / 100, (x + w) / 100, (y + h) / 100] for x, y, w, h, _, _ in table],
        [row[4] / 10_000 for row in table],
        [row[5] for row in table],
        class_names=tuple(class_names),
        dimensions=draw(st.sampled_from([(1_001_000, 1_001_000), (1_001_000, 1_000_500)])),
        mpp=Mpp(0.2527, 0.2531),
    )
