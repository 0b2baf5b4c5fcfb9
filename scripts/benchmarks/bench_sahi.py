"""The same model through SAHI, for `bench_detect.py` to time.

    python scripts/benchmarks/bench_sahi.py SLIDE MODEL SCALE OVERLAP SIDE LEFT TOP WIDTH HEIGHT

To be run by a Python that has `sahi` and `signetscan[cpu]`. SAHI slices images in memory and knows no slides, so it
gets a part of one, read by OpenSlide: LEFT, TOP, WIDTH and HEIGHT, level-0 pixels, made SCALE times smaller. SIDE is a
slice's, OVERLAP its share that overlaps. Prints the seconds from reading to the last detection, without imports and
loading.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import openslide
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from signetscan.models.detector import load_detector
from signetscan.scan.merge import suppress


class Model(DetectionModel):  # type: ignore[misc] # sahi tells no types
    """A signetscan model file as SAHI wants models."""

    def load_model(self) -> None:
        """Open the session."""
        self.model = load_detector(str(self.model_path), device="cpu")
        self.category_mapping = {str(label): name for label, name in enumerate(self.model.spec.class_names)}

    def perform_inference(self, image: np.ndarray) -> None:
        """Detect in a slice."""
        threshold = self.model.spec.score_threshold
        self._original_predictions = [
            suppress(found, self.model.spec.nms_iou) for found in self.model.detect(np.stack([image]), threshold)
        ]

    def _create_object_prediction_list_from_original_predictions(
        self,
        shift_amount_list: Any = None,  # noqa: ANN401 - a list, or a list of lists
        full_shape_list: Any = None,  # noqa: ANN401
    ) -> None:
        shifts = shift_amount_list if isinstance(shift_amount_list[0], list) else [shift_amount_list]
        shapes = full_shape_list if isinstance(full_shape_list[0], list) else [full_shape_list]
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box,
                    category_id=label,
                    score=score,
                    category_name=self.category_mapping[str(label)],
                    shift_amount=shift,
                    full_shape=shape,
                )
                for box, score, label in zip(
                    found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
                )
            ]
            for found, shift, shape in zip(self._original_predictions, shifts, shapes, strict=True)
        ]


def main() -> None:
    """Time it."""
    path, model_path = sys.argv[1:3]
    scale, overlap = float(sys.argv[3]), float(sys.argv[4])
    side, left, top, width, height = (int(word) for word in sys.argv[5:])
    model = Model(model_path=model_path, confidence_threshold=0.0)
    started = time.perf_counter()
    picture = openslide.OpenSlide(path).read_region((left, top), 0, (width, height)).convert("RGB")
    image = np.array(picture.resize((round(width / scale), round(height / scale))))
    result = get_sliced_prediction(
        image,
        model,
        slice_height=side,
        slice_width=side,
        overlap_height_ratio=overlap,
        overlap_width_ratio=overlap,
        perform_standard_pred=False,
        postprocess_type="NMS",
        postprocess_match_metric="IOU",
        postprocess_match_threshold=model.model.spec.nms_iou,
        verbose=0,
    )
    print(time.perf_counter() - started, len(result.object_prediction_list))


if __name__ == "__main__":
    main()
