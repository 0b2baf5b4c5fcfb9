"""Scanning many slides: finds them, scans each in a process that may crash, and resumes interrupted runs."""
