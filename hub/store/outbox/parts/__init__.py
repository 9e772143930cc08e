"""What one process does with the work of its queues, an object a subject; `outbox.py` puts them together."""
