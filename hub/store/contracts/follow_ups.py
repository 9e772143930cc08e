"""Pushes that are looked at again: whether their phones have opened them in time."""

from typing import Protocol

from hub.follow_up import FollowedUp, FollowUpUsage


class FollowUps(Protocol):
    """Written by `Outbox.record` and `Outbox.expand`, as the reporter says. Both methods may raise StoreError."""

    async def follow_up(self) -> FollowedUp:
        """Look at some of what is due in this process's queues. What sinks are to be told of it is written in the
        transaction that ends the follow-ups."""

    async def follow_up_usage(self) -> FollowUpUsage: ...
