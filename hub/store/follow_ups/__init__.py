"""Pushes that are looked at again, to tell sinks of what was not opened; read `follow_ups.py` first."""
