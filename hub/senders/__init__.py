"""Push services, one a file. Read `base.py` first."""
