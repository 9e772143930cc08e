"""The demo: daemon, stand-ins of the push services, phones and sample events in one process; read `run.py` first."""
