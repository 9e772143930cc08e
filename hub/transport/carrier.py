"""What carries requests to an origin: one HTTP/2 connection, or all HTTP/1.1 connections together."""

from typing import Protocol

from hub.requests import RequestGroup
from hub.transport.feed import Feed
from hub.transport.requests import Batch


class Carrier(Protocol):
    """Begins requests, and gives their batches the answers."""

    @property
    def answered_at(self) -> float:
        """When an answer came last, in the loop's time."""

    @property
    def room(self) -> int:
        """How many more requests it takes now."""

    @property
    def is_new(self) -> bool:
        """Whether `room` will grow once the first request is answered."""

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet."""

    def begin(self, feed: Feed, group: RequestGroup, limit: int) -> int:
        """Take up to `limit` requests of a group, for the next `start`; how many."""

    def start(self) -> None:
        """Send what was begun."""

    def batches(self) -> set[Batch]:
        """Those with requests that have no answer."""

    def give_up(self, batch: Batch) -> list[int]:
        """Take back the requests of a batch; the positions of those that had no answer."""

    def close(self) -> None:
        """Close the connections; nothing is to be under way on them."""
