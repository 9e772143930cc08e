"""The numbers by which rows name their hub."""

import sqlite3


def hub_id(connection: sqlite3.Connection, name: str) -> int:
    """The hub's number; a hub is known from its first mention on, for configuration says which hubs there are."""
    known = known_hub_id(connection, name)
    if known is None:
        known = connection.execute("INSERT INTO hub (name) VALUES (?) RETURNING id", (name,)).fetchone()[0]
    return int(known)


def known_hub_id(connection: sqlite3.Connection, name: str) -> int | None:
    """As `hub_id`, for readers: None when nothing was ever written for it."""
    found = connection.execute("SELECT id FROM hub WHERE name = ?", (name,)).fetchone()
    return None if found is None else int(found[0])
