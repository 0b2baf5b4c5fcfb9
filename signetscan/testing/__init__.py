"""Helpers of tests and scripts: small models, and scans of slides with known cells.

No other package imports them.
"""
