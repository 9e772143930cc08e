"""What phones call with their user's token, and with no key of the hub: read `service.py` first."""
