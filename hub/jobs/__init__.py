"""Jobs that export and import the registrations of a hub. Read `runner.py` first."""
