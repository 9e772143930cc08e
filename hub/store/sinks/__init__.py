"""Reports that wait to be published to sinks; read `sinks.py` first."""
