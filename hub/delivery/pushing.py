"""A batch while it is with the senders: work and audiences become pushes, and their answers become results."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pyroaring import BitMap

from hub.content.rendering import Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.retry import RetryPolicy
from hub.facts import AudienceFound, ChannelsGone, Crashed, PageAnswered, PushesDeferred, PushesEnded, PushesRetried
from hub.notification import Platform
from hub.observer import Observer
from hub.outcome import OutcomeName, Reaction, Unreached
from hub.platforms.base import Push, SendResult, all_delivered
from hub.store.base import Audience, Failed, PageResult, RetryPage, Target, Work

SATURATED = 0.25
"""Seconds until work is looked at again that found a service busy with as much as it is allowed."""

_ABSENT = 60.0
"""Seconds until work is looked at again whose hub is not configured any more; it may come back."""

_CHUNK = 64
"""Single pushes that are recorded together: one that is slow holds up no more than these."""

_NOBODY_SERVES = "the hub is not configured any more"
_SENDER_CRASHED = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.UNKNOWN_ERROR, reason="a defect of ours")

Outcomes = dict[Platform, dict[OutcomeName, int]]


@dataclass(slots=True)
class _PendingPage:
    """One piece of work on its way: what is still out, and what came back.

    It may wait for a try until `waits_until`; what fails after `gives_up_at` is not tried again.
    """

    work: Work
    started_at: float
    waits_until: float
    gives_up_at: float
    waiting: int = 0
    ordinals: list[int] = field(default_factory=list)
    counts: Outcomes = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    retries: list[tuple[Platform, int, SendResult]] = field(default_factory=list)
    deferred: dict[Platform, list[int]] = field(default_factory=dict)
    gone: Counter[Platform] = field(default_factory=Counter)
    reasons: dict[Platform, Counter[str]] = field(default_factory=dict)
    nobody: Unreached | None = None

    @property
    def not_attempted(self) -> bool:
        """Nothing of it was sent and nothing ended: it can go back as it is."""
        return bool(self.deferred) and not self.waiting and not self.counts

    def count(self, platform: Platform, outcome: OutcomeName, by: int = 1) -> None:
        # Plain dictionaries, here and below: most count one push, and a Counter costs more than the counting.
        counts = self.counts.get(platform)
        if counts is None:
            self.counts[platform] = {outcome: by}
        else:
            counts[outcome] = counts.get(outcome, 0) + by


@dataclass(slots=True)
class SendBatch:
    """Pushes that one bulkhead takes together, of so many (`seats`) notifications or pages, and whom each is for."""

    bulkhead: Bulkhead[Push]
    hub: str
    platform: Platform
    size: int = 0
    pushes: list[Push] = field(default_factory=list)
    owners: list[tuple[_PendingPage, Target]] = field(default_factory=list)


@dataclass(slots=True)
class BatchPlan:
    """A batch made ready: parcels to be sent, pieces that found every door closed with the time when they are due again,
    and pieces that a defect stopped."""

    parcels: list[SendBatch] = field(default_factory=list)
    not_attempted: list[tuple[Work, float]] = field(default_factory=list)
    broken: list[Work] = field(default_factory=list)


class PushDelivery:
    """Loads batches and sends their parcels; `done` is told each piece's result as soon as its last push is answered."""

    def __init__(
        self,
        bulkheads: Mapping[tuple[str, Platform], Bulkhead[Push]],
        rendering: Rendering,
        *,
        policy: RetryPolicy,
        observer: Observer,
        clock: Callable[[], float],
        done: Callable[[PageResult], None],
    ) -> None:
        self._bulkheads = bulkheads
        self._rendering = rendering
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._done = done
        self._since = clock()

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so much."""
        self._since -= seconds

    @property
    def ended_before(self) -> float:
        """What could be pushed since before this moment has waited its whole age, and we were there to push it."""
        now, age = self._clock(), self._policy.max_age
        return now - age if now - age >= self._since else -math.inf

    def load(self, batch: Sequence[tuple[Work, Audience]], *, started_at: float) -> BatchPlan:
        """Put the pushes for these audiences into parcels; places for them are reserved, so each parcel has to be sent.

        What cannot be pushed at all is done already. The templates of all targets were prepared.
        """
        load = BatchPlan()
        parcels: dict[tuple[str, Platform], list[SendBatch]] = {}
        for piece, audience in batch:
            run = self._run_for(piece, started_at)
            try:
                self._fill(run, audience, parcels)
            except Exception as error:
                self._observer.observe(Crashed(work=f"notification {piece.notification.id}", error=error))
                load.broken.append(piece)
                continue
            if run.not_attempted:
                due_at = max(self._reopens_at(run, platform) for platform in run.deferred)
                load.not_attempted.append((piece, due_at))
                self._tell_deferred(run, due_at)
                continue
            if piece.page is None:
                counts: dict[Platform, int] = {}
                for target in audience.targets:
                    counts[target.platform] = counts.get(target.platform, 0) + 1
                self._observer.observe(AudienceFound(notification=piece.notification, counts=counts))
            if not run.waiting:
                self._finish(run)
        load.parcels = [parcel for each in parcels.values() for parcel in each]
        return load

    def _run_for(self, piece: Work, started_at: float) -> _PendingPage:
        notification = piece.notification
        began_at = max(piece.accepted_at, _seconds(notification.schedule_at) or 0.0)
        expires_at = _seconds(notification.expires_at)
        # The age bounds how often a push is repeated. What was never tried, because nobody was there, gets its one try.
        waits_from = began_at if piece.attempt else max(began_at, self._since)
        return _PendingPage(
            piece,
            started_at,
            waits_until=self._policy.gives_up_at(waits_from, expires_at),
            gives_up_at=self._policy.gives_up_at(began_at, expires_at),
        )

    def _fill(
        self, run: _PendingPage, audience: Audience, parcels: dict[tuple[str, Platform], list[SendBatch]]
    ) -> None:
        """Put the pushes of one piece into the parcels of their bulkheads; what cannot be sent ends or is parked here."""
        notification = run.work.notification
        if run.work.page is None:
            run.nobody = audience.nobody
            run.ordinals = [target.ordinal for target in audience.targets]
            for platform, doubles in audience.skipped.items():
                run.count(platform, OutcomeName.SKIPPED, len(doubles))
        if self._clock() >= run.waits_until:
            for target in audience.targets:
                is_served = (notification.hub, target.platform) in self._bulkheads
                self._end(run, target, OutcomeName.ABANDONED, "expired" if is_served else _NOBODY_SERVES)
            return
        by_platform: dict[Platform, list[tuple[Target, Push]]] = {}
        for target, push in zip(audience.targets, self._rendering.pushes(notification, audience.targets), strict=True):
            if isinstance(push, SendResult):
                self._end(run, target, push.outcome, push.reason)
                continue
            mine = by_platform.get(target.platform)
            if mine is None:
                mine = by_platform[target.platform] = []
            mine.append((target, push))
        for platform, pairs in by_platform.items():
            self._place(run, platform, pairs, parcels)

    def _place(
        self,
        run: _PendingPage,
        platform: Platform,
        pairs: Sequence[tuple[Target, Push]],
        parcels: dict[tuple[str, Platform], list[SendBatch]],
    ) -> None:
        """Put the pushes that one bulkhead admits into its last parcel, and park the others."""
        key = (run.work.notification.hub, platform)
        bulkhead = self._bulkheads.get(key)
        admitted = 0 if bulkhead is None else bulkhead.admit(run.work.lane, len(pairs))
        if admitted < len(pairs):
            run.deferred[platform] = [target.ordinal for target, _ in pairs[admitted:]]
        if bulkhead is not None and admitted:
            placed = pairs[:admitted]
            mine = parcels.setdefault(key, [])
            if not mine or len(mine[-1].pushes) + admitted > _CHUNK:
                mine.append(SendBatch(bulkhead, *key))
            parcel = mine[-1]
            parcel.size += 1
            parcel.pushes += [push for _, push in placed]
            parcel.owners += [(run, target) for target, _ in placed]
            run.waiting += admitted

    def _reopens_at(self, run: _PendingPage, platform: Platform) -> float:
        bulkhead = self._bulkheads.get((run.work.notification.hub, platform))
        # What was begun waits for a hub that was taken out of the configuration as for a service that is away.
        closed_until = self._clock() + _ABSENT if bulkhead is None else bulkhead.closed_until
        return min(max(self._clock() + SATURATED, closed_until), run.waits_until)

    def _tell_deferred(self, run: _PendingPage, due_at: float) -> None:
        """Say once of a notification that it waits for a breaker; a service that is only busy is no news."""
        work = run.work
        if work.page is not None or work.was_deferred:
            return
        for platform in run.deferred:
            bulkhead = self._bulkheads.get((work.notification.hub, platform))
            if bulkhead is not None and bulkhead.is_open:
                reason = bulkhead.trouble
                self._observer.observe(
                    PushesDeferred(notification=work.notification, platform=platform, reason=reason, due_at=due_at)
                )

    async def send(self, parcel: SendBatch) -> None:
        """Each bulkhead on its own: a piece is ready when the last of those it needs has answered."""
        started = time.perf_counter()
        try:
            lane = parcel.owners[0][0].work.lane
            results = await parcel.bulkhead.send(lane, parcel.pushes, size=parcel.size)
        except Exception as error:  # a sender's defect is its own platform's trouble, like that of its service
            what = f"the sender for {parcel.platform.value} of hub {parcel.hub}"
            self._observer.observe(Crashed(work=what, error=error))
            results = [_SENDER_CRASHED] * len(parcel.pushes)
        elapsed = time.perf_counter() - started
        if parcel.size == 1 and all_delivered(results):
            run, _ = parcel.owners[0]
            run.count(parcel.platform, results[0].outcome, len(results))
            run.waiting -= len(results)
            if not run.waiting:
                self._finish(run)
            self._tell_answered(parcel, elapsed, {results[0].outcome: len(results)})
            return
        tally = Counter[OutcomeName]()
        timeouts = 0
        for (run, target), result in zip(parcel.owners, results, strict=True):
            tally[result.outcome] += 1
            timeouts += result.timed_out
            self._take_result(run, target, result)
            run.waiting -= 1
            if not run.waiting:
                self._finish(run)
        self._tell_answered(parcel, elapsed, tally, timed_out=timeouts)

    def _tell_answered(
        self, parcel: SendBatch, seconds: float, outcomes: Mapping[OutcomeName, int], *, timed_out: int = 0
    ) -> None:
        self._observer.observe(
            PageAnswered(
                hub=parcel.hub, platform=parcel.platform, seconds=seconds, outcomes=outcomes, timed_out=timed_out
            )
        )

    def _take_result(self, run: _PendingPage, target: Target, result: SendResult) -> None:
        reaction = result.reaction
        if reaction is Reaction.DELIVERED:
            run.count(target.platform, result.outcome)
        elif reaction in (Reaction.RETRY, Reaction.THROTTLED) or (reaction is Reaction.CONFIG and result.lane_wide):
            due_at = self._policy.next_try(
                run.work.attempt + 1, now=self._clock(), gives_up_at=run.gives_up_at, retry_after=result.retry_after
            )
            if due_at is None:
                outcome = result.outcome if reaction is Reaction.CONFIG else OutcomeName.ABANDONED
                self._end(run, target, outcome, result.reason or result.outcome.value)
            else:
                reason = _without_handle(result.reason, target)
                said = result if reason is result.reason else replace(result, reason=reason)
                run.retries.append((target.platform, target.ordinal, said))
        else:
            gone = reaction is Reaction.GONE
            # Of a phone that has registered since its channel was read, the service has said nothing.
            known = run.started_at if result.gone_since is None else result.gone_since.timestamp()
            since = min(known, run.started_at)
            self._end(run, target, result.outcome, result.reason, gone=gone, gone_since=since)

    def _end(
        self,
        run: _PendingPage,
        target: Target,
        outcome: OutcomeName,
        reason: str,
        *,
        gone: bool = False,
        gone_since: float | None = None,
    ) -> None:
        run.count(target.platform, outcome)
        reason = _without_handle(reason, target)
        run.reasons.setdefault(target.platform, Counter())[reason] += 1
        if gone:
            run.gone[target.platform] += 1
        run.failures.append(
            Failed(ordinal=target.ordinal, outcome=outcome, reason=reason, gone=gone, gone_since=gone_since)
        )

    def _finish(self, run: _PendingPage) -> None:
        """Hand a piece whose pushes are all answered to the recorder, and tell what became of it."""
        work = run.work
        now = self._clock()
        for platform, counts in run.counts.items():
            reasons = run.reasons.get(platform)
            reason = reasons.most_common(1)[0][0] if reasons else ""
            self._observer.observe(
                PushesEnded(
                    notification=work.notification,
                    platform=platform,
                    outcomes=counts,
                    seconds=now - work.accepted_at,
                    reason=reason,
                )
            )
        for platform, count in run.gone.items():
            self._observer.observe(ChannelsGone(hub=work.notification.hub, platform=platform, count=count))
        self._done(
            PageResult(
                work=work,
                counts=run.counts,
                nobody=run.nobody,
                ordinals=BitMap(run.ordinals) if work.page is None else None,
                failures=run.failures,
                retries=self._retry_pages(run, now) if run.retries or run.deferred else (),
                started_at=run.started_at,
            )
        )

    def _retry_pages(self, run: _PendingPage, now: float) -> list[RetryPage]:
        """What is to be tried again, told and as pages: those told to wait apart from the others, parked ones untried."""
        groups: dict[tuple[Platform, bool], list[tuple[int, SendResult]]] = {}
        for platform, ordinal, result in run.retries:
            groups.setdefault((platform, result.retry_after is not None), []).append((ordinal, result))
        attempt = run.work.attempt + 1
        pages = []
        for (platform, _), members in groups.items():
            longest = max((result.retry_after for _, result in members if result.retry_after is not None), default=None)
            # A due time beyond the end is kept: the page comes up once more, and ends there as abandoned.
            due_at = (
                self._policy.next_try(attempt, now=now, gives_up_at=run.gives_up_at, retry_after=longest)
                or run.gives_up_at
            )
            bulkhead = self._bulkheads.get((run.work.notification.hub, platform))
            if bulkhead is not None:  # before that it would only find the breaker open
                due_at = min(max(due_at, bulkhead.closed_until), max(due_at, run.gives_up_at))
            ordinals = BitMap([ordinal for ordinal, _ in members])
            pages.append(RetryPage(platform=platform, ordinals=ordinals, due_at=due_at, attempt=attempt))
            ((reason, _),) = Counter(result.reason for _, result in members).most_common(1)
            outcomes = Counter(result.outcome for _, result in members)
            self._observer.observe(
                PushesRetried(
                    notification=run.work.notification,
                    platform=platform,
                    outcomes=outcomes,
                    reason=reason,
                    due_at=due_at,
                )
            )
        for platform, deferred in run.deferred.items():
            due_at = self._reopens_at(run, platform)
            pages.append(
                RetryPage(platform=platform, ordinals=BitMap(deferred), due_at=due_at, attempt=run.work.attempt)
            )
            self._tell_deferred(run, due_at)
        return pages


def _without_handle(reason: str, target: Target) -> str:
    """A service's words, which go into logs and feedback, without the push channel that they may repeat."""
    channel = target.push_channel
    return reason.replace(channel, "[push channel]") if channel and channel in reason else reason


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
