"""Persons: all that is kept of one. Read `people.py` first; `finding.py` reads, `erasing.py` deletes a slice at a time."""
