"""Work that another process serves moves into a queue of that process.

Under both fences: the giver's, for an owner alone touches its work, and the taker's, so that the work does not land with
a process that has just claimed the queue and does not serve it either. A row keeps its number, which no other row has in
any queue.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hub.store.connection import Connection, Statement
from hub.store.decide.recording import Key
from hub.store.outbox.queues import Queues

HOLDERS = Statement(
    "queue.holders", "SELECT queue, owner, fence FROM queue WHERE queue IN (:keys)", columns=(("queue", "bigint"),)
)
"""On PostgreSQL FOR SHARE, as each look at a fence."""
_MOVE = "SET queue = :to, due = CASE WHEN due < :now THEN :now ELSE due END"
_COLUMNS = (("to", "bigint"), ("now", "double precision"), ("queue", "bigint"), ("n", "bigint"))
PASS_NOTIFICATION = Statement(
    "notification.pass_on",
    f"UPDATE notification {_MOVE} WHERE queue = :queue AND n = :n AND due IS NOT NULL RETURNING n",
    columns=_COLUMNS,
)
"""Due since now, so that its new owner finds it with the next look: what was due before, that one has passed."""
PASS_PAGE = Statement(
    "page.pass_on",
    f"UPDATE page {_MOVE} WHERE queue = :queue AND number = :n AND due IS NOT NULL RETURNING number",
    columns=_COLUMNS,
)
_OF_NOTIFICATION = (("to", "bigint"), ("queue", "bigint"), ("n", "bigint"))
PASS_FAILURES = Statement(
    "failure.pass_on",
    "UPDATE failure SET queue = :to WHERE queue = :queue AND notification = :n",
    columns=_OF_NOTIFICATION,
)
PASS_ADDRESSEES = Statement(
    "addressee.pass_on",
    "UPDATE addressee SET queue = :to WHERE queue = :queue AND notification = :n",
    columns=_OF_NOTIFICATION,
)


PASS_APPROVALS = Statement(
    "approval.pass_on",
    "UPDATE approval SET queue = :to WHERE queue = :queue AND notification = :n",
    columns=_OF_NOTIFICATION,
)


class Move(NamedTuple):
    """A row of work that goes from one queue into another, which has that owner."""

    queue: int
    n: int
    is_page: bool
    to: int
    owner: str


def pass_on(connection: Connection, moves: Sequence[Move], queues: Queues, *, now: float) -> set[Key]:
    """Which rows moved: those that are open still, while both queues have the owners that they are thought to have.

    A notification that waits has no pages yet: what names it by its queue moves with it.
    """
    keys = sorted({move.queue for move in moves} | {move.to for move in moves})
    holders = {queue: (owner, fence) for queue, owner, fence in connection.read_by_keys(HOLDERS, keys)}
    possible = [
        move
        for move in moves
        if holders.get(move.queue) == (queues.owner, queues.fences.get(move.queue))
        and holders[move.to][0] == move.owner
    ]
    passed: set[Key] = set()
    for is_page, statement in ((True, PASS_PAGE), (False, PASS_NOTIFICATION)):
        chosen = [move for move in possible if move.is_page is is_page]
        rows = connection.update_many(statement, [(move.to, now, move.queue, move.n) for move in chosen])
        numbers = {n for (n,) in rows}
        moved = [move for move in chosen if move.n in numbers]
        passed |= {(move.queue, move.n) for move in moved}
        if moved and not is_page:
            theirs = [(move.to, move.queue, move.n) for move in moved]
            connection.write_all(
                [(statement, theirs) for statement in (PASS_FAILURES, PASS_ADDRESSEES, PASS_APPROVALS)]
            )
    return passed
