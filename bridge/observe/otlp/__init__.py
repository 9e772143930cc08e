"""Spans in the words of a collector: the one folder that needs the package extra `tracing`. Read `messages`."""
