"""Judging a model on annotated images that the project does not have: `scripts/experiments/judge_digestpath.py`."""
