"""A made-up decoder: `name=value` pairs, a line each. Read `reader.py`."""
