"""What other systems are told of notifications and devices; `reporter.py` says what, `sinks.py` publishes it."""
