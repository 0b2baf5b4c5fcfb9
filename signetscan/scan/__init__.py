"""Scanning one slide: find the tissue, run the model on its tiles, and merge their detections."""
