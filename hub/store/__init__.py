"""Where everything that must survive is kept. Read `base.py` first."""
