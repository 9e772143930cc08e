"""Phones that users sign in with, as rows: read `phones.py` first."""
