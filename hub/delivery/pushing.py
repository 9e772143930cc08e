"""A batch while it is with the senders: work and audiences become pages of pushes, and verdicts become results."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter

from pyroaring import BitMap

from hub.content.rendering import RenderedPage, RenderedPushes, Rendering
from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pending import PendingPage, Piece, PushResults, without_push_channel
from hub.delivery.quieting import Sorted, sort_targets
from hub.delivery.retry import RetryPolicy
from hub.delivery.send_batch import SendBatch
from hub.delivery.singles import CHUNK, SinglePushes
from hub.delivery.window import SHORT
from hub.facts import (
    AudienceFound,
    ChannelsGone,
    Crashed,
    PageAnswered,
    PushesDeferred,
    PushesEnded,
    PushesRetried,
    QuietHoursKept,
    TracedPushes,
)
from hub.notification import Platform
from hub.observer import Observer
from hub.outcome import OutcomeName, Reaction, Unreached
from hub.precedence import PAGES, Precedence
from hub.push import PageVerdict, PushPage, SendResult
from hub.quiet import Fate, QuietHours, reason_for
from hub.store.contracts.outbox import Audience, PageResult, RetryPage, Service, Work
from hub.store.contracts.registry import RenamedChannel
from hub.target import Target, TargetColumns
from hub.trace_context import is_sampled
from hub.work import Lane

_SATURATED = 0.25
"""Seconds until work is looked at again that found a service too busy for as many pushes as it needs."""

_ABSENT = 60.0
"""Seconds until work is looked at again whose hub is not configured any more; it may come back."""

_NOT_CONFIGURED = "the hub is not configured any more"
NO_CREDENTIAL = "no credential is configured for this platform"
_SENDER_CRASHED = SendResult(reaction=Reaction.RETRY, outcome=OutcomeName.UNKNOWN_ERROR, reason="a defect of ours")

Bulkheads = Mapping[tuple[str, Platform], Bulkhead[PushPage]]


@dataclass(slots=True)
class BatchPlan:
    """What is to be done with a batch: pages to be sent, work that found every breaker open with the seconds until it is
    due again and the service that all of it waits for, if it is one, and work that a defect stopped."""

    sends: list[SendBatch] = field(default_factory=list)
    not_attempted: dict[tuple[float, Service | None], list[Work]] = field(default_factory=dict)
    broken: list[Work] = field(default_factory=list)


class PushDelivery:
    """Plans batches and sends their pages; `done` gets results as soon as they can be recorded.

    `renamed` gets the hub and each push channel in whose place its service named another.

    Waits are measured by `clock`, which cannot be set; `store_clock` gives the time of the store's rows, and quiet hours go
    by `time_of_day`, in seconds since 1970 UTC.
    """

    def __init__(
        self,
        bulkheads: Bulkheads,
        rendering: Rendering,
        *,
        without_credential: AbstractSet[tuple[str, Platform]],
        policy: RetryPolicy,
        observer: Observer,
        clock: Callable[[], float],
        store_clock: Callable[[], float],
        time_of_day: Callable[[], float] = time.time,
        may_start: Callable[[], bool] = lambda: True,
        serves_better: Callable[[tuple[str, Platform]], bool] = lambda service: False,
        done: Callable[[Sequence[PageResult]], None],
        renamed: Callable[[str, RenamedChannel], None] = lambda hub, channel: None,
        precedence: Precedence | None = None,
    ) -> None:
        self._bulkheads = bulkheads
        self._without_credential = without_credential
        self._rendering = rendering
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._store_clock = store_clock
        self._time_of_day = time_of_day
        self._may_start = may_start
        self._serves_better = serves_better
        self._done = done
        self._renamed = renamed
        self._precedence = precedence or Precedence()
        self._since = clock()
        self._singles = SinglePushes(bulkheads, rendering, observer=observer, done=done)

    @property
    def too_old(self) -> float:
        """Seconds after which waiting work has exceeded `max_age` while this process ran."""
        age = self._policy.max_age
        return age if self._clock() - self._since >= age else math.inf

    # From work and audiences to pages

    def plan(self, batch: Sequence[tuple[Work, Audience]]) -> BatchPlan:
        """Make the pages for these audiences; places for them are reserved, so each page has to be sent.

        What cannot be pushed at all is done already. The templates of all targets were prepared.
        """
        plan = BatchPlan()
        sends: dict[Service, list[SendBatch]] = {}
        now, store_now = self._clock(), self._store_clock()
        plan.sends, rest = self._singles.plan(batch, now=store_now, max_age=self._policy.max_age)
        for piece, audience in rest:
            pending = self._pending_page(piece, audience, now, store_now)
            try:
                self._fill(pending, audience, sends, now)
            except Exception as error:
                self._observer.observe(Crashed(work=f"notification {piece.notification.id}", error=error))
                plan.broken.append(piece)
                continue
            if pending.not_attempted:
                self._put_back(pending, plan)
                continue
            if piece.number == 0 and not piece.done:
                counts = _by_platform(audience)
                self._observer.observe(AudienceFound(notification=piece.notification, counts=counts))
            if not pending.unanswered:
                self._finish(pending)
        plan.sends += [send for each in sends.values() for send in each]
        return plan

    def _put_back(self, pending: PendingPage, plan: BatchPlan) -> None:
        """Plan that work which found no place goes back as it is: no row more, however often that happens."""
        delay = max(self._delay(pending, *where) for where in pending.deferred)
        waits_for = {(pending.work.notification.hub, platform) for platform, _ in pending.deferred}
        service = next(iter(waits_for)) if len(waits_for) == 1 else None
        plan.not_attempted.setdefault((delay, service), []).append(pending.work)
        self._report_deferred(pending)

    def _pending_page(self, piece: Work, audience: Audience, now: float, store_now: float) -> PendingPage:
        notification = piece.notification
        began_at = now - (store_now - _due_at(piece))
        expires_at = _seconds(notification.expires_at)
        if expires_at is not None:
            expires_at += now - store_now
        waits_until = gives_up_at = self._policy.gives_up_at(began_at, expires_at)
        if began_at < self._since and not piece.attempt:
            # The age bounds how often a push is repeated. What no process was there to try gets its one try.
            waits_until = self._policy.gives_up_at(self._since, expires_at)
        return PendingPage(
            piece,
            store_now,
            waits_until=waits_until,
            gives_up_at=gives_up_at,
            pieces=deque() if len(audience.targets) > SHORT and not piece.again else None,
            done=piece.done,
        )

    def _fill(
        self, pending: PendingPage, audience: Audience, sends: dict[Service, list[SendBatch]], now: float
    ) -> None:
        """Put the pushes of one piece into the pages of their bulkheads; what cannot be sent ends or is deferred here."""
        notification = pending.work.notification
        if pending.work.ordinals is None:
            pending.unreached, pending.passed_over = audience.unreached, audience.passed_over
            pending.ordinals = [target.ordinal for target in audience.targets]
            if audience.excluded:
                pending.ordinals += [target.ordinal for target in audience.excluded]
                for target in audience.excluded:
                    pending.results.end(target, OutcomeName.NO_TARGETS, Unreached.ONLY_TO.value)
            for platform, duplicates in audience.skipped.items():
                pending.results.count(platform, OutcomeName.SKIPPED, len(duplicates))
        if now >= pending.waits_until:
            pending.pieces = None
            for target in audience.targets:
                key = (notification.hub, target.platform)
                is_served = key in self._bulkheads or key in self._without_credential
                pending.results.end(target, OutcomeName.ABANDONED, "expired" if is_served else _NOT_CONFIGURED)
            return
        targets, silent = audience.targets, frozenset[int]()
        if notification.quiet is not None:
            targets, silent = self._outside_quiet_hours(pending, notification.quiet, targets)
        if pending.pieces is None:
            self._place_all(pending, None, self._rendering.pages(notification, targets, silent=silent), sends)
        else:
            self._fill_in_pieces(pending, pending.pieces, targets, silent, sends)

    def _outside_quiet_hours(
        self, pending: PendingPage, quiet: QuietHours, targets: Sequence[Target]
    ) -> tuple[Sequence[Target], frozenset[int]]:
        """Those that get a push now, and the ordinals of those among them that get it without a sound."""
        notification = pending.work.notification
        found = sort_targets(notification, quiet, targets, self._time_of_day())
        pending.held = found.parts()
        for target, fate in found.dropped:
            pending.results.end(target, OutcomeName.ABANDONED, reason_for(quiet, fate))
        if found.dropped:
            pending.pieces = None  # these ends are recorded with the page as a whole
            is_expired = all(fate is Fate.EXPIRED for _, fate in found.dropped)
            if len(found.dropped) == len(targets) and not is_expired:
                pending.unreached = Unreached.QUIET_HOURS
        self._report_quiet(pending.work, found)
        return found.now + found.silent, frozenset(target.ordinal for target in found.silent)

    def _report_quiet(self, work: Work, found: Sorted) -> None:
        notification = work.notification
        for (_, until), (ordinals, zones) in found.held.items():
            self._observer.observe(
                QuietHoursKept(
                    notification=notification,
                    fate=Fate.HELD,
                    count=len(ordinals),
                    until=until,
                    zones=sorted(zones),
                )
            )
        others = Counter(fate for _, fate in found.dropped)
        others[Fate.SILENT] += len(found.silent)
        for fate, count in others.items():
            if count:
                self._observer.observe(QuietHoursKept(notification=notification, fate=fate, count=count))

    def _fill_in_pieces(
        self,
        pending: PendingPage,
        pieces: deque[Piece],
        targets: Sequence[Target],
        silent: frozenset[int],
        sends: dict[Service, list[SendBatch]],
    ) -> None:
        """As `_fill`, for a page that is recorded in pieces; they go to their service in order."""
        if not isinstance(targets, TargetColumns):
            targets = sorted(targets, key=attrgetter("ordinal"))
        length = self._piece_length(pending.work.notification.hub)
        rendered = self._rendering.in_pieces(pending.work.notification, targets, length, silent=silent)
        for first, pushes in zip(range(0, len(targets), length), rendered, strict=True):
            pieces.append(Piece(targets[min(first + length, len(targets)) - 1].ordinal))
            self._place_all(pending, pieces[-1], pushes, sends)
        if not any(piece.unanswered or piece.results.counts for piece in pieces):
            pending.pieces = None  # nothing was begun
        for mine in sends.values():
            of_pending = [send for send in mine if send.piece is not None and send.owners[0][0] is pending]
            for send in of_pending[:-1]:
                send.closes = False

    def _piece_length(self, hub: str) -> int:
        """Pushes in a piece: as many as suit the quickest service of the hub, the others' share of it is smaller."""
        return max((each.window.length for (of, _), each in self._bulkheads.items() if of == hub), default=SHORT)

    def _place_all(
        self,
        pending: PendingPage,
        piece: Piece | None,
        rendered: RenderedPushes,
        sends: dict[Service, list[SendBatch]],
    ) -> None:
        results = pending.results if piece is None else piece.results
        for target, result in rendered.unsendable:
            results.end(target, result.outcome, result.reason)
        for platform, pushes in rendered.pages.items():
            self._place(pending, piece, platform, pushes, sends)

    def _place(
        self,
        pending: PendingPage,
        piece: Piece | None,
        platform: Platform,
        pushes: RenderedPage,
        sends: dict[Service, list[SendBatch]],
    ) -> None:
        """Put the pushes that one bulkhead admits into its last page, and defer the others."""
        key = (pending.work.notification.hub, platform)
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None:
            if key in self._without_credential and not self._serves_better(key):
                results = pending.results if piece is None else piece.results
                self._end_without_credential(key, results, pushes.targets)
            else:
                pending.defer(platform, "", pushes.targets)
            return
        mine = sends.setdefault(key, [])
        page, targets = self._at_open_hosts(pending, platform, bulkhead, pushes)
        has_place = bool(piece and mine and mine[-1].piece and mine[-1].owners[0][0] is pending)
        has_waited = pending.work.service is not None
        lane = pending.work.lane
        size = len(targets)
        admitted = bulkhead.admit(lane, size, has_place=has_place, has_waited=has_waited) if size else 0
        if admitted < size:
            pending.defer(platform, "", targets[admitted:])
            page, targets = page.select(range(admitted)), targets[:admitted]
        if not admitted:
            return
        if bulkhead.is_service_open:
            pending.probed |= {platform}
        pending.unanswered += admitted
        if piece is not None:
            piece.unanswered += admitted
            page.in_order = True
            mine.append(SendBatch(bulkhead, *key, page=page, piece=piece))
        elif mine and mine[-1].piece is None and len(mine[-1].page.ids) + admitted <= CHUNK:
            mine[-1].page.extend(page)
        else:
            mine.append(SendBatch(bulkhead, *key, page=page))
        mine[-1].owners.append((pending, targets))

    def _end_without_credential(self, service: Service, results: PushResults, targets: Sequence[Target]) -> None:
        """End what no sender can send, counted as if its service had refused it."""
        for target in targets:
            results.end(target, OutcomeName.INVALID_CREDENTIALS, NO_CREDENTIAL)
        hub, platform = service
        outcomes = Counter({OutcomeName.INVALID_CREDENTIALS: len(targets)})
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

    def _delay(self, pending: PendingPage, platform: Platform, host: str) -> float:
        """Seconds until deferred pushes are due again: none where their service is not asked before it has a place."""
        bulkhead = self._bulkheads.get((pending.work.notification.hub, platform))
        now = self._clock()
        if bulkhead is None and self._serves_better((pending.work.notification.hub, platform)):
            delay = 0.0  # the store hands it on
        elif bulkhead is None:  # what was begun waits for a hub that was taken out of the configuration
            delay = _ABSENT
        elif host:
            delay = max(_SATURATED, bulkhead.closed_until_at(host) - now)
        else:
            delay = _SATURATED if bulkhead.wanted(pending.work.lane) else 0.0
        return max(0.0, min(delay, pending.waits_until - now))

    def _report_deferred(self, pending: PendingPage) -> None:
        """Report once of a notification that it waits for a breaker; a service that is only busy is no news."""
        work = pending.work
        if work.number or work.was_deferred:
            return
        for platform, host in pending.deferred:
            bulkhead = self._bulkheads.get((work.notification.hub, platform))
            if bulkhead is not None and bulkhead.is_open_at(host):
                due_at = min(max(self._clock(), bulkhead.closed_until_at(host)), pending.waits_until)
                reason = bulkhead.cause
                self._observer.observe(
                    PushesDeferred(notification=work.notification, platform=platform, reason=reason, due_at=due_at)
                )

    # From pages to results

    async def send(self, send: SendBatch) -> None:
        """Send a page; a piece of work is done when the last of the pages that it needs has its verdict."""
        if send.singles:
            await self._send_singles(send)
            return
        is_single = send.owners[0][0].work.lane is Lane.SINGLE
        if send.piece is None:
            if not is_single:
                await send.bulkhead.quota.place(len(send.page))
            if not is_single and send.bulkhead.is_paused:
                self._leave_unsent(send)
            else:
                await self._send_now(send)
            return
        async with send.bulkhead.window.place():
            self._precedence.did(PAGES, len(send.page))
            await self._precedence.give_way()
            if not is_single:
                await send.bulkhead.quota.place(len(send.page))
            if send.bulkhead.is_paused:  # since the places were reserved
                self._leave_unsent(send)
            else:
                await self._send_now(send)

    async def _send_now(self, send: SendBatch) -> None:
        is_withdrawn = send.piece is not None and send.owners[0][0].work.is_withdrawn
        if is_withdrawn or not self._may_start():  # this process stood still: another may have begun the same
            self._leave_unsent(send)
            return
        verdict, elapsed = await self._verdict(send, send.owners[0][0].work.lane)
        if send.piece is not None and verdict.delivered:
            send.bulkhead.window.took(elapsed, len(send.page), now=time.perf_counter())
        self._take_verdict(send, verdict, elapsed)

    async def _send_singles(self, send: SendBatch) -> None:
        if not self._may_start():
            self._own(send)
            self._leave_unsent(send)
            return
        verdict, elapsed = await self._verdict(send, Lane.SINGLE)
        if verdict.exceptions:
            self._own(send)
            self._take_verdict(send, verdict, elapsed)
        else:
            self._singles.end(send, self._store_clock())
            self._report_answered(send, elapsed, verdict, ())

    def _own(self, send: SendBatch) -> None:
        """Give single pushes the owners that they need where not all goes well."""
        now, store_now = self._clock(), self._store_clock()
        for work, target in send.singles:
            pending = self._pending_page(work, Audience(targets=[target]), now, store_now)
            pending.started_at, pending.unanswered, pending.ordinals = send.started_at, 1, [target.ordinal]
            send.owners.append((pending, [target]))

    async def _verdict(self, send: SendBatch, lane: Lane) -> tuple[PageVerdict, float]:
        """What the service says, and after how many seconds."""
        started = time.perf_counter()
        try:
            verdict = await send.bulkhead.send(lane, send.page, size=send.size)
        except Exception as error:  # a sender's defect is its own platform's trouble, like that of its service
            what = f"the sender for {send.platform.value} of hub {send.hub}"
            self._observer.observe(Crashed(work=what, error=error))
            verdict = PageVerdict(exceptions=dict.fromkeys(range(len(send.page)), _SENDER_CRASHED))
        return verdict, time.perf_counter() - started

    def _take_verdict(self, send: SendBatch, verdict: PageVerdict, elapsed: float) -> None:
        """Give each owner what was said of its pushes."""
        pushes: list[TracedPushes] = []
        for pending, delivered, others in send.results(verdict):
            if is_sampled(pending.work.notification.trace):
                pushes.append(self._traced(pending, delivered, others, elapsed))
            results = pending.results if send.piece is None else send.piece.results
            if delivered:
                results.count(send.platform, OutcomeName.SUCCESS, delivered)
            for target, result in others:
                self._take_result(pending, results, target, result)
            self._answered(pending, send.piece, delivered + len(others))
        self._report_answered(send, elapsed, verdict, pushes)

    def _traced(
        self, pending: PendingPage, delivered: int, others: Sequence[tuple[Target, SendResult]], seconds: float
    ) -> TracedPushes:
        """What the trace of a notification says of these pushes."""
        work, now = pending.work, self._store_clock()
        outcomes = Counter(result.outcome for _, result in others)
        if delivered:
            outcomes[OutcomeName.SUCCESS] += delivered
        bad = [
            without_push_channel(result.reason, target)
            for target, result in others
            if result.outcome is not OutcomeName.SUCCESS and result.reason
        ]
        taken_at = 0.0 if pending.is_traced else work.taken_at
        pending.is_traced = True
        return TracedPushes(
            notification=work.notification,
            page=work.number,
            attempt=work.attempt + 1,
            due_at=max(_due_at(work), work.due_at),
            taken_at=taken_at,
            planned_at=pending.started_at,
            sent_at=now - seconds,
            answered_at=now,
            outcomes=outcomes,
            reason=Counter(bad).most_common(1)[0][0] if bad else "",
        )

    def _leave_unsent(self, send: SendBatch) -> None:
        """Its service has closed while the pushes waited for their turn, or they are not this process's any more."""
        send.bulkhead.withdraw(send.owners[0][0].work.lane, len(send.page), size=send.size)
        for pending, targets in send.owners:
            pending.defer(send.platform, "", targets)
            self._answered(pending, send.piece, len(targets))

    def _answered(self, pending: PendingPage, piece: Piece | None, count: int) -> None:
        """So many more pushes need not be waited for."""
        pending.unanswered -= count
        if piece is not None:
            piece.unanswered -= count
        if not pending.unanswered:
            self._finish(pending)
        elif piece is not None:
            self._record_front(pending)

    def _report_answered(
        self, send: SendBatch, seconds: float, verdict: PageVerdict, pushes: Sequence[TracedPushes]
    ) -> None:
        outcomes = Counter(result.outcome for result in verdict.exceptions.values())
        if verdict.delivered:
            outcomes[OutcomeName.SUCCESS] += verdict.delivered
        timed_out = sum(result.timed_out for result in verdict.exceptions.values())
        self._observer.observe(
            PageAnswered(
                hub=send.hub,
                platform=send.platform,
                seconds=seconds,
                outcomes=outcomes,
                timed_out=timed_out,
                together=len(send.owners) or len(send.singles),
                pushes=pushes,
            )
        )

    def _take_result(self, pending: PendingPage, results: PushResults, target: Target, result: SendResult) -> None:
        """Decide what becomes of a push: it ends, or is tried again."""
        reaction = result.reaction
        if reaction is Reaction.DELIVERED:
            results.count(target.platform, result.outcome)
            if result.new_push_channel is not None:
                renamed = RenamedChannel(platform=target.platform, old=target.push_channel, new=result.new_push_channel)
                self._renamed(pending.work.notification.hub, renamed)
        elif reaction in (Reaction.RETRY, Reaction.THROTTLED) or (reaction is Reaction.CONFIG and result.lane_wide):
            due_at = self._policy.next_try(
                pending.work.attempt + 1,
                now=self._clock(),
                gives_up_at=pending.gives_up_at,
                retry_after=result.retry_after,
            )
            if due_at is None:
                outcome = result.outcome if reaction is Reaction.CONFIG else OutcomeName.ABANDONED
                results.end(target, outcome, result.reason or result.outcome.value)
            else:
                reason = without_push_channel(result.reason, target)
                said = result if reason is result.reason else replace(result, reason=reason)
                results.retries.append((target.platform, target.ordinal, said))
        else:
            gone = reaction is Reaction.GONE
            # Of a phone that has registered since its channel was read, the service has said nothing.
            known = pending.started_at if result.gone_since is None else result.gone_since.timestamp()
            since = min(known, pending.started_at)
            results.end(target, result.outcome, result.reason, gone=gone, gone_since=since)

    def _record_front(self, pending: PendingPage) -> None:
        """Hand what is answered from the front of a page to the recorder, while the rest is under way."""
        before = pending.done
        results = pending.take_front()
        if results is not None:
            piece = PageResult(
                work=pending.work,
                counts=results.counts,
                done_before=before,
                done=pending.done,
                is_last=False,
                again=pending.to_be_tried_again(),
                ordinals=pending.frozen,
                failures=results.failures,
                started_at=pending.started_at,
            )
            self._done([piece])

    def _finish(self, pending: PendingPage) -> None:
        """Hand a piece whose pushes are all answered to the recorder, and report what became of it."""
        work = pending.work
        whole = pending.finish()
        self._report_ended(work, whole)
        retries = self._retry_pages(pending, whole) if whole.retries else []
        if pending.deferred:
            retries += self._deferred_pages(pending)
        retries += [
            RetryPage(platform=part.platform, ordinals=part.ordinals, delay=None, attempt=work.attempt, quiet=part)
            for part in pending.held
        ]
        last = PageResult(
            work=work,
            counts=pending.results.counts,
            done_before=pending.done,
            done=len(pending.ordinals) if work.ordinals is None else len(work.ordinals),
            unreached=pending.unreached,
            passed_over=pending.passed_over,
            ordinals=BitMap(pending.ordinals) if work.ordinals is None else work.ordinals,
            failures=pending.results.failures,
            retries=retries,
            started_at=pending.started_at,
        )
        self._done([last])

    def _report_ended(self, work: Work, results: PushResults) -> None:
        seconds = self._store_clock() - _due_at(work)
        for platform, counts in results.counts.items():
            self._observer.observe(
                PushesEnded(
                    notification=work.notification,
                    platform=platform,
                    outcomes=counts,
                    seconds=seconds,
                    reason=results.main_reason(platform),
                )
            )
        for platform, count in results.gone.items():
            self._observer.observe(ChannelsGone(hub=work.notification.hub, platform=platform, count=count))

    def _retry_pages(self, pending: PendingPage, results: PushResults) -> list[RetryPage]:
        """What is to be tried again, as pages: pushes whose service named a time apart from the others."""
        groups: dict[tuple[Platform, bool], list[tuple[int, SendResult]]] = {}
        for platform, ordinal, result in results.retries:
            groups.setdefault((platform, result.retry_after is not None), []).append((ordinal, result))
        attempt = pending.work.attempt + 1
        now = self._clock()
        pages = []
        for (platform, _), members in groups.items():
            longest = max((result.retry_after for _, result in members if result.retry_after is not None), default=None)
            ordinals = BitMap([ordinal for ordinal, _ in members])
            if longest is None and self._went_away(pending, platform):
                delay, due_at = None, max(now, self._bulkheads[pending.work.notification.hub, platform].closed_until)
            else:
                due_at = self._due_at(pending, platform, now, longest)
                delay = due_at - now
            pages.append(RetryPage(platform=platform, ordinals=ordinals, delay=delay, attempt=attempt))
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

    def _went_away(self, pending: PendingPage, platform: Platform) -> bool:
        """Whether pushes failed because their service went away under them: then they wait for it in their old place.

        With a backoff they would come after all that was accepted during the outage. A probe has its backoff: else the same
        few pushes would be the probe each time, and if the fault is theirs, keep all others waiting.
        """
        bulkhead = self._bulkheads.get((pending.work.notification.hub, platform))
        return bulkhead is not None and bulkhead.is_service_open and platform not in pending.probed

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
        pages = [
            RetryPage(
                platform=platform,
                ordinals=BitMap(deferred),
                delay=self._delay(pending, platform, host),
                attempt=pending.work.attempt,
            )
            for (platform, host), deferred in pending.deferred.items()
        ]
        if pages:
            self._report_deferred(pending)
        return pages


def _by_platform(audience: Audience) -> dict[Platform, int]:
    counts: dict[Platform, int] = {}
    for target in audience.targets:
        counts[target.platform] = counts.get(target.platform, 0) + 1
    return counts


def _due_at(work: Work) -> float:
    """Seconds of the store's clock: acceptance, or the time that the notification was scheduled for, or the end of quiet
    hours that held the work, if later."""
    schedule_at = work.notification.schedule_at
    if schedule_at is None and not work.quiet_until:  # as nearly always
        return work.accepted_at
    return max(work.accepted_at, _seconds(schedule_at) or 0.0, work.quiet_until)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
