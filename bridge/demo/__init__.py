"""The demo: daemon, stand-ins, phones and backend systems in one process; read `run.py` first."""
