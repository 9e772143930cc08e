"""Events seen before, in SQL: a table a bucket of time, dropped whole when the window has passed."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from hub.identity import digest_of, joined

_BUCKETS_IN_WINDOW = 6
"""More buckets keep less beyond the window, fewer make each look-up cheaper: an event is sought in all of them."""

_CHUNK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWindow:
    """How long, in seconds, a repeated event is known as such, and how many events are remembered at most."""

    seconds: float = 24 * 3600.0
    max_rows: int = 20_000_000


def seen_key(source: str, event_id: str) -> bytes:
    """What an event is remembered by; `source` is one text, or several that `joined` made one."""
    return digest_of(f"{source}\0{joined(event_id)}")


def seen_among(connection: sqlite3.Connection, keys: Sequence[bytes], *, window: SeenWindow, now: float) -> set[bytes]:
    """Those of `keys` that were remembered within the window, or a bucket's time longer ago."""
    found: set[bytes] = set()
    # Old buckets are passed over here too: while nothing new comes, nobody drops them.
    buckets = connection.execute("SELECT id FROM seen_bucket WHERE opened_at >= ?", (_first_open(window, now),))
    for (bucket,) in buckets.fetchall():
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = connection.execute(f"SELECT key FROM seen_{bucket:d} WHERE key IN ({marks})", chunk)
            found.update(key for (key,) in rows)
    return found


def remember(connection: sqlite3.Connection, keys: Sequence[bytes], *, window: SeenWindow, now: float) -> None:
    """Mark events as seen; forget whole buckets that lie before the window or over the bound."""
    buckets = connection.execute("SELECT id, opened_at, row_count FROM seen_bucket ORDER BY id").fetchall()
    newest = buckets[-1] if buckets else None
    room = window.max_rows // _BUCKETS_IN_WINDOW
    if newest is None or now - newest[1] > _span(window) or newest[2] >= room:
        bucket = 1 if newest is None else newest[0] + 1
        connection.execute(f"CREATE TABLE seen_{bucket:d} (key BLOB PRIMARY KEY) STRICT, WITHOUT ROWID")
        connection.execute("INSERT INTO seen_bucket (id, opened_at) VALUES (?, ?)", (bucket, now))
        _forget(connection, buckets, window, now)
    else:
        bucket = newest[0]
    connection.executemany(f"INSERT OR IGNORE INTO seen_{bucket:d} (key) VALUES (?)", [(key,) for key in keys])
    connection.execute("UPDATE seen_bucket SET row_count = row_count + ? WHERE id = ?", (len(keys), bucket))


def _forget(
    connection: sqlite3.Connection, buckets: Sequence[tuple[int, float, int]], window: SeenWindow, now: float
) -> None:
    """Drop, oldest first, the buckets before the window, and those in whose place the rows of a new one come."""
    total = sum(rows for _, _, rows in buckets) + window.max_rows // _BUCKETS_IN_WINDOW
    for bucket, opened_at, rows in buckets:
        if opened_at >= _first_open(window, now) and total <= window.max_rows:
            return
        connection.execute(f"DROP TABLE seen_{bucket:d}")
        connection.execute("DELETE FROM seen_bucket WHERE id = ?", (bucket,))
        total -= rows


def _span(window: SeenWindow) -> float:
    """Seconds for which a bucket takes events."""
    return window.seconds / _BUCKETS_IN_WINDOW


def _first_open(window: SeenWindow, now: float) -> float:
    """When the oldest bucket that may hold something of the window was opened."""
    return now - window.seconds - _span(window)
