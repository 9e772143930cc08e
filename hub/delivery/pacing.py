"""Rates of rules and hubs: what is over one waits in the store, in a place of its own, and delays nothing else.

A notification whose turn comes before its rate allows it is put into a place that stands for its hub and rule, beside the
places of push services: like those of a closed service its rows are not even read until some may pass. What has passed is
not asked again: a retry is no new push, and neither is what waits for a push service.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hub.identity import digest_of
from hub.notification import PLATFORM_NAMED, Notification
from hub.rate import Rate, RateLimiter
from hub.store.contracts.outbox import PACED, Audience, Service, Work

_BETWEEN_LOOKS = 1.0
"""Seconds whose share passes at once, at least: a busy process looks at the store no more often."""

MOST = 10**9
"""What is taken at once where no rate is in force any more: the lane has bounds of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pushes a second, by the names of rules and of hubs (in lower case), for those that have a rate."""

    rules: Mapping[str, Rate] = field(default_factory=dict)
    hubs: Mapping[str, Rate] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rules or self.hubs)


class Pacing:
    """Token buckets, of which `sharers` processes of a fleet have equal parts. Not frozen: what passes counts.

    One unit is a push. A notification passes whole where one push may, and what comes next then waits for the longer: the
    average is right, and no audience is cut.
    """

    def __init__(self, rates: Rates, *, sharers: Callable[[], int], clock: Callable[[], float]) -> None:
        self._sharers, self._clock = sharers, clock
        self._rules: dict[str, RateLimiter] = {}
        self._hubs: dict[str, RateLimiter] = {}
        self._places: dict[Service, tuple[str, str]] = {}  # hub and rule, of places that were asked for
        self.apply(rates)

    def __bool__(self) -> bool:
        return bool(self._rules or self._hubs)

    def apply(self, rates: Rates) -> None:
        """Keep to these from now on; a rate that stays keeps what has passed already."""
        for limiters, given in ((self._rules, rates.rules), (self._hubs, rates.hubs)):
            for name in limiters.keys() - given.keys():
                del limiters[name]
            for name, rate in ((name, _looked_at(rate)) for name, rate in given.items()):
                if name in limiters:
                    limiters[name].change(rate)
                else:
                    limiters[name] = RateLimiter(rate, sharers=self._sharers, clock=self._clock)

    def place_of(self, notification: Notification) -> Service | None:
        """Where it waits when its rate allows no more; None: no rate is for it."""
        hub, rule = notification.hub, notification.rule if notification.rule in self._rules else ""
        if not rule and hub not in self._hubs:
            return None
        place = (hub, PLATFORM_NAMED[PACED + (digest_of(rule).hex()[:16] if rule else "")])
        self._places[place] = (hub, rule)
        return place

    def room(self, place: Service) -> int:
        """How many pushes may pass there now."""
        return min((limiter.available for limiter in self._limiters(place)), default=MOST)

    def passes(self, notification: Notification, pushes: int) -> None:
        """So many pushes of a notification pass."""
        if (place := self.place_of(notification)) is not None:
            for limiter in self._limiters(place):
                limiter.take(pushes)

    def wanted(self, waiting: Mapping[Service, int], most: int) -> dict[Service | None, int]:
        """How many notifications to take of each place in which some wait."""
        wanted: dict[Service | None, int] = {
            place: min(self.room(place), count, most) for place, count in waiting.items()
        }
        return {place: count for place, count in wanted.items() if count > 0}

    def may_take_pages(self, hub: str) -> bool:
        """Whether a page of a broadcast of a hub may be taken."""
        limiter = self._hubs.get(hub)
        return limiter is None or limiter.available > 0

    def wait_for_page(self, notification: Notification, pushes: int) -> float:
        """Seconds until a page in hand may begin; 0 for now, and then it counts as passed."""
        limiter = self._rules.get(notification.rule)
        seconds = 0.0 if limiter is None else limiter.wait()
        if not seconds:
            self.passes(notification, pushes)
        return seconds

    def sort(
        self, work: Sequence[Work], audiences: Sequence[Audience], waiting: Collection[Service]
    ) -> tuple[list[tuple[Work, Audience]], dict[Service, list[Work]]]:
        """What may go on now, and what is to wait, by place. Where some wait already (`waiting`) a new one goes behind."""
        going: list[tuple[Work, Audience]] = []
        behind: dict[Service, list[Work]] = {}
        for piece, audience in zip(work, audiences, strict=True):
            place = self.place_of(piece.notification) if _is_asked(piece) and audience.size else None
            if place is not None and not self._may_pass(piece, place, waiting, behind):
                behind.setdefault(place, []).append(piece)
                continue
            if place is not None:
                self.passes(piece.notification, audience.size)
            going.append((piece, audience))
        return going, behind

    def _may_pass(self, piece: Work, place: Service, waiting: Collection[Service], behind: Collection[Service]) -> bool:
        is_first = piece.service == place or (place not in waiting and place not in behind)
        return is_first and self.room(place) > 0

    def _limiters(self, place: Service) -> list[RateLimiter]:
        hub, rule = self._places.get(place, ("", ""))
        found = (self._rules.get(rule), self._hubs.get(hub))
        return [limiter for limiter in found if limiter is not None]

    def said(self, hub: str, rule: str, waiting: Mapping[Service, int]) -> list[str]:
        """In words, what a notification of a hub and rule waits for: each rate, and about when all that waits is out."""
        said = []
        for kind, name, limiter in (("rule", rule, self._rules.get(rule)), ("hub", hub, self._hubs.get(hub))):
            if limiter is not None and limiter.rate is not None:
                count = sum(count for place, count in waiting.items() if self._is_of(place, kind, name))
                if count:
                    seconds = count / limiter.rate.per_second
                    said.append(
                        f"rate of {kind} {name}: {limiter.rate.per_second:g} pushes a second, {count} notifications wait,"
                        f" {seconds:.0f} s at least"
                    )
        return said

    def _is_of(self, place: Service, kind: str, name: str) -> bool:
        hub, rule = self._places.get(place, ("", ""))
        return name == (rule if kind == "rule" else hub)


def _looked_at(rate: Rate) -> Rate:
    """With a burst that lasts until the next look at what waits: with less, what passes between two looks would be lost."""
    least = math.ceil(rate.per_second * _BETWEEN_LOOKS)
    return rate if rate.size >= least else Rate(per_second=rate.per_second, burst=least)


def _is_asked(piece: Work) -> bool:
    """Whether the piece has not passed before: it has not begun, and waits for no push service."""
    is_new = not piece.number and piece.ordinals is None
    return is_new and (piece.service is None or is_paced(piece.service))


def is_paced(service: Service) -> bool:
    """Whether it is no push service, but a place in which notifications wait for their rate."""
    return service[1].value.startswith(PACED)
