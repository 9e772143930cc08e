"""Operators' silences in the store. Read `silences.py` first; the outbox asks `reading.py` within its own transactions."""
