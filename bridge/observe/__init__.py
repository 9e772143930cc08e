"""What is reported of the process: metrics, log, recent events."""
