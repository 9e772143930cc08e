"""Registrations of another hub, brought over or compared: read `listing.py` first, then `taking.py`."""
