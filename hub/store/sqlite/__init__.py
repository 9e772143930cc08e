"""The store's database in one SQLite file, through apsw. Read `database.py` first.

`apsw` is imported by the modules of this package alone, and they are imported when a store is opened.
"""
