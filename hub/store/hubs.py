"""The numbers by which rows name their hub."""

import sqlite3
from collections.abc import Iterable


def hub_id(connection: sqlite3.Connection, name: str) -> int:
    """The hub's number; a hub is known from its first mention on, for configuration says which hubs there are.

    Names compare without case, and the last spelling stays: what is leased says the hub as the configuration does.
    """
    found = connection.execute("SELECT id, name FROM hub WHERE name = ?", (name,)).fetchone()
    if found is None:
        found = connection.execute("INSERT INTO hub (name) VALUES (?) RETURNING id, name", (name,)).fetchone()
    elif found[1] != name:
        connection.execute("UPDATE hub SET name = ? WHERE id = ?", (name, found[0]))
    return int(found[0])


def spell_hubs(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Know these hubs by these spellings."""
    for name in names:
        hub_id(connection, name)


def known_hub_id(connection: sqlite3.Connection, name: str) -> int | None:
    """As `hub_id`, for readers: None when nothing was ever written for it."""
    found = connection.execute("SELECT id FROM hub WHERE name = ?", (name,)).fetchone()
    return None if found is None else int(found[0])
