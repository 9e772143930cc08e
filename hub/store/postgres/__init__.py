"""The store's database in PostgreSQL, through psycopg. Read `database.py` first.

`psycopg` is imported by the modules of this package alone, and they are imported when such a store is opened.
"""
