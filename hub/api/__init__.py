"""The Notification Hubs wire protocol, a translation without logic of its own. Read `app.py` first."""
