"""Training a detector, and turning it into a model file. The only package that knows torch."""
