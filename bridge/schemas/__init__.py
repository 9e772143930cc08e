"""The schema registry that says what bodies of a source mean; read `registry.py` first.

A lookup is I/O and happens before a message is decoded; what was looked up is kept, and decoding asks what is kept.
"""
