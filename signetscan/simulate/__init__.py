"""Simulator of tissue with signet ring cells, of which every one is known."""
