"""Notifications with one push each, from audience to result by columns: nearly all that events cause are such.

What does not go well takes the way of all others, from where it did not: a push that cannot be made or has no place before
its page is made, a push that is not delivered once its verdict is there.
"""

from collections.abc import Callable, Mapping, Sequence

from pyroaring import BitMap

from hub.content.rendering import Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.send_batch import SendBatch
from hub.facts import AudiencesFound, PushesDelivered
from hub.notification import Platform
from hub.observer import Observer
from hub.outcome import OutcomeName
from hub.push import PushGroup, PushPage
from hub.store.contracts.outbox import Audience, PageResult, Service, Work
from hub.target import Target
from hub.trace_context import is_sampled

CHUNK = 64
"""Single pushes that are recorded together: one that is slow holds up no more than these."""

Pair = tuple[Work, Audience]
_Made = tuple[Work, Target, PushGroup, str]

_DELIVERED: dict[Platform, Mapping[Platform, Mapping[OutcomeName, int]]] = {}
_TO_ONE: dict[Platform, Mapping[Platform, int]] = {}


class SinglePushes:
    """Plans single pushes, and ends those that were delivered. `done` gets the results of a page."""

    def __init__(
        self,
        bulkheads: Mapping[Service, Bulkhead[PushPage]],
        rendering: Rendering,
        *,
        observer: Observer,
        done: Callable[[Sequence[PageResult]], None],
    ) -> None:
        self._bulkheads = bulkheads
        self._rendering = rendering
        self._observer = observer
        self._done = done

    def plan(self, batch: Sequence[Pair], *, now: float, max_age: float) -> tuple[list[SendBatch], list[Pair]]:
        """Pages of those pushes that have their places, and the pairs that take the way of all others.

        `now` is the store's time. The audiences' templates were prepared.
        """
        rest: list[Pair] = []
        by_service: dict[Service, list[Pair]] = {}
        for pair in batch:
            piece, audience = pair
            if _is_single(piece, audience) and now - piece.accepted_at < max_age:
                service = (piece.notification.hub, audience.targets[0].platform)
                mine = by_service.get(service)
                if mine is None:
                    by_service[service] = [pair]
                else:
                    mine.append(pair)
            else:
                rest.append(pair)
        sends: list[SendBatch] = []
        for service, pairs in by_service.items():
            bulkhead = self._bulkheads.get(service)
            if bulkhead is None or not bulkhead.takes_any:
                rest += pairs
            else:
                sends += self._sends(service, bulkhead, pairs, rest, now)
        return sends, rest

    def _sends(
        self, service: Service, bulkhead: Bulkhead[PushPage], pairs: Sequence[Pair], rest: list[Pair], now: float
    ) -> list[SendBatch]:
        """Pages of the pushes that one service admits; the pairs of the others are added to `rest`."""
        made: list[_Made] = []
        for pair in pairs:
            piece, (target,) = pair[0], pair[1].targets
            try:
                rendered = self._rendering.single(piece.notification, target)
            except Exception:  # a defect, which the other way meets again, and reports
                rendered = None
            if rendered is None:
                rest.append(pair)
            else:
                made.append((piece, target, *rendered))
        admitted = bulkhead.admit_each(len(made))
        if admitted < len(made):
            left = {id(each[0]) for each in made[admitted:]}
            rest += [pair for pair in pairs if id(pair[0]) in left]
            made = made[:admitted]
        if made:
            platform = service[1]
            to_one = _TO_ONE.setdefault(platform, {platform: 1})
            self._observer.observe(AudiencesFound(found=[(piece.notification, to_one) for piece, _, _, _ in made]))
        return [_page(service, bulkhead, made[first : first + CHUNK], now) for first in range(0, admitted, CHUNK)]

    def end(self, send: SendBatch, now: float) -> None:
        """All pushes of a page were delivered; `now` is the store's time."""
        platform, started_at = send.platform, send.started_at
        counts = _DELIVERED.setdefault(platform, {platform: {OutcomeName.SUCCESS: 1}})
        self._observer.observe(
            PushesDelivered(
                platform=platform,
                pushes=[(work.notification, now - work.accepted_at) for work, _ in send.singles],
            )
        )
        self._done(
            [
                PageResult(work=work, counts=counts, done=1, ordinals=BitMap((target.ordinal,)), started_at=started_at)
                for work, target in send.singles
            ]
        )


def _page(service: Service, bulkhead: Bulkhead[PushPage], made: Sequence[_Made], now: float) -> SendBatch:
    page = PushPage(
        [target.push_channel for _, target, _, _ in made],
        [id_ for _, _, _, id_ in made],
        [(group, 1) for _, _, group, _ in made],
    )
    singles = [(piece, target) for piece, target, _, _ in made]
    return SendBatch(bulkhead, *service, page=page, singles=singles, started_at=now)


def _is_single(piece: Work, audience: Audience) -> bool:
    """Whether it is a notification for one phone, tried the first time, of which nothing else is to be said."""
    if len(audience.targets) != 1 or piece.ordinals is not None or piece.service is not None or piece.quiet_until:
        return False
    notification = piece.notification
    return (
        notification.quiet is None
        and notification.expires_at is None
        and notification.schedule_at is None
        and not (audience.skipped or audience.excluded)
        and not is_sampled(notification.trace)
    )
