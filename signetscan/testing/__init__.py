"""What tests and scripts share: small models, slides with known cells, the experiment on missing labels.

Nothing else in the package imports it.
"""
