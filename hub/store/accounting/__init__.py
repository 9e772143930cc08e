"""Whether the rows of the store explain each other: read `accounting.py`."""
