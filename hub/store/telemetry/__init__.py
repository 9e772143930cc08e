"""What is known of notifications and of what operators did. Read `browsing.py` first."""
