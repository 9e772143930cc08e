"""Lists paged by number, newest first: a part costs the same wherever it is, and however many rows there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.errors import InvalidRequestError
from hub.store.connection import Connection, Row, Statement

SCANNED = 20_000
"""Rows that a part with filters looks at, at most: others read with the same thread."""

_FIRST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The statements of a list; each knows `:after`, a number above all that are asked for.

    `rows` gives up to `:limit` rows that the filters let through, the largest number first, among those not below
    `:bottom`; a row begins with its number. `bottom` gives the number of the last of the next `:scanned` rows.
    """

    rows: Statement
    bottom: Statement
    newest: Statement


def listing(name: str, columns: str, source: str, *, where: str = "") -> Listing:
    """Of a `source` whose first table is `name` by the alias `t`, numbered by `n` within its queue."""
    return Listing(
        rows=Statement(
            f"{name}.list",
            f"SELECT {columns} FROM {source} WHERE t.queue = :queue AND t.n < :after AND t.n >= :bottom{where}"
            " ORDER BY t.n DESC LIMIT :limit",
        ),
        bottom=Statement(
            f"{name}.bottom",
            "SELECT min(n) FROM (SELECT t.n FROM"
            f" {name} t WHERE t.queue = :queue AND t.n < :after ORDER BY t.n DESC LIMIT :scanned) AS next",
        ),
        newest=Statement(f"{name}.newest", f"SELECT max(t.n) FROM {name} t WHERE t.queue = :queue AND t.n < :after"),
    )


def part(
    connection: Connection,
    listed: Listing,
    *,
    queue: int,
    after: str,
    limit: int,
    scanned: int = SCANNED,
    **filters: Any,
) -> tuple[Sequence[Row], str]:
    """Rows, and where to go on if there may be more. Raises: InvalidRequestError: `after` is no place of this list."""
    start = number_of(after)
    ((bottom,),) = connection.read(listed.bottom, queue=queue, after=start, scanned=scanned)
    if bottom is None:
        return [], ""
    rows = connection.read(listed.rows, queue=queue, after=start, bottom=bottom, limit=limit, **filters)
    reached = rows[-1][0] if len(rows) == limit else bottom
    ((more,),) = connection.read(listed.newest, queue=queue, after=reached)
    return rows, "" if more is None else str(reached)


def number_of(after: str) -> int:
    """Raises: InvalidRequestError: it is the place in another list."""
    if not after:
        return _FIRST
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise InvalidRequestError("the cursor is not one of this list")
    return int(after)
