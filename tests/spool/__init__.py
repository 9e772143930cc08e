"""A made-up connector: each file of a directory is a message. Read `entry.py`."""
