"""One slide: tissue, tiles, the model on each, and the merge of what it finds."""
