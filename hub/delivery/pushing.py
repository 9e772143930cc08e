"""A batch while it is with the senders: work and audiences become pages of pushes, and verdicts become results."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from pyroaring import BitMap

from hub.content.rendering import RenderedPage, Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pending import PendingPage, without_push_channel
from hub.delivery.retry import RetryPolicy
from hub.facts import AudienceFound, ChannelsGone, Crashed, PageAnswered, PushesDeferred, PushesEnded, PushesRetried
from hub.notification import Platform
from hub.observer import Observer
from hub.outcome import OutcomeName, Reaction
from hub.push import PageVerdict, PushPage, SendResult
from hub.store.base import Audience, PageResult, RetryPage, Work
from hub.target import Target

SATURATED = 0.25
"""Seconds until work is looked at again that found a service busy with as much as it is allowed."""

_ABSENT = 60.0
"""Seconds until work is looked at again whose hub is not configured any more; it may come back."""

_CHUNK = 64
"""Single pushes that are recorded together: one that is slow holds up no more than these."""

_NOT_CONFIGURED = "the hub is not configured any more"
_NO_CREDENTIAL = "no credential is configured for this platform"
_SENDER_CRASHED = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.UNKNOWN_ERROR, reason="a defect of ours")

Bulkheads = Mapping[tuple[str, Platform], Bulkhead[PushPage]]


@dataclass(slots=True)
class SendBatch:
    """A page of pushes that one bulkhead takes, and the notifications or pages of work that it was made of.

    `owners` cover the positions from the front, each with whom its pushes are for.
    """

    bulkhead: Bulkhead[PushPage]
    hub: str
    platform: Platform
    page: PushPage = field(default_factory=PushPage)
    owners: list[tuple[PendingPage, Sequence[Target]]] = field(default_factory=list)

    def results(self, verdict: PageVerdict) -> list[tuple[PendingPage, int, list[tuple[Target, SendResult]]]]:
        """The verdict for each owner: how many of its pushes were delivered, and what was said of the others."""
        exceptions = iter(verdict.exceptions.items())
        position, result = next(exceptions, (math.inf, None))
        first = 0
        shares = []
        for pending, targets in self.owners:
            behind = first + len(targets)
            others: list[tuple[Target, SendResult]] = []
            while position < behind and result is not None:
                others.append((targets[int(position) - first], result))
                position, result = next(exceptions, (math.inf, None))
            shares.append((pending, len(targets) - len(others), others))
            first = behind
        return shares


@dataclass(slots=True)
class BatchPlan:
    """What is to be done with a batch: pages to be sent, pieces that found every breaker open with the time when they are
    due again, and pieces that a defect stopped."""

    sends: list[SendBatch] = field(default_factory=list)
    not_attempted: list[tuple[Work, float]] = field(default_factory=list)
    broken: list[Work] = field(default_factory=list)


class PushDelivery:
    """Plans batches and sends their pages; `done` gets each piece's result as soon as its last push is answered."""

    def __init__(
        self,
        bulkheads: Bulkheads,
        rendering: Rendering,
        *,
        without_credential: AbstractSet[tuple[str, Platform]],
        policy: RetryPolicy,
        observer: Observer,
        clock: Callable[[], float],
        done: Callable[[PageResult], None],
    ) -> None:
        self._bulkheads = bulkheads
        self._without_credential = without_credential
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
        """Pages due before this time have exceeded `max_age` while this process ran."""
        now, age = self._clock(), self._policy.max_age
        return now - age if now - age >= self._since else -math.inf

    # From work and audiences to pages

    def plan(self, batch: Sequence[tuple[Work, Audience]], *, started_at: float) -> BatchPlan:
        """Make the pages for these audiences; places for them are reserved, so each page has to be sent.

        What cannot be pushed at all is done already. The templates of all targets were prepared.
        """
        plan = BatchPlan()
        sends: dict[tuple[str, Platform], list[SendBatch]] = {}
        for piece, audience in batch:
            pending = self._pending_page(piece, started_at)
            try:
                self._fill(pending, audience, sends)
            except Exception as error:
                self._observer.observe(Crashed(work=f"notification {piece.notification.id}", error=error))
                plan.broken.append(piece)
                continue
            if pending.not_attempted:
                due_at = max(self._reopens_at(pending, *where) for where in pending.deferred)
                plan.not_attempted.append((piece, due_at))
                self._report_deferred(pending, due_at)
                continue
            if piece.page is None:
                counts = _by_platform(audience)
                self._observer.observe(AudienceFound(notification=piece.notification, counts=counts))
            if not pending.unanswered:
                self._finish(pending)
        plan.sends = [send for each in sends.values() for send in each]
        return plan

    def _pending_page(self, piece: Work, started_at: float) -> PendingPage:
        notification = piece.notification
        began_at = max(piece.accepted_at, _seconds(notification.schedule_at) or 0.0)
        expires_at = _seconds(notification.expires_at)
        waits_until = gives_up_at = self._policy.gives_up_at(began_at, expires_at)
        if began_at < self._since and not piece.attempt:
            # The age bounds how often a push is repeated. What no process was there to try gets its one try.
            waits_until = self._policy.gives_up_at(self._since, expires_at)
        return PendingPage(piece, started_at, waits_until=waits_until, gives_up_at=gives_up_at)

    def _fill(
        self, pending: PendingPage, audience: Audience, sends: dict[tuple[str, Platform], list[SendBatch]]
    ) -> None:
        """Put the pushes of one piece into the pages of their bulkheads; what cannot be sent ends or is deferred here."""
        notification = pending.work.notification
        if pending.work.page is None:
            pending.nobody = audience.nobody
            pending.ordinals = [target.ordinal for target in audience.targets]
            for platform, duplicates in audience.skipped.items():
                pending.count(platform, OutcomeName.SKIPPED, len(duplicates))
        if self._clock() >= pending.waits_until:
            for target in audience.targets:
                key = (notification.hub, target.platform)
                is_served = key in self._bulkheads or key in self._without_credential
                pending.end(target, OutcomeName.ABANDONED, "expired" if is_served else _NOT_CONFIGURED)
            return
        rendered = self._rendering.pages(notification, audience.targets)
        for target, result in rendered.unsendable:
            pending.end(target, result.outcome, result.reason)
        for platform, pushes in rendered.pages.items():
            self._place(pending, platform, pushes, sends)

    def _place(
        self,
        pending: PendingPage,
        platform: Platform,
        pushes: RenderedPage,
        sends: dict[tuple[str, Platform], list[SendBatch]],
    ) -> None:
        """Put the pushes that one bulkhead admits into its last page, and defer the others."""
        key = (pending.work.notification.hub, platform)
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None:
            if key in self._without_credential:
                self._end_without_credential(pending, platform, pushes.targets)
            else:
                pending.defer(platform, "", pushes.targets)
            return
        page, targets = self._at_open_hosts(pending, platform, bulkhead, pushes)
        size = len(targets)
        admitted = bulkhead.admit(pending.work.lane, size) if size else 0
        if admitted < size:
            pending.defer(platform, "", targets[admitted:])
            page, targets = page.select(range(admitted)), targets[:admitted]
        if not admitted:
            return
        mine = sends.setdefault(key, [])
        if mine and len(mine[-1].page.ids) + admitted <= _CHUNK:
            mine[-1].page.extend(page)
        else:
            mine.append(SendBatch(bulkhead, *key, page=page))
        mine[-1].owners.append((pending, targets))
        pending.unanswered += admitted

    def _end_without_credential(self, pending: PendingPage, platform: Platform, targets: Sequence[Target]) -> None:
        """End what no sender can send, counted as if its service had refused it."""
        for target in targets:
            pending.end(target, OutcomeName.INVALID_CREDENTIALS, _NO_CREDENTIAL)
        hub, outcomes = pending.work.notification.hub, Counter({OutcomeName.INVALID_CREDENTIALS: len(targets)})
        self._observer.observe(PageAnswered(hub=hub, platform=platform, seconds=0.0, outcomes=outcomes, timed_out=0))

    def _at_open_hosts(
        self, pending: PendingPage, platform: Platform, bulkhead: Bulkhead[PushPage], pushes: RenderedPage
    ) -> tuple[PushPage, Sequence[Target]]:
        """The pushes whose hosts take any; those of hosts with an open breaker are deferred, each host's by itself."""
        allowed, waiting = bulkhead.split_by_host(pushes.page)
        if not waiting:
            return pushes.page, pushes.targets
        for host, positions in waiting.items():
            pending.defer(platform, host, [pushes.targets[position] for position in positions])
        return pushes.page.select(allowed), [pushes.targets[position] for position in allowed]

    def _reopens_at(self, pending: PendingPage, platform: Platform, host: str) -> float:
        bulkhead = self._bulkheads.get((pending.work.notification.hub, platform))
        # What was begun waits for a hub that was taken out of the configuration as for a service that is away.
        closed_until = self._clock() + _ABSENT if bulkhead is None else bulkhead.closed_until_at(host)
        return min(max(self._clock() + SATURATED, closed_until), pending.waits_until)

    def _report_deferred(self, pending: PendingPage, due_at: float) -> None:
        """Report once of a notification that it waits for a breaker; a service that is only busy is no news."""
        work = pending.work
        if work.page is not None or work.was_deferred:
            return
        for platform, host in pending.deferred:
            bulkhead = self._bulkheads.get((work.notification.hub, platform))
            if bulkhead is not None and bulkhead.is_open_at(host):
                reason = bulkhead.cause
                self._observer.observe(
                    PushesDeferred(notification=work.notification, platform=platform, reason=reason, due_at=due_at)
                )

    # From pages to results

    async def send(self, send: SendBatch) -> None:
        """Send a page; a piece of work is done when the last of the pages that it needs has its verdict."""
        started = time.perf_counter()
        try:
            lane = send.owners[0][0].work.lane
            verdict = await send.bulkhead.send(lane, send.page, size=len(send.owners))
        except Exception as error:  # a sender's defect is its own platform's trouble, like that of its service
            what = f"the sender for {send.platform.value} of hub {send.hub}"
            self._observer.observe(Crashed(work=what, error=error))
            verdict = PageVerdict(exceptions=dict.fromkeys(range(len(send.page)), _SENDER_CRASHED))
        elapsed = time.perf_counter() - started
        for pending, delivered, others in send.results(verdict):
            if delivered:
                pending.count(send.platform, OutcomeName.SUCCESS, delivered)
            for target, result in others:
                self._take_result(pending, target, result)
            pending.unanswered -= delivered + len(others)
            if not pending.unanswered:
                self._finish(pending)
        self._report_answered(send, elapsed, verdict)

    def _report_answered(self, send: SendBatch, seconds: float, verdict: PageVerdict) -> None:
        outcomes = Counter(result.outcome for result in verdict.exceptions.values())
        if verdict.delivered:
            outcomes[OutcomeName.SUCCESS] += verdict.delivered
        timed_out = sum(result.timed_out for result in verdict.exceptions.values())
        self._observer.observe(
            PageAnswered(hub=send.hub, platform=send.platform, seconds=seconds, outcomes=outcomes, timed_out=timed_out)
        )

    def _take_result(self, pending: PendingPage, target: Target, result: SendResult) -> None:
        """Decide what becomes of a push: it ends, or is tried again."""
        reaction = result.reaction
        if reaction is Reaction.DELIVERED:
            pending.count(target.platform, result.outcome)
        elif reaction in (Reaction.RETRY, Reaction.THROTTLED) or (reaction is Reaction.CONFIG and result.lane_wide):
            due_at = self._policy.next_try(
                pending.work.attempt + 1,
                now=self._clock(),
                gives_up_at=pending.gives_up_at,
                retry_after=result.retry_after,
            )
            if due_at is None:
                outcome = result.outcome if reaction is Reaction.CONFIG else OutcomeName.ABANDONED
                pending.end(target, outcome, result.reason or result.outcome.value)
            else:
                reason = without_push_channel(result.reason, target)
                said = result if reason is result.reason else replace(result, reason=reason)
                pending.retries.append((target.platform, target.ordinal, said))
        else:
            gone = reaction is Reaction.GONE
            # Of a phone that has registered since its channel was read, the service has said nothing.
            known = pending.started_at if result.gone_since is None else result.gone_since.timestamp()
            since = min(known, pending.started_at)
            pending.end(target, result.outcome, result.reason, gone=gone, gone_since=since)

    def _finish(self, pending: PendingPage) -> None:
        """Hand a piece whose pushes are all answered to the recorder, and report what became of it."""
        work = pending.work
        now = self._clock()
        for platform, counts in pending.counts.items():
            self._observer.observe(
                PushesEnded(
                    notification=work.notification,
                    platform=platform,
                    outcomes=counts,
                    seconds=now - work.accepted_at,
                    reason=pending.main_reason(platform),
                )
            )
        for platform, count in pending.gone.items():
            self._observer.observe(ChannelsGone(hub=work.notification.hub, platform=platform, count=count))
        retries = self._retry_pages(pending, now) if pending.retries else []
        if pending.deferred:
            retries += self._deferred_pages(pending)
        self._done(
            PageResult(
                work=work,
                counts=pending.counts,
                nobody=pending.nobody,
                ordinals=BitMap(pending.ordinals) if work.page is None else None,
                failures=pending.failures,
                retries=retries,
                started_at=pending.started_at,
            )
        )

    def _retry_pages(self, pending: PendingPage, now: float) -> list[RetryPage]:
        """What is to be tried again, as pages: pushes whose service named a time apart from the others."""
        groups: dict[tuple[Platform, bool], list[tuple[int, SendResult]]] = {}
        for platform, ordinal, result in pending.retries:
            groups.setdefault((platform, result.retry_after is not None), []).append((ordinal, result))
        attempt = pending.work.attempt + 1
        pages = []
        for (platform, _), members in groups.items():
            longest = max((result.retry_after for _, result in members if result.retry_after is not None), default=None)
            due_at = self._due_at(pending, platform, now, longest)
            ordinals = BitMap([ordinal for ordinal, _ in members])
            pages.append(RetryPage(platform=platform, ordinals=ordinals, due_at=due_at, attempt=attempt))
            ((reason, _),) = Counter(result.reason for _, result in members).most_common(1)
            outcomes = Counter(result.outcome for _, result in members)
            self._observer.observe(
                PushesRetried(
                    notification=pending.work.notification,
                    platform=platform,
                    outcomes=outcomes,
                    reason=reason,
                    due_at=due_at,
                )
            )
        return pages

    def _due_at(self, pending: PendingPage, platform: Platform, now: float, retry_after: float | None) -> float:
        """When the next try is due; a due time beyond the end is kept, so that the page ends there as abandoned."""
        due_at = (
            self._policy.next_try(
                pending.work.attempt + 1, now=now, gives_up_at=pending.gives_up_at, retry_after=retry_after
            )
            or pending.gives_up_at
        )
        bulkhead = self._bulkheads.get((pending.work.notification.hub, platform))
        if bulkhead is None:
            return due_at
        # Before the breaker closes, the page would only find it open.
        return min(max(due_at, bulkhead.closed_until), max(due_at, pending.gives_up_at))

    def _deferred_pages(self, pending: PendingPage) -> list[RetryPage]:
        """What was not attempted, as pages of the same try."""
        pages = []
        for (platform, host), deferred in pending.deferred.items():
            due_at = self._reopens_at(pending, platform, host)
            pages.append(
                RetryPage(platform=platform, ordinals=BitMap(deferred), due_at=due_at, attempt=pending.work.attempt)
            )
        if pages:
            self._report_deferred(pending, max(page.due_at for page in pages))
        return pages


def _by_platform(audience: Audience) -> dict[Platform, int]:
    counts: dict[Platform, int] = {}
    for target in audience.targets:
        counts[target.platform] = counts.get(target.platform, 0) + 1
    return counts


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
