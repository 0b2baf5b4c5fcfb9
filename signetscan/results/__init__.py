"""Results of a slide: the run record, and writing and reading back everything beside it."""
