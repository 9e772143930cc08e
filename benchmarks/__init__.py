"""Figures of the whole daemon beside what bare tools do on the same servers. Read `__main__.py` first."""
