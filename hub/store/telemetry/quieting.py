"""How much of a notification quiet hours hold, and until when, for lists of notifications and for who asks for one."""

from collections.abc import Sequence

from hub.outcome import State
from hub.quiet import quiet_of
from hub.store.connection import Connection, Statement
from hub.store.contracts.telemetry import QuietHold
from hub.store.decide.recording import Key
from hub.store.rows import SCHEDULED

HELD_OF = Statement(
    "page.held_of",
    "SELECT home, notification, sum(quiet_count), min(due), max(due) FROM page"
    " WHERE home = :home AND notification = :notification AND lane = :waiting AND service = '' AND due IS NOT NULL"
    " GROUP BY home, notification",
    columns=(("home", "bigint"), ("notification", "bigint"), ("waiting", "bigint")),
)


def held_whole(state: State, quiet: str | None, until: float | None) -> QuietHold | None:
    """The hold of a notification whose quiet hours are the same for all phones; None: nothing holds it as a whole."""
    if state is not State.SCHEDULED or quiet is None or until is None:
        return None
    return QuietHold(window=quiet_of(quiet).window.name, pushes=None, first_end=until, last_end=until)


def held_in_parts(connection: Connection, open_: Sequence[tuple[Key, str]]) -> dict[Key, QuietHold]:
    """The holds of notifications that have not ended, of each with its quiet hours as text; those that have none are left
    out. One round trip, and none where there is nothing to ask for."""
    if not open_:
        return {}
    windows = {key: quiet_of(quiet).window.name for key, quiet in open_}
    rows = connection.read_many(HELD_OF, [(*key, SCHEDULED) for key in windows])
    return {
        (home, n): QuietHold(window=windows[home, n], pushes=int(pushes), first_end=first, last_end=last)
        for home, n, pushes, first, last in rows
    }
