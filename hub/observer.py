"""Whom the hub reports to: metrics, logs and the live page listen here; the hub knows none of them."""

from typing import Protocol

from hub.facts import HubFact


class Observer(Protocol):
    def observe(self, fact: HubFact) -> None:
        """Returns at once and never raises; called on the event loop, in the order in which things happened."""
