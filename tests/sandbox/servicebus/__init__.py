"""The Service Bus stand-in: its parts alone, and as the unmodified SDK sees it; `bus.py` is what the latter share."""
