"""What a model file promises, finding one, and running it."""
