"""The schema's versions: `NNNN_name.sql`, applied in order, each in a transaction with the version it leads to."""

import sqlite3
from importlib.resources import files

from hub.errors import StoreError


def migrations() -> list[tuple[int, str]]:
    """(version, SQL) of all that ship, in order."""
    found = [entry for entry in files(__name__).iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in found)


def rewrite_version(connection: sqlite3.Connection) -> None:
    """Write the version that is there already: a commit to disk that changes nothing."""
    (current,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {current}")


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the database to the newest version and return that; the version lives in SQLite's `user_version`.

    Raises: StoreError: the database is of a newer version than this program knows.
    """
    (current,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    newest = known[-1][0]
    if current > newest:
        raise StoreError(
            f"the database has schema version {current}, this program knows versions up to {newest}: run the newer program"
        )
    for version, sql in known:
        if version > current:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {version};\nCOMMIT;")
    return newest
