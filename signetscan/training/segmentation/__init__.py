"""Training networks that segment tissue, from images with masks."""
