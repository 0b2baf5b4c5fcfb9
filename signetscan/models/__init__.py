"""Model files: their contract, finding one, loading it and running it."""
