"""File formats of detections: each written whole or not at all."""
