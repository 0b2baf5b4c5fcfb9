"""Reports for people: single HTML files that need no other file and no network.

Importing this package loads none of it: the viewer serves reports also where the library that makes them is missing.
"""
