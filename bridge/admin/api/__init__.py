"""The admin API under `/api/v1`: JSON for the console, the command line and scripts; read `operation.py` first."""
