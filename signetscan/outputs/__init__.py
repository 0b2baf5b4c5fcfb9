"""Writing results: every file appears under its name only when it is whole."""
