"""Lists paged by number, newest first: a part costs the same wherever it is, and however many rows there are."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.errors import InvalidRequestError
from hub.store.connection import Connection, Row, Statement

SCANNED = 20_000
"""Rows that a part with filters looks at, at most: others read with the same thread."""

_FIRST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The statements of a list, each for one queue; each knows `:after`, a number above all that are asked for.

    `rows` gives up to `:limit` rows that the filters let through, the largest number first, among those not below
    `:bottom`; a row begins with its number. `bottom` gives the number of the last of the next `:scanned` rows, and how many
    these are.
    """

    rows: Statement
    bottom: Statement
    newest: Statement


_QUEUE, _AFTER = ("queue", "bigint"), ("after", "bigint")


def listing(
    name: str, columns: str, source: str, *, where: str = "", filters: Mapping[str, str] | None = None
) -> Listing:
    """Of a `source` whose first table is `name` by the alias `t`, numbered by `n`; `filters` are the names that `where`
    knows, with their SQL types."""
    filtered = list((filters or {}).items())
    return Listing(
        rows=Statement(
            f"{name}.list",
            f"SELECT {columns} FROM {source} WHERE t.queue = :queue AND t.n < :after AND t.n >= :bottom{where}"
            " ORDER BY t.n DESC LIMIT :limit",
            columns=(_QUEUE, _AFTER, ("bottom", "bigint"), *filtered, ("limit", "bigint")),
        ),
        bottom=Statement(
            f"{name}.bottom",
            "SELECT min(n), count(*) FROM (SELECT t.n FROM"
            f" {name} t WHERE t.queue = :queue AND t.n < :after ORDER BY t.n DESC LIMIT :scanned) AS next",
            columns=(_QUEUE, _AFTER, ("scanned", "bigint")),
        ),
        newest=Statement(
            f"{name}.newest",
            f"SELECT max(t.n) FROM {name} t WHERE t.queue = :queue AND t.n < :after",
            columns=(_QUEUE, _AFTER),
        ),
    )


def part(
    connection: Connection,
    listed: Listing,
    *,
    queues: Sequence[int],
    after: str,
    limit: int,
    scanned: int = SCANNED,
    **filters: Any,
) -> tuple[Sequence[Row], str]:
    """Rows of all these queues, and where to go on if there may be more.

    Raises: InvalidRequestError: `after` is no place of this list.
    """
    start = number_of(after)
    bottom = _bottom(connection, listed, queues, start, scanned)
    if bottom is None:
        return [], ""
    values = [filters[name] for name, _ in listed.rows.columns[3:-1]]
    found = connection.read_many(listed.rows, [(queue, start, bottom, *values, limit) for queue in queues])
    rows = found if len(queues) == 1 else heapq.nlargest(limit, found, key=lambda row: int(row[0]))
    reached = rows[-1][0] if len(rows) == limit else bottom
    newest = connection.read_many(listed.newest, [(queue, reached) for queue in queues])
    return rows, "" if all(more is None for (more,) in newest) else str(reached)


def _bottom(connection: Connection, listed: Listing, queues: Sequence[int], start: int, scanned: int) -> int | None:
    """The number down to which about `scanned` rows below `start` are, None where there is none."""
    share = -(-scanned // len(queues))
    found = connection.read_many(listed.bottom, [(queue, start, share) for queue in queues])
    bottoms = [bottom for bottom, _ in found if bottom is not None]
    full = [bottom for bottom, rows in found if rows == share]
    return max(full) if full else min(bottoms, default=None)


def number_of(after: str) -> int:
    """Raises: InvalidRequestError: it is the place in another list."""
    if not after:
        return _FIRST
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise InvalidRequestError("the cursor is not one of this list")
    return int(after)
