"""Rules: an event in, a decision out; pure. Read `engine.py` first."""
