"""Follow-ups of one notification, for who asks why its phones were told of, or will be."""

from collections.abc import Sequence

from hub.follow_up import FollowedPushes, KeptFollowUp
from hub.store.connection import Connection, Statement

OF_NOTIFICATION = Statement(
    "follow_up.of_notification",
    "SELECT about, sinks, sent_at, due, ended_at, told, opened FROM follow_up"
    " WHERE queue = :queue AND notification = :n ORDER BY sent_at, page, about",
)


def follow_ups_of(connection: Connection, queue: int, n: int) -> Sequence[KeptFollowUp]:
    """In order of time."""
    return [
        KeptFollowUp(
            about=FollowedPushes(about),
            sinks=sinks.split(","),
            sent_at=sent_at,
            due=due,
            ended_at=ended_at,
            told=told or 0,
            opened=opened or 0,
        )
        for about, sinks, sent_at, due, ended_at, told, opened in connection.read(OF_NOTIFICATION, queue=queue, n=n)
    ]
