"""The hub: one engine for all hubs of a process, over one store."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from hub.acceptance import Approval, AuditEntry, HandedOver, Ingest
from hub.backoff import Backoff
from hub.bookkeeping import Bookkeeping
from hub.clock import SteadyClock
from hub.content.held import Renderer, no_renderer
from hub.delivery.audiences import guarded_audiences
from hub.delivery.bulkhead import Bulkhead, Destination
from hub.delivery.dispatch import Dispatcher, Timing
from hub.delivery.handing_over import HandingOver
from hub.delivery.pacing import Pacing, Rates
from hub.delivery.probing import TestResult, probe
from hub.delivery.quota_sharing import QuotaSharing
from hub.delivery.retry import RetryPolicy
from hub.errors import CapacityError, ConfirmationError, NotFoundError, PreconditionError, StoreError, WithdrawnError
from hub.facts import (
    BreakerClosed,
    BreakerOpened,
    ChannelsGone,
    Crashed,
    NotificationApproved,
    NotificationsEnded,
    NotificationsSilenced,
    NotificationUnreached,
    PersonErased,
    RemovalBrakeChanged,
    SendAccepted,
    SilenceChanged,
    SilencesReleased,
)
from hub.guards import AudienceGuard, Guards, needs_approval
from hub.installation import Installation, Registration
from hub.job import Job, new_job_id
from hub.loops import Pulse, endure
from hub.notification import NativeContent, Notification, Platform
from hub.observer import Observer
from hub.origin import Origin
from hub.outcome import NotificationDetails, State
from hub.phone_report import PhoneReport, ReportPolicies, ReportPolicy, TakenReports
from hub.precedence import Precedence
from hub.push import PushPage, host_of
from hub.reporting import Reporting
from hub.silence import NewSilence, Silence, silence_for
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import AcceptanceResult, Service
from hub.store.contracts.people import Erased
from hub.store.contracts.registry import DeadChannel, GoneChannel
from hub.store.contracts.store import Store
from hub.store.health import HealthTiming, StoreHealth, StoreTrouble
from hub.tags import Tag, direct_tag, is_direct

_ID_DIGITS = 32

_DAY = 24 * 3600.0
"""Seconds beyond the last try for which the push channels of a direct send stay: no process may have been there to try."""

_DEAD_KEPT = 30 * _DAY
"""Seconds for which a registration stays whose push channel is dead."""

_TEXTS_KEPT = 2 * _DAY
"""Seconds for which a text held here stays that nothing names: a process may be about to accept what does."""

_MAX_JOBS = 100
"""Jobs of a hub that wait or run."""

_JOBS_KEPT = 30 * _DAY
"""Seconds for which a job stays of which nothing was written."""

_SUBSCRIPTIONS_KEPT = 400 * _DAY
"""Seconds for which what a user subscribed to on a phone stays after it was last changed or the user last signed in."""

_CHANGE_TRIES = 20
"""How often a change of an installation is made again that another write of the same installation overtook."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Seconds that things are kept after their end, and the most rows and bytes of them.

    `content` is for what notifications said, `event_content` for the values of events in the journal.
    """

    notifications: float
    content: float
    dead_letters: float
    max_dead_letters: int
    max_dead_letter_bytes: int
    events: float
    event_content: float
    max_journal_bytes: int


class Hub:
    """Accepts notifications, keeps who is registered, and delivers.

    `open`, then `run` as a task; `drain` before that task is cancelled, then `close`. `max_pending` bounds the
    notifications and pages that wait in the store: over it `capacity` is 0 and `send` refuses. `max_in_flight` bounds the
    single pushes under way for each hub and platform. Each push service has an equal share of `max_pending`: see
    `full_for`. `hubs` are those kept here, `remotes` those that are remote; their names are in lower case wherever the hub
    is given one. Remote hubs that are in `at_once` get what an event causes by `hand_over`. `guards` and `reports`, how
    they take reports of phones, are those of all. `rates` are those of rules and hubs. `held` counts by hub the
    notifications of this process's queues that wait for an approval. `precedence` is shared with those who hand over
    events. `renderer` makes the texts held here that notifications name.
    """

    def __init__(
        self,
        store: Store,
        senders: Mapping[Service, Destination[PushPage]],
        *,
        hubs: Sequence[str],
        remotes: Mapping[str, Destination[Sequence[Notification]]] | None = None,
        at_once: Collection[str] = (),
        guards: Guards | None = None,
        reports: ReportPolicies | None = None,
        rates: Rates | None = None,
        observer: Observer,
        policy: RetryPolicy = RetryPolicy(),
        max_pending: int = 100_000,
        max_in_flight: int = 2000,
        clock: Callable[[], float] | None = None,
        timing: Timing = Timing(),
        health_timing: HealthTiming = HealthTiming(),
        precedence: Precedence | None = None,
        renderer: Renderer = no_renderer,
    ) -> None:
        clock = clock or SteadyClock()
        self.health = StoreHealth(store, observer=observer, clock=clock, timing=health_timing)
        self.store = self.health.store
        self._observer = observer
        self._clock = clock
        self._timing = timing
        self._patience = health_timing.stalled
        self._max_pending = max_pending
        self.new_job = asyncio.Event()
        self._direct_kept = policy.max_age + _DAY
        self._max_in_flight = max_in_flight
        self._leaving: dict[asyncio.Task[None], Bulkhead[PushPage] | Bulkhead[Sequence[Notification]]] = {}
        self._full: frozenset[Service] = frozenset()
        self.held: dict[str, int] = {}
        self._operations = Counter[tuple[str, str]]()
        self._tallied_at = self._held_at = -math.inf
        self._counting = Pulse()
        self.books = Bookkeeping(self.store, observer=observer, every=timing.books_every)
        self.bulkheads: dict[Service, Bulkhead[PushPage]] = {}
        self.without_credential: set[Service] = set()
        self.remotes: dict[str, Bulkhead[Sequence[Notification]]] = {}
        self.guards: dict[str, AudienceGuard] = {}
        self.report_policies: dict[str, ReportPolicy] = dict(reports or {})
        self._reporting = Reporting(self.store, self.report_policies, write=self._write, observer=observer, clock=clock)
        self.pacing = Pacing(rates or Rates(), sharers=lambda: self.store.fleet().live, clock=clock)
        self._at_once: set[str] = set(at_once)
        self._add(hubs, senders, remotes or {}, guards or {})
        self._dispatcher = Dispatcher(
            self.health,
            self.bulkheads,
            without_credential=self.without_credential,
            remotes=self.remotes,
            guards=self.guards,
            reports=self.report_policies,
            pacing=self.pacing,
            observer=observer,
            policy=policy,
            slots=2 * max_in_flight,
            clock=clock,
            timing=timing,
            precedence=precedence,
            renderer=renderer,
        )
        self._handing_over = HandingOver(self._dispatcher.forwarding, observer=observer, store_clock=self.store.now)
        self._quotas = QuotaSharing(self.bulkheads, self.store, granted=self._dispatcher.wake)

    async def open(self) -> int:
        """Open the store; how much work was due when the process before this one ended. Raises: StoreError."""
        self.store.serve(lambda: list(self.bulkheads), self._known_hubs)
        left_over = await self.store.open()
        await self._count_now()
        self.held = dict(await self.store.held())
        self._dispatcher.has_backlog = self.pending > 0
        for bulkhead in self.bulkheads.values():
            bulkhead.has_queue = self.pending > 0
        return left_over

    def _known_hubs(self) -> set[str]:
        return {hub for hub, _ in (*self.bulkheads, *self.without_credential)} | self.remotes.keys()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._dispatcher.run())
            group.create_task(self._count())
            group.create_task(self.books.run())
            for work, loop in (
                ("the watch over the store", self.health.watch),
                ("the upkeep of the store", self.store.tend),
                ("the sharing of quotas", self._quotas.run),
            ):
                group.create_task(endure(work, loop, observer=self._observer, pause=self._timing.count_every))

    @property
    def stages(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What the hub does all the time, by name: each returns as soon as that part has proved that it goes on."""
        return {
            "claim": self._dispatcher.claims,
            "send": self._dispatcher.answers,
            "record": self._dispatcher.records,
            "sum": self._dispatcher.sums,
            "count": self._counting.felt,
            "books": self.books.pulse.felt,
            "watch": self.health.pulse.felt,
            "tend": self.store.tends,
            "quotas": self._quotas.pulse.felt,
        }

    async def drain(self, seconds: float) -> None:
        """Finish what is under way within `seconds`; what is not done then goes back to the store."""
        await self._dispatcher.drain(seconds)

    async def close(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            for pushes in self.bulkheads.values():
                stack.push_async_callback(pushes.close)
            for remote in self.remotes.values():
                stack.push_async_callback(remote.close)
            for task, bulkhead in self._leaving.items():
                task.cancel()
                stack.push_async_callback(bulkhead.close)

    def replace_hubs(
        self,
        *,
        gone: Sequence[str],
        hubs: Sequence[str],
        senders: Mapping[Service, Destination[PushPage]],
        remotes: Mapping[str, Destination[Sequence[Notification]]],
        at_once: Collection[str] = (),
        guards: Guards,
        reports: ReportPolicies | None = None,
    ) -> None:
        """Take away the hubs that are `gone`, and add others; a hub in both gets new clients.

        Old clients close when what they have under way is answered. Pages that wait for a hub which is no more go on
        waiting, in case it comes back, and end as abandoned when pushes for a service that stays away would.
        """
        leaving: list[Bulkhead[PushPage] | Bulkhead[Sequence[Notification]]] = [
            self.bulkheads.pop(key) for key in list(self.bulkheads) if key[0] in gone
        ]
        self.without_credential -= {key for key in self.without_credential if key[0] in gone}
        leaving += [self.remotes.pop(hub) for hub in gone if hub in self.remotes]
        for hub in gone:
            self.guards.pop(hub, None)
            self.report_policies.pop(hub, None)
        self._at_once = self._at_once.difference(gone).union(at_once)
        self._add(hubs, senders, remotes, guards)
        self.report_policies |= reports or {}
        for bulkhead in leaving:
            bulkhead.retire()
            task = asyncio.create_task(bulkhead.close_when_idle())
            self._leaving[task] = bulkhead
            task.add_done_callback(self._leaving.pop)

    def _add(
        self,
        hubs: Sequence[str],
        senders: Mapping[Service, Destination[PushPage]],
        remotes: Mapping[str, Destination[Sequence[Notification]]],
        guards: Guards,
    ) -> None:
        self.guards |= guards
        for hub in hubs:
            for platform in Platform.known():
                sender = senders.get((hub, platform))
                if sender is None:
                    self.without_credential.add((hub, platform))
                    continue
                listener = _Breaker(self._observer, hub, platform)
                self.bulkheads[hub, platform] = Bulkhead(
                    sender,
                    single=self._max_in_flight,
                    clock=self._clock,
                    listener=listener,
                    secret_of=lambda page, position: page.push_channels[position],
                    host_of=lambda page, position: host_of(page.push_channels[position]),
                )
        for hub, remote in remotes.items():
            self.remotes[hub] = Bulkhead(
                remote, single=self._max_in_flight, clock=self._clock, listener=_Breaker(self._observer, hub, None)
            )

    async def housekeep(self, kept: Retention, *, on_slice: Callable[[], None] = lambda: None) -> None:
        """Drop what is past its time, a slice at a time; `on_slice` hears of each. Raises: StoreError."""
        store = self.store
        for drop in (
            partial(store.forget_ended, kept=kept.notifications),
            partial(store.clear_ended, kept=kept.content),
            partial(
                store.bound_dead_letters,
                kept=kept.dead_letters,
                max_rows=kept.max_dead_letters,
                max_bytes=kept.max_dead_letter_bytes,
            ),
            partial(
                store.bound_journal,
                events_kept=kept.events,
                content_kept=kept.event_content,
                max_bytes=kept.max_journal_bytes,
            ),
            partial(store.forget_texts, kept=_TEXTS_KEPT),
            partial(store.forget_dead, kept=_DEAD_KEPT),
            store.forget_silences,
            partial(store.forget_jobs, kept=_JOBS_KEPT),
            partial(store.forget_phones, kept=_DEAD_KEPT, subscriptions_kept=_SUBSCRIPTIONS_KEPT),
            store.fold,
        ):
            while await drop():
                on_slice()
            on_slice()
        await store.overwrite_cleared()

    @property
    def store_trouble(self) -> StoreTrouble | None:
        """An operation that the store fails to do, None while it does all."""
        return self.health.trouble

    # Notifications

    @property
    def capacity(self) -> int:
        """How many more notifications may wait."""
        return max(0, self._max_pending - self.pending)

    @property
    def pending(self) -> int:
        """Notifications and pages that wait or are under way."""
        return self._dispatcher.pending

    @property
    def in_hand(self) -> int:
        """Pieces of work under way."""
        return self._dispatcher.in_hand

    @property
    def max_pending(self) -> int:
        return self._max_pending

    async def hand_over(
        self,
        notifications: Sequence[Notification],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> HandedOver:
        """Hand over those of hubs that have to have them before their event is settled; the others are not looked at.

        `arrivals` are the events that cause them: what one causes that was accepted before is not handed over again. A
        hub that is away is asked again until `withdrawn` comes true. Raises: WithdrawnError.
        """
        for_now = [each for each in notifications if each.hub in self._at_once] if self._at_once else []
        if for_now and (silences := self.store.silences_in_force):  # acceptance holds these, or drops them
            for_now = [each for each in for_now if silence_for(each, silences) is None]
        if for_now:
            new = await self._caused_anew(arrivals())
            for_now = [each for each in for_now if each.id in new]
        if not for_now:
            return HandedOver()
        refused = await self._handing_over.hand_over(for_now, withdrawn=withdrawn)
        return HandedOver(taken={each.id for each in for_now}.difference(refused), refused=refused)

    async def _caused_anew(self, arrivals: Sequence[Ingest]) -> Collection[str]:
        """Ids of the notifications of events that were not accepted before.

        Of a store that fails nothing is known, and acceptance is about to wait for it: then all of them are.
        """
        try:
            duplicates = await self._in_time(self.store.duplicates(arrivals))
        except StoreError:
            duplicates = frozenset()
        return {
            notification.id
            for index, arrival in enumerate(arrivals)
            if index not in duplicates
            for notification in arrival.notifications
        }

    async def accept(
        self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool] = lambda: False
    ) -> AcceptanceResult:
        """Take a batch of events in one transaction; returns when it is durable.

        A store that fails is asked again in place, with backoff, for as long as it takes: nothing may be settled
        before, and giving back would burn the broker's delivery count. `withdrawn` is asked before each further try.

        Raises: WithdrawnError.
        """
        first, longest = self._timing.accept_backoff
        backoff = Backoff(first=first, longest=longest)
        with self.health.repeating("accept"):
            while True:
                try:
                    return await self._accept_now(arrivals)
                except StoreError as error:
                    await self.health.pause(backoff.next())
                    if withdrawn():
                        raise WithdrawnError("withdrawn while the store failed") from error

    async def send(
        self,
        notification: Notification,
        *,
        confirmed: int = 0,
        actor: str = "api",
        audit: AuditEntry | None = None,
        origin: Origin | None = None,
    ) -> str:
        """Take one notification of the API; its wire id, once it is durable.

        The same id again is the same notification. `confirmed` is for how many registrations `actor`, who sends, says that
        it may be. `audit` is written with it, for an operator's send, and `origin` in the journal, for that of another
        pushbridge.

        Raises: ConfirmationError: it is for more; CapacityError; StoreError: not taken.
        """
        await self._check_size(notification, confirmed)
        if not self.capacity:
            raise CapacityError(f"{self.pending} notifications wait already", retry_after=1.0)
        if await self.full_for([notification]):
            services = ", ".join(sorted(f"{platform.value} of hub {hub}" for hub, platform in self._full))
            raise CapacityError(f"as many notifications as may wait already wait for {services}", retry_after=1.0)
        approval = Approval(most=confirmed, actor=actor) if confirmed else None
        await self._write(lambda: asyncio.shield(self._commit_send(notification, approval, audit, origin)))
        return wire_id(notification.id, self.store.now())

    async def confirmation_for(self, notification: Notification) -> int | None:
        """Of how many registrations a send needs a confirmation now; None: it needs none. Raises: StoreError."""
        guard = self.guards.get(notification.hub)
        if guard is None or guard.confirm_above is None or is_direct(notification.audience):
            return None
        (audience,) = await self._in_time(guarded_audiences(self.store, [notification], self.guards))
        return audience.size if needs_approval(notification, audience.size, self.guards) else None

    async def _check_size(self, notification: Notification, confirmed: int) -> None:
        """Raises: ConfirmationError, StoreError."""
        count = await self.confirmation_for(notification)
        if count is not None and confirmed < count:
            above = self.guards[notification.hub].confirm_above or 0
            raise ConfirmationError(
                f"The notification is for {count} registrations, and more than {above} need a confirmation",
                count=count,
                above=above,
            )

    async def send_direct(self, notification: Notification, push_channels: Sequence[str]) -> str:
        """Take a native notification for push channels, which need not be registered; its wire id.

        Its audience is replaced by these. Each gets it once, a repetition is passed over.

        Raises: CapacityError; StoreError: not taken.
        """
        assert isinstance(notification.content, NativeContent)
        if not self.capacity:
            raise CapacityError(f"{self.pending} notifications wait already", retry_after=1.0)
        platform, tag = notification.content.platform, direct_tag(notification.id)
        channels = list(dict.fromkeys(push_channels))
        # First the push channels: a crash in between leaves what expires, and nothing that was promised.
        await self._write(
            lambda: self.store.put_direct(notification.hub, platform, channels, tag=tag, kept=self._direct_kept)
        )
        return await self.send(replace(notification, audience=Tag(tag)))

    async def send_test(self, notification: Notification, *, push_channel: str = "") -> Sequence[TestResult]:
        """Send at once to a few of the audience, or to a push channel; what was said of each. Raises: StoreError."""
        return await self._in_time(
            probe(notification, self.store, self.bulkheads, self.guards, push_channel=push_channel)
        )

    async def end_test(self, hub: str, results: Sequence[TestResult]) -> None:
        """Mark the push channels as dead that a test send found dead. Raises: StoreError."""
        gone = [
            GoneChannel(
                platform=each.platform,
                push_channel=each.push_channel,
                reason=each.reason,
                gone_since=each.gone_since,
            )
            for each in results
            if each.is_gone
        ]
        if not gone:
            return
        await self._write(lambda: self.store.mark_channels_dead(hub, gone))
        for platform, count in Counter(each.platform for each in gone).items():
            self._observer.observe(ChannelsGone(hub=hub, platform=platform, count=count))

    async def revive(self, hub: str, *, within: float, actor: str) -> int:
        """Bring back devices that were removed within these seconds, as their push channels were called dead.

        How many registrations; it takes as long as it needs. Raises: StoreError: ask again, what is back stays.
        """
        audit = AuditEntry(actor=actor, action="devices.restore", target=hub)
        return await self.store.revive(hub, within=within, audit=audit)

    async def full_for(self, notifications: Sequence[Notification]) -> frozenset[str]:
        """Ids of the notifications that are for push services alone which do not work and whose share is full.

        Nothing is asked of the store while no share is full. Raises: StoreError.
        """
        hubs = {hub for hub, _ in self._full}
        asked = [notification for notification in notifications if notification.hub in hubs]
        if not asked:
            return frozenset()
        full = []
        for notification, audience in zip(asked, await guarded_audiences(self.store, asked, self.guards), strict=True):
            platforms = {target.platform for target in audience.targets} | {platform for platform, _ in audience.pages}
            services = {(notification.hub, platform) for platform in platforms}
            if services and services <= self._full:
                full.append(notification.id)
        return frozenset(full)

    async def _accept_now(self, arrivals: Sequence[Ingest]) -> AcceptanceResult:
        """To its end, though the caller is cancelled: what was accepted is in hand, and no other process delivers it."""
        return await asyncio.shield(self._commit(arrivals))

    async def _commit(self, arrivals: Sequence[Ingest]) -> AcceptanceResult:
        result = await self.store.accept(arrivals, start=self._dispatcher.free_slots)
        accepted = sum(
            len(arrival.notifications) for index, arrival in enumerate(arrivals) if index not in result.duplicates
        )
        if accepted := accepted - result.not_sent:
            self._dispatcher.submit(result.work, accepted=accepted, silenced=len(result.silenced))
        self._tell_of(result)
        return result

    def _tell_of(self, result: AcceptanceResult) -> None:
        """Tell of notifications that rules withdrew, and that silences hold or drop."""
        if result.silenced:
            self._observer.observe(NotificationsSilenced(silenced=result.silenced))
        ended = Counter((each.hub, State.CANCELLED) for those in result.withdrawn.values() for each in those)
        if ended:
            self._observer.observe(NotificationsEnded(counts=ended))
            self._dispatcher.pending = max(0, self._dispatcher.pending - ended.total())

    async def _commit_send(
        self, notification: Notification, approval: Approval | None, audit: AuditEntry | None, origin: Origin | None
    ) -> None:
        ingest = Ingest(source="", event_id="", notifications=[notification], approval=approval, audit=audit)
        if origin is not None:
            ingest = replace(ingest, journal=origin.entry(notification), configuration=origin.configuration)
        result = await self._commit([ingest])
        if notification.id not in result.repeated:
            self._observer.observe(SendAccepted(notification=notification))

    async def replay(self, letter_id: int, ingest: Ingest, *, outcome: str, actor: str) -> AcceptanceResult | None:
        """Accept what a dead letter causes now, and mark the letter with the outcome; None: it was accepted before.

        Raises: CapacityError, NotFoundError; StoreError: not done.
        """
        if ingest.notifications and not self.capacity:
            raise CapacityError(f"{self.pending} notifications wait already", retry_after=1.0)
        return await self._write(lambda: asyncio.shield(self._commit_replay(letter_id, ingest, outcome, actor)))

    async def _commit_replay(self, letter_id: int, ingest: Ingest, outcome: str, actor: str) -> AcceptanceResult | None:
        start = self._dispatcher.free_slots
        result = await self.store.replay(letter_id, ingest, outcome=outcome, start=start, actor=actor)
        if result is not None and (accepted := len(ingest.notifications) - len(result.repeated) - result.not_sent):
            self._dispatcher.submit(result.work, accepted=accepted, silenced=len(result.silenced))
        if result is not None:
            self._tell_of(result)
        return result

    # Silences

    async def add_silence(self, new: NewSilence) -> Silence:
        """Hold or drop what it covers from now on. Raises: CapacityError; StoreError: not done."""
        silence = await self._write(lambda: self.store.add_silence(new))
        self._observer.observe(SilenceChanged(silence=silence))
        return silence

    async def remove_silence(self, silence_id: str, *, actor: str) -> Silence:
        """End it, and release what it holds. Raises: NotFoundError: none of this id is in force; StoreError: not done."""
        silence = await self._write(lambda: self.store.remove_silence(silence_id, actor=actor))
        self._observer.observe(SilenceChanged(silence=silence))
        return silence

    # People

    async def erase_person(self, person: str, *, actor: str) -> Erased:
        """Erase all that is kept of a person; it takes as long as it needs. Raises: StoreError: ask again."""
        erased = await self.store.erase_person(person, actor=actor)
        self._observer.observe(
            PersonErased(
                digest=erased.digest,
                rows={kind.value: count for kind, count in erased.rows.items()},
                notifications=erased.notifications,
                is_overwritten=erased.is_overwritten,
                actor=actor,
            )
        )
        return erased

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """By the wire id, or its first 32 hex digits. Raises: NotFoundError."""
        return await self._in_time(self.store.details(hub, _digits_of(notification_id)))

    async def cancel(self, hub: str, notification_id: str) -> None:
        """End a notification that waits for its time. Raises: NotFoundError: there is none, or its time has come."""
        digits = _digits_of(notification_id)
        if not await self._write(lambda: self.store.cancel(hub, digits)):
            raise NotFoundError(f"notification {notification_id!r} does not wait for its time")
        self._observer.observe(NotificationsEnded(counts={(hub, State.CANCELLED): 1}))
        self._dispatcher.pending = max(0, self._dispatcher.pending - 1)

    async def stop(self, notification_id: str, *, actor: str) -> None:
        """Cancel a notification that has not ended, also while its pushes are being made, by this process or others.

        Raises: NotFoundError: there is none, or it has ended.
        """
        digits = _digits_of(notification_id)
        hub = await self._write(lambda: self.store.stop(digits, actor=actor))
        if hub is None:
            raise NotFoundError(f"notification {notification_id!r} has ended, or there is none")
        self._observer.observe(NotificationsEnded(counts={(hub, State.CANCELLED): 1}))

    async def approve(self, notification_id: str, *, actor: str) -> None:
        """Let a notification that is held go to whatever its audience is. Raises: NotFoundError: no such one is held."""
        digits = _digits_of(notification_id)
        hub = await self._write(lambda: self.store.approve(digits, actor=actor))
        if hub is None:
            raise NotFoundError(f"no notification {notification_id!r} waits for an approval")
        self._observer.observe(NotificationApproved(hub=hub, notification_id=digits, actor=actor))

    # Reports of phones

    async def report(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], *, with_key: bool = False
    ) -> TakenReports:
        """What an installation says of its pushes. Raises: NotFoundError: there is none; CapacityError; StoreError."""
        return await self._reporting.take(hub, installation_id, reports, with_key=with_key)

    # Registry

    async def put_installation(self, hub: str, installation: Installation) -> None:
        await self._write(lambda: self.store.put_installations(hub, [installation]))
        self._operations[hub, "put_installation"] += 1

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        """Many in one transaction."""
        await self.store.put_installations(hub, installations)

    async def add_installation(self, hub: str, installation: Installation) -> None:
        """Raises: PreconditionError: there is one of this id; InvalidRequestError."""
        await self._write(lambda: self.store.add_installation(hub, installation))

    async def change_installation(
        self, hub: str, installation_id: str, change: Callable[[Installation], Installation]
    ) -> None:
        """Replace it by what `change` makes of it, which is asked again when another write comes between.

        Raises: NotFoundError; PreconditionError: others write without end; what `change` raises.
        """
        for tries_left in reversed(range(_CHANGE_TRIES)):
            changed = change(await self.get_installation(hub, installation_id))
            try:
                await self._write(partial(self.store.change_installation, hub, changed))
                self._operations[hub, "change_installation"] += 1
                return
            except PreconditionError:
                if not tries_left:
                    raise

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""
        return await self._in_time(self.store.get_installation(hub, installation_id))

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        """An unknown id is fine: afterwards there is none."""
        await self._write(lambda: self.store.delete_installation(hub, installation_id))
        self._operations[hub, "delete_installation"] += 1

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        """Raises: NotFoundError, PreconditionError (both only with `if_match`), GoneError, InvalidRequestError."""
        put = await self._write(lambda: self.store.put_registration(hub, registration, if_match=if_match))
        self._operations[hub, "put_registration"] += 1
        return put

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        """Raises: NotFoundError."""
        return await self._in_time(self.store.get_registration(hub, registration_id))

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """Those that live, by ordinal; with `tag` those that carry it."""
        return await self._in_time(self.store.registrations(hub, tag=tag, after=after, limit=limit))

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """As `registrations`, those of these push channels."""
        return await self._in_time(self.store.registrations_of(hub, channels, after=after, limit=limit))

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        """Push channels that a push service said to be dead, the first to die first."""
        return await self._in_time(self.store.dead_channels(hub, after=after, limit=limit))

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        """Raises: NotFoundError, PreconditionError."""
        await self._write(lambda: self.store.delete_registration(hub, registration_id, if_match=if_match))
        self._operations[hub, "delete_registration"] += 1

    async def registration_count(self, hub: str) -> int:
        """How many registrations live in a hub."""
        counts = await self._in_time(self.store.registrations_by_platform())
        return sum(count for (name, _), count in counts.items() if name == hub)

    # Jobs

    async def submit_job(self, job: Job) -> Job:
        """Keep a new job, to which id and times are given. Raises: CapacityError; StoreError: not kept."""
        now = self.store.now()
        job = replace(job, id=new_job_id(now), created_at=now, updated_at=now)
        await self._write(lambda: self.store.put_job(job, most=_MAX_JOBS))
        self.new_job.set()
        return job

    async def job(self, hub: str, job_id: str) -> Job:
        """Raises: NotFoundError."""
        return await self._in_time(self.store.job(hub, job_id))

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        """Newest first."""
        return await self._in_time(self.store.jobs(hub, after=after, limit=limit))

    async def _write(self, write: Callable[[], Awaitable[T]]) -> T:
        """For a client that waits. Raises: StoreError: at once while the store fails, and soon when it hangs."""
        if self.store_trouble is not None:
            raise StoreError(self.store_trouble.cause)
        return await self._in_time(write())

    async def _count(self) -> None:
        """Report breakers whose pause is over, end what no service takes any more, and keep `capacity` right."""
        while True:
            self._counting.beat()
            await asyncio.sleep(self._timing.count_every)
            for bulkhead in self.bulkheads.values():
                bulkhead.look()
            for remote in self.remotes.values():
                remote.look()
            try:
                await self._count_now()
                await self._look_at_held()
                await self._tally()
                await self._dispatcher.end_orphans()
            except StoreError:
                pass  # reported, and tried again
            except Exception as error:  # a defect in a count is no reason to end delivery
                self._observer.observe(Crashed(work="the count of what waits", error=error))

    async def _count_now(self) -> None:
        """What is added and ends here is known at once, but other processes work too, and rows are dropped."""
        before = self.pending
        backlog = await self.store.backlog()
        # What came and went during the count may be in it or not; the next count puts that right.
        self._dispatcher.pending = max(0, sum(backlog.values()) + self.pending - before)
        share = self._max_pending / max(1, len(self.bulkheads))
        # One that works has as much as it can take: intake pauses when all is full, and nothing is lost by waiting.
        self._full = frozenset(
            key for key, bulkhead in self.bulkheads.items() if backlog.get(key, 0) >= share and not bulkhead.is_working
        )

    async def _look_at_held(self) -> None:
        """Count what is held, end what nobody approved in time or a silence drops, and release what silences held that have
        ended. Raises: StoreError."""
        has_silences = bool(self.store.known_silences)
        is_asked = has_silences or bool(self.held) or any(guard.confirm_above for guard in self.guards.values())
        # A queue that another process leaves may hold some, though nothing here has ever held any.
        if not is_asked and self._clock() - self._held_at < self._timing.tally_every:
            return
        self._held_at = self._clock()
        while True:
            recorded = await self.store.end_held()
            if recorded.ended:
                self._observer.observe(NotificationsEnded(counts=recorded.ended))
            for notification, why, count in recorded.unreached:
                self._observer.observe(NotificationUnreached(notification=notification, why=why, count=count))
            if not recorded.ended:
                break
        while has_silences and (released := await self.store.release_silenced()):
            self._observer.observe(SilencesReleased(count=released))
        self.held = dict(await self.store.held())

    async def _tally(self) -> None:
        """Add up, now and then, what ended and what was asked of the registry. Raises: StoreError."""
        if self._clock() - self._tallied_at < self._timing.tally_every:
            return
        self._tallied_at = self._clock()
        operations, self._operations = self._operations, Counter()
        try:
            more = await self.store.tally(operations)
        except StoreError:
            self._operations.update(operations)
            raise
        if more:
            self._tallied_at = -math.inf

    @property
    def full(self) -> frozenset[Service]:
        """Push services that do not work and whose share of `max_pending` is full."""
        return self._full

    async def _in_time(self, answer: Awaitable[T]) -> T:
        """Raises: StoreError: no answer for so long that the client should come again; it may still be done."""
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            raise StoreError(f"no answer for {self._patience:g} s") from None


@dataclass(frozen=True, slots=True)
class _Breaker:
    """Tells the observer whose breaker and brake it is."""

    observer: Observer
    hub: str
    platform: Platform | None

    def opened(self, cause: str, until: float) -> None:
        self.observer.observe(BreakerOpened(hub=self.hub, platform=self.platform, cause=cause, until=until))

    def closed(self, seconds: float, why: str) -> None:
        self.observer.observe(BreakerClosed(hub=self.hub, platform=self.platform, seconds=seconds, why=why))

    def braked(self, share: float) -> None:
        self.observer.observe(RemovalBrakeChanged(hub=self.hub, platform=self.platform, is_on=True, share=share))

    def released(self, share: float, why: str) -> None:
        self.observer.observe(
            RemovalBrakeChanged(hub=self.hub, platform=self.platform, is_on=False, share=share, why=why)
        )


def _digits_of(notification_id: str) -> str:
    """The id within a wire id. Raises: NotFoundError: there is none in it."""
    digits = notification_id[:_ID_DIGITS].lower()
    if len(digits) != _ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise NotFoundError(f"notification {notification_id!r} not found")
    return digits


def wire_id(notification_id: str, accepted_at: float) -> str:
    """A notification id as the service spells it: 32 hex digits, a time, two numbers."""
    return f"{notification_id}-{datetime.fromtimestamp(accepted_at, UTC):%Y%m%d%H%M%S}-1-1"
