"""Notifications of remote hubs: handed over whole, tried again from the store, never given up silently."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.acceptance import Reason
from hub.backoff import doubled
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.refused import letter_of
from hub.delivery.retry import RetryPolicy
from hub.facts import PushesDeferred, RemoteAnswered
from hub.guards import Guards, guarded
from hub.notification import Notification
from hub.observer import Observer
from hub.outcome import OutcomeName, Reaction, State
from hub.push import DELIVERED, SendResult
from hub.store.contracts.outbox import PageResult, Work
from hub.work import Lane

_DEFERRED = 1.0
_GRAIN = 0.25

_AGAIN = (Reaction.RETRY, Reaction.THROTTLED)


@dataclass(slots=True)
class RemoteResult:
    """What became of a batch: pieces that ended, and by seconds of delay those to be handed over again."""

    started_at: float
    ended: list[PageResult] = field(default_factory=list)
    again: dict[float, list[Work]] = field(default_factory=dict)

    def postpone(self, piece: Work, delay: float) -> None:
        """Delays are rounded up, so that a thousand pieces are not a thousand transactions."""
        self.again.setdefault(math.ceil(max(0.0, delay) / _GRAIN) * _GRAIN, []).append(piece)


class RemoteDelivery:
    """The outbox's way out. A notification keeps its id, which the other side knows a repetition by."""

    def __init__(
        self,
        remotes: Mapping[str, Bulkhead[Sequence[Notification]]],
        *,
        guards: Guards | None = None,
        policy: RetryPolicy,
        observer: Observer,
        clock: Callable[[], float],
        store_clock: Callable[[], float],
    ) -> None:
        self._remotes = remotes
        self._guards = {} if guards is None else guards
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._store_clock = store_clock
        self._since = clock()

    async def hand_over(self, work: Sequence[Work]) -> RemoteResult:
        """Hand over notifications of one hub, those that its bulkhead admits; of a hub that is nowhere, none."""
        bulkhead = self._remotes.get(work[0].notification.hub)
        admitted = []
        now = self._clock()
        remote_result = RemoteResult(started_at=self._store_clock())
        if bulkhead is None:
            for piece in work:
                self._end(remote_result, piece, OutcomeName.ABANDONED, Reason.HUB_REJECT, "not configured any more")
            return remote_result
        for piece in work:
            if now >= self._gives_up_at(piece):
                detail = ": ".join(filter(None, ("not taken in time", bulkhead.trouble)))
                self._end(remote_result, piece, OutcomeName.ABANDONED, Reason.EXPIRED, detail)
            elif bulkhead.admit(Lane.SINGLE):
                admitted.append(piece)
            else:
                due_at = min(max(now + _DEFERRED, bulkhead.closed_until), self._gives_up_at(piece))
                remote_result.postpone(piece, due_at - now)
                if bulkhead.is_open and not piece.was_deferred:
                    self._observer.observe(
                        PushesDeferred(
                            notification=piece.notification, platform=None, reason=bulkhead.trouble, due_at=due_at
                        )
                    )
        if admitted:
            sent_at = self._clock()
            verdict = await bulkhead.send(
                Lane.SINGLE, [guarded(piece.notification, self._guards) for piece in admitted]
            )
            seconds = self._clock() - sent_at
            for position, piece in enumerate(admitted):
                self._take(remote_result, bulkhead, piece, verdict.exceptions.get(position, DELIVERED), seconds)
        return remote_result

    def _take(
        self,
        remote_result: RemoteResult,
        bulkhead: Bulkhead[Sequence[Notification]],
        piece: Work,
        result: SendResult,
        seconds: float,
    ) -> None:
        if result.reaction is Reaction.DELIVERED:
            remote_result.ended.append(
                PageResult(work=piece, counts={}, state=State.COMPLETED, started_at=remote_result.started_at)
            )
            self._tell(piece, result.outcome, result.reason, due_at=None, seconds=seconds)
        elif result.reaction in _AGAIN or result.lane_wide:
            piece.attempt += 1
            due_at = min(max(self._due_at(piece, result), bulkhead.closed_until), self._gives_up_at(piece))
            remote_result.postpone(piece, due_at - self._clock())
            self._tell(piece, result.outcome, result.reason, due_at=due_at, seconds=seconds)
        else:
            self._end(remote_result, piece, result.outcome, Reason.HUB_REJECT, result.reason, seconds)

    def _due_at(self, piece: Work, result: SendResult) -> float:
        """When to try again, at the latest when it is given up.

        The wait doubles with each try that is known. The outbox counts none: there it grows with the age, which does
        about the same.
        """
        now = self._clock()
        doubling = doubled(piece.attempt, first=self._policy.base, longest=self._policy.cap)
        window = min(self._policy.cap, max(doubling, now - self._began_at(piece)))
        wait = random.uniform(0.5, 1.0) * window if result.retry_after is None else result.retry_after
        return min(now + wait, self._gives_up_at(piece))

    def _gives_up_at(self, piece: Work) -> float:
        # No process was there before this one: work that waited for it, tried or not, is not given up for that.
        began_at = max(self._began_at(piece), self._since)
        expires_at = piece.notification.expires_at
        return self._policy.gives_up_at(
            began_at, None if expires_at is None else expires_at.timestamp() + self._clock() - self._store_clock()
        )

    def _began_at(self, piece: Work) -> float:
        """Since when it could have been handed over: what is scheduled does not age while it waits for its time."""
        schedule_at = piece.notification.schedule_at
        began_at = piece.accepted_at if schedule_at is None else max(piece.accepted_at, schedule_at.timestamp())
        return self._clock() - (self._store_clock() - began_at)

    def _end(
        self,
        remote_result: RemoteResult,
        piece: Work,
        outcome: OutcomeName,
        reason: Reason,
        detail: str,
        seconds: float = 0.0,
    ) -> None:
        """A notification that the other side will not have is kept as a dead letter, so that it is not just gone."""
        notification = piece.notification
        remote_result.ended.append(
            PageResult(
                work=piece,
                counts={},
                state=State.ABANDONED,
                started_at=remote_result.started_at,
                dead_letter=letter_of(notification, reason, detail, accepted_at=piece.accepted_at),
            )
        )
        self._tell(piece, outcome, detail, due_at=None, seconds=seconds)

    def _tell(self, piece: Work, outcome: OutcomeName, reason: str, *, due_at: float | None, seconds: float) -> None:
        self._observer.observe(
            RemoteAnswered(
                notification=piece.notification, outcome=outcome, reason=reason, due_at=due_at, seconds=seconds
            )
        )
