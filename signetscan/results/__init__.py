"""Results of a slide: the run record and the files beside it, written and read back."""
