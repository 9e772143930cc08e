"""What is told of the process: metrics, log, recent events."""
