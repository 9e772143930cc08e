"""Rows of silences, and those that are in force, read within a transaction of the outbox."""

from collections.abc import Iterable

from hub.silence import Silence, SilenceAction
from hub.store.connection import Connection, Row, Statement

COLUMNS = "id, action, rule, source, hub, reason, actor, at, until, removed_by"

IN_FORCE = Statement(
    "silence.in_force",
    f"SELECT {COLUMNS} FROM silence WHERE removed_by IN (:keys) AND until > :steady ORDER BY id",
    columns=(("removed_by", "text"),),
)
BY_NOBODY = [""]
"""The key of `IN_FORCE`, by which it goes along with other reads by keys in their round trip."""


def in_force(connection: Connection, *, steady: float) -> list[Silence]:
    """Those that have begun and not ended."""
    return silences_of(connection.read_by_keys(IN_FORCE, BY_NOBODY, steady=steady))


def silences_of(rows: Iterable[Row]) -> list[Silence]:
    """Of the columns `COLUMNS`, with times as the rows have them."""
    return [
        Silence(
            id=id,
            action=SilenceAction(action),
            rule=rule,
            source=source,
            hub=hub,
            reason=reason,
            actor=actor,
            at=at,
            until=until,
            removed_by=removed_by,
        )
        for id, action, rule, source, hub, reason, actor, at, until, removed_by in rows
    ]
