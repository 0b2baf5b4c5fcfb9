"""Parts of the experiment on missing labels: its methods, the dropping of boxes, windows, tables."""
