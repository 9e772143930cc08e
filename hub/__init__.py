"""The notification hub: registry, audiences, templates, dispatch. Read `engine.py` first."""
