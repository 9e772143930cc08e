"""Jobs that export and import registrations, in rows. Read `jobs.py`."""
