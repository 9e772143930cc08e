"""One fact, one call: hands each fact to those that take facts of its kind."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.observe.facts import Fact

Takes = Mapping[type[Any], Callable[[Any], None]]
"""By class of fact, the method that takes one of it."""


class Taker(Protocol):
    """Metrics, log, recent events; a taker leaves out the facts it has no use for."""

    @property
    def takes(self) -> Takes: ...


class Telemetry:
    """The observer of all parts. The takers hear of a fact in the order in which they are given here."""

    def __init__(self, *takers: Taker) -> None:
        self._takes: dict[type[Any], tuple[Callable[[Any], None], ...]] = {}
        for taker in takers:
            for kind, take in taker.takes.items():
                self._takes[kind] = (*self._takes.get(kind, ()), take)

    def observe(self, fact: Fact) -> None:
        """Returns at once."""
        for take in self._takes.get(type(fact), ()):
            take(fact)
