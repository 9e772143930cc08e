"""A store: one database behind the contracts. Each method is a room's; here is only who answers what."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from pyroaring import BitMap

from hub.acceptance import AuditEntry, DeadLetter, Ingest, Partition
from hub.books import Unaccounted
from hub.errors import StoreError
from hub.follow_up import FollowedUp, FollowUpUsage
from hub.installation import Installation, Registration
from hub.job import Job
from hub.loops import Pulse
from hub.notification import Notification, Platform
from hub.outcome import NotificationDetails, State
from hub.phone import Phone, Topics
from hub.phone_report import PhoneReport, ReportPolicy, TakenReports
from hub.quota import QuotaGrant, QuotaReport
from hub.report import Reporter
from hub.silence import NewSilence, Silence, Silenced, SilenceUse
from hub.store.accounting.accounting import SqlAccounting
from hub.store.clock import StoreClock
from hub.store.connection import Database
from hub.store.contracts.accounting import AccountPlace, AccountStep
from hub.store.contracts.dead_letters import EVERY_LETTER, KeptLetter, LetterFilter, LetterUsage
from hub.store.contracts.fleet import FleetState, OwnershipCounts
from hub.store.contracts.journal import JournalUsage, KeptEvent
from hub.store.contracts.listing import ListPage
from hub.store.contracts.mirrors import Found, MirrorBacklog, MirroredDevice, MirrorState
from hub.store.contracts.outbox import (
    AcceptanceResult,
    Audience,
    PageResult,
    QueueState,
    QuietUsage,
    Recorded,
    Service,
    Work,
)
from hub.store.contracts.people import Erased, Kept, KeptOfPerson
from hub.store.contracts.registry import (
    EVERY_DEVICE,
    AudiencePreview,
    DeadChannel,
    Device,
    DeviceSearch,
    GoneChannel,
    RenamedChannel,
)
from hub.store.contracts.sinks import KeptReport, SinkLimits, SinkUsage
from hub.store.contracts.telemetry import (
    KeptAudit,
    KeptNotification,
    ReceivedPushes,
    Tally,
    TallyKind,
    TracedRegistration,
)
from hub.store.follow_ups.follow_ups import SqlFollowUps
from hub.store.jobs.jobs import SqlJobs
from hub.store.journal.journal import SqlJournal
from hub.store.letters.letters import SqlLetters
from hub.store.mirrors.mirrors import SqlMirrors
from hub.store.outbox.outbox import SqlOutbox
from hub.store.outbox.ownership import Sharing
from hub.store.outbox.remembering import SeenWindow
from hub.store.people.people import ErasureLog, SqlPeople
from hub.store.phones.phones import SqlPhones
from hub.store.quotas.quotas import SqlQuotas
from hub.store.registry.registry import SqlRegistry, mark_dead
from hub.store.reports.reports import SqlReports
from hub.store.silences.silences import SqlSilences
from hub.store.sinks.sinks import SqlSinks
from hub.store.telemetry.listing import SCANNED
from hub.store.telemetry.telemetry import SqlTelemetry
from hub.tags import TagExpression
from hub.target import StoredTemplate, Target, TargetColumns
from hub.work import Lane

_EARLIER_KEPT = 30 * 24 * 3600.0
"""Seconds for which is known which template a registration had, as long as what was sent by it is kept."""
_COUNT_EVERY = 60.0
"""Seconds between two counts of all registrations for the sums of their hour."""
_TICK = 1.0
"""Seconds between two turns of `tend`."""


class StoreDatabase(Database, Protocol):
    """A database that a store opens and closes."""

    @property
    def erasures(self) -> ErasureLog: ...

    async def open(self) -> None:
        """Raises: StoreError."""

    async def close(self) -> None: ...


class SqlStore:
    """`hub.store.contracts.store.Store` on a database; `clock` is the host's, `monotonic` in seconds. `owner` names this
    process among those that share the database, if there is `sharing`.

    A part of the list of notifications looks at `scanned` rows at most.
    """

    def __init__(
        self,
        database: StoreDatabase,
        *,
        window: SeenWindow = SeenWindow(),
        clock: StoreClock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        scanned: int = SCANNED,
        owner: str | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._database = database
        owner = owner or secrets.token_hex(8)
        self._counted_at = 0.0
        self._ticking, self._owning = Pulse(), Pulse()
        self._clock = StoreClock() if clock is None else clock
        self._registry = SqlRegistry(database, now=self._clock.now)
        self._outbox = SqlOutbox(
            database,
            self._clock,
            owner=owner,
            mark_dead=mark_dead,
            window=window,
            monotonic=monotonic,
            sharing=sharing,
        )
        queues = self._outbox.queues
        self._letters = SqlLetters(database, queues, self._outbox.acceptor)
        self._people = SqlPeople(database, queues, self._outbox.withdrawer, self._registry, database.erasures)
        self._phones = SqlPhones(database, queues)
        self._journal = SqlJournal(database, self._clock, queues)
        self._sinks = SqlSinks(database, queues, now=self._clock.now, report_to=queues.report_to)
        self._follow_ups = SqlFollowUps(database, self._clock, queues, self._registry.place_of)
        self._reports = SqlReports(database, self._clock, queues, self._registry.place_of)
        self._accounting = SqlAccounting(database, queues)
        self._silences = SqlSilences(database, self._clock, queues, shift=lambda: queues.shift)
        self._jobs = SqlJobs(database, now=self._clock.now)
        self._quotas = SqlQuotas(database, now=self._clock.now, owner=owner)
        self._mirrors = SqlMirrors(
            database, now=self._clock.now, place_of=self._registry.place_of, make_place=self._registry.make_place
        )
        self._telemetry = SqlTelemetry(
            database,
            self._clock,
            queues=queues,
            is_in_hand=self._outbox.is_in_hand,
            place_of=self._registry.place_of,
            scanned=scanned,
        )

    async def open(self) -> int:
        await self._database.open()
        left_over = await self._outbox.open()
        await self._silences.read()
        await self._people.open()
        return left_over

    async def tend(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_again(self.tick, lambda: _TICK, self._ticking))
            ownership = self._outbox.queues.ownership
            if ownership is not None:  # a task of its own: no long write delays a renewal
                group.create_task(_again(self._outbox.tenure.renew, lambda: ownership.next_in, self._owning))

    async def tends(self) -> None:
        await self._ticking.felt()
        if self._outbox.queues.ownership is not None:
            await self._owning.felt()

    async def own(self) -> None:
        """One renewal of what this process owns. Raises: StoreError."""
        await self._outbox.tenure.renew()

    async def tick(self) -> None:
        """One turn of `tend`. Raises: StoreError."""
        await self._outbox.tend()
        await self._silences.read()
        await self._people.tend()

    async def probe(self) -> None:
        await self._database.probe()

    async def close(self) -> None:
        try:
            await self._outbox.tenure.end()
        except StoreError:
            pass  # only the last beat is missing
        finally:
            await self._database.close()

    # Fleet

    def fleet(self) -> FleetState:
        return self._outbox.tenure.fleet()

    def ownership(self) -> OwnershipCounts:
        return self._outbox.tenure.counts()

    def serve(self, services: Callable[[], Collection[Service]], hubs: Callable[[], Collection[str]]) -> None:
        self._outbox.tenure.serve(services, hubs)

    # Outbox

    def may_start(self) -> bool:
        return self._outbox.queues.may_start()

    def now(self) -> float:
        return self._clock.now()

    async def accept(self, batch: Sequence[Ingest], *, start: int) -> AcceptanceResult:
        return await self._outbox.acceptor.accept(batch, start=start)

    async def duplicates(self, batch: Sequence[Ingest]) -> frozenset[int]:
        return await self._outbox.acceptor.duplicates(batch)

    async def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return await self._outbox.acceptor.offsets(partitions)

    async def advance_offsets(self, following: Mapping[Partition, int]) -> None:
        await self._outbox.acceptor.advance_offsets(following)

    async def forget_offsets(self, partitions: Sequence[Partition]) -> None:
        await self._outbox.acceptor.forget_offsets(partitions)

    async def cancel(self, hub: str, notification_id: str, *, actor: str = "") -> bool:
        return await self._outbox.withdrawer.cancel(hub, notification_id, actor=actor)

    async def stop(self, notification_id: str, *, actor: str) -> str | None:
        return await self._outbox.withdrawer.stop(notification_id, actor=actor)

    async def hold(self, counted: Sequence[tuple[Work, int]]) -> Sequence[Work]:
        return await self._outbox.holder.hold(counted)

    def time_of_day(self) -> float:
        return self._clock.wall()

    async def hold_until(self, work: Sequence[tuple[Work, float]]) -> None:
        await self._outbox.holder.hold_until(work)

    async def zones(self, hub: str) -> Mapping[str, BitMap]:
        return await self._registry.zones(hub)

    async def quiet(self) -> QuietUsage:
        return await self._outbox.holder.quiet()

    def released(self) -> QuietUsage:
        return self._outbox.releaser.released()

    async def approve(self, notification_id: str, *, actor: str) -> str | None:
        return await self._outbox.holder.approve(notification_id, actor=actor)

    async def held(self) -> Mapping[str, int]:
        return await self._outbox.holder.held()

    async def end_held(self) -> Recorded:
        return await self._outbox.holder.end_held()

    # Silences

    @property
    def known_silences(self) -> Sequence[Silence]:
        return self._silences.known

    @property
    def silences_in_force(self) -> Sequence[Silence]:
        return self._silences.in_force

    async def add_silence(self, new: NewSilence) -> Silence:
        return await self._silences.add(new)

    async def remove_silence(self, silence_id: str, *, actor: str) -> Silence:
        return await self._silences.remove(silence_id, actor=actor)

    async def silence_usage(self) -> Mapping[str, SilenceUse]:
        return await self._silences.usage()

    async def silence(self, work: Sequence[Work]) -> Silenced:
        return await self._outbox.holder.silence(work)

    async def release_silenced(self) -> int:
        return await self._outbox.holder.release_silenced(await self._silences.ended_with_held())

    async def forget_silences(self) -> bool:
        return await self._silences.forget()

    # Work in hand

    async def begin_late(self, work: Sequence[Work]) -> None:
        await self._outbox.recorder.begin_late(work)

    def paced(self) -> Mapping[Service, int]:
        return self._outbox.backlog.paced()

    async def take(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        return await self._outbox.taker.take(lane, wanted)

    async def take_orphans(self, served: Collection[Service], limit: int, *, waited: float) -> Sequence[Work]:
        return await self._outbox.passer.take_orphans(served, limit, waited=waited)

    def serves_better(self, service: Service) -> bool:
        return self._outbox.tenure.serves_better(service)

    async def pass_on(self, work: Sequence[Work], *, waited: float) -> Sequence[Work]:
        return await self._outbox.passer.pass_on(work, waited=waited)

    async def give_back(self, work: Sequence[Work]) -> None:
        await self._outbox.recorder.give_back(work)

    async def postpone(self, work: Sequence[Work], *, delay: float, service: Service | None = None) -> None:
        await self._outbox.recorder.postpone(work, delay=delay, service=service)

    async def expand(self, work: Work, audience: Audience) -> None:
        await self._outbox.recorder.expand(work, audience)

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        return await self._outbox.recorder.record(results)

    async def sum_up(self) -> Recorded:
        return await self._outbox.recorder.sum_up()

    async def backlog(self) -> Mapping[Service | None, int]:
        return await self._outbox.backlog.by_service()

    async def queue_states(self) -> Mapping[Lane, QueueState]:
        return await self._outbox.backlog.queue_states()

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        return await self._registry.audiences(notifications)

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        return await self._registry.targets(hub, ordinals)

    async def target_columns(self, hub: str, ordinals: BitMap) -> TargetColumns:
        return await self._registry.target_columns(hub, ordinals)

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        return await self._registry.templates(ids)

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        return await self._outbox.acceptor.held_texts(ids)

    async def forget_texts(self, *, kept: float) -> bool:
        return await self._outbox.sweeper.forget_texts(kept=kept)

    # Registry

    async def put_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        await self._registry.put_installations(hub, installations)

    async def import_installations(self, hub: str, installations: Sequence[Installation]) -> None:
        await self._registry.import_installations(hub, installations)

    async def add_installation(self, hub: str, installation: Installation) -> None:
        await self._registry.add_installation(hub, installation)

    async def change_installation(self, hub: str, installation: Installation) -> None:
        await self._registry.change_installation(hub, installation)

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        return await self._registry.get_installation(hub, installation_id)

    async def delete_installation(self, hub: str, installation_id: str) -> bool:
        return await self._registry.delete_installation(hub, installation_id)

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        return await self._registry.put_registration(hub, registration, if_match=if_match)

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        return await self._registry.get_registration(hub, registration_id)

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        return await self._registry.registrations(hub, tag=tag, after=after, limit=limit)

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        return await self._registry.registrations_of(hub, channels, after=after, limit=limit)

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        return await self._registry.dead_channels(hub, after=after, limit=limit)

    async def mark_channels_dead(self, hub: str, channels: Sequence[GoneChannel]) -> int:
        return await self._registry.mark_channels_dead(hub, channels)

    async def rename_channels(self, hub: str, channels: Sequence[RenamedChannel]) -> int:
        return await self._registry.rename_channels(hub, channels)

    async def revive(self, hub: str, *, within: float, audit: AuditEntry) -> int:
        await self._outbox.queues.add_audit(audit)
        return await self._registry.revive(hub, within=within)

    async def put_direct(
        self, hub: str, platform: Platform, push_channels: Sequence[str], *, tag: str, kept: float
    ) -> None:
        await self._registry.put_direct(hub, platform, push_channels, tag=tag, kept=kept)

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        await self._registry.delete_registration(hub, registration_id, if_match=if_match)

    async def devices(
        self, hub: str, search: DeviceSearch = EVERY_DEVICE, *, after: str = "", limit: int
    ) -> ListPage[Device]:
        return await self._registry.devices(hub, search, after=after, limit=limit)

    async def device(self, hub: str, installation_id: str) -> Device:
        return await self._registry.device(hub, installation_id)

    async def preview(self, notification: Notification, guarded: Notification) -> AudiencePreview:
        return await self._registry.preview(notification, guarded)

    async def registrations_by_platform(self) -> Mapping[tuple[str, Platform], int]:
        return await self._registry.registrations_by_platform()

    async def erase_user(self, hub: str, user_id: str) -> int:
        return await self._registry.erase_user(hub, user_id)

    async def fold(self) -> bool:
        return self._outbox.queues.leads and await self._registry.fold()

    async def forget_dead(self, *, kept: float) -> bool:
        return self._outbox.queues.leads and await self._registry.forget_dead(kept=kept)

    # Dead letters

    async def letters(
        self, chosen: LetterFilter = EVERY_LETTER, *, after: str = "", limit: int
    ) -> ListPage[KeptLetter]:
        return await self._letters.letters(chosen, after=after, limit=limit)

    async def letter(self, letter_id: int) -> KeptLetter:
        return await self._letters.letter(letter_id)

    async def letter_usage(self) -> LetterUsage:
        return await self._letters.letter_usage()

    async def drop_dead_letters(self, ids: Sequence[int], *, actor: str) -> Sequence[int]:
        return await self._letters.drop_dead_letters(ids, actor=actor)

    async def replay(
        self, letter_id: int, ingest: Ingest, *, outcome: str, start: int, actor: str
    ) -> AcceptanceResult | None:
        return await self._letters.replay(letter_id, ingest, outcome=outcome, start=start, actor=actor)

    async def unpublished(self, relay: str, *, limit: int) -> Sequence[tuple[int, float, DeadLetter]]:
        return await self._letters.unpublished(relay, limit=limit)

    async def published(self, ids: Sequence[int]) -> None:
        await self._letters.published(ids)

    async def bound_dead_letters(self, *, kept: float, max_rows: int, max_bytes: int) -> bool:
        return await self._letters.bound_dead_letters(kept=kept, max_rows=max_rows, max_bytes=max_bytes)

    # People

    async def count_person(self, person: str) -> Mapping[Kept, int]:
        return await self._people.count_person(person)

    async def export_person(self, person: str, *, after: str = "", limit: int) -> ListPage[KeptOfPerson]:
        return await self._people.export_person(person, after=after, limit=limit)

    async def erase_person(self, person: str, *, actor: str) -> Erased:
        return await self._people.erase_person(person, actor=actor)

    # Reports of phones

    async def add_reports(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], policy: ReportPolicy
    ) -> TakenReports:
        return await self._reports.add_reports(hub, installation_id, reports, policy)

    # Phones

    async def phone(self, hub: str, phone_id: str) -> Phone | None:
        return await self._phones.phone(hub, phone_id)

    async def phone_registered(self, hub: str, registration_id: str) -> Phone | None:
        return await self._phones.phone_registered(hub, registration_id)

    async def phones_of(self, hub: str, user_id: str) -> Sequence[Phone]:
        return await self._phones.phones_of(hub, user_id)

    async def phones_with(self, hub: str, platform: Platform, push_channel: str) -> Sequence[Phone]:
        return await self._phones.phones_with(hub, platform, push_channel)

    async def subscriptions(self, hub: str, user_id: str, phone_id: str) -> Topics | None:
        return await self._phones.subscriptions(hub, user_id, phone_id)

    async def put_phone(self, hub: str, phone: Phone, *, topics: Topics | None = None) -> Phone:
        return await self._phones.put_phone(hub, phone, topics=topics)

    async def phone_written(self, hub: str, phone: Phone, digest: str) -> bool:
        return await self._phones.phone_written(hub, phone, digest)

    async def unwritten_phones(
        self, hub: str, *, unchanged_for: float, after: Phone | None = None, limit: int
    ) -> Sequence[Phone]:
        return await self._phones.unwritten_phones(hub, unchanged_for=unchanged_for, after=after, limit=limit)

    async def rewrite_phones(
        self, hub: str, *, after: str = "", limit: int, audit: AuditEntry | None = None
    ) -> tuple[int, str]:
        return await self._phones.rewrite_phones(hub, after=after, limit=limit, audit=audit)

    async def forget_phones(self, *, kept: float, subscriptions_kept: float) -> bool:
        return await self._phones.forget_phones(kept=kept, subscriptions_kept=subscriptions_kept)

    # Telemetry

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        return await self._telemetry.details(hub, notification_id)

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        return await self._telemetry.notifications(hub=hub, state=state, event_id=event_id, after=after, limit=limit)

    async def notification(self, notification_id: str) -> KeptNotification:
        return await self._telemetry.notification(notification_id)

    async def received(self, hub: str, installation_id: str, *, most: int) -> ReceivedPushes:
        return await self._telemetry.received(hub, installation_id, most=most)

    async def tally(self, operations: Mapping[tuple[str, str], int]) -> bool:
        more = await self._telemetry.tally(operations)
        if self._outbox.queues.leads and (now := self._clock.now()) - self._counted_at >= _COUNT_EVERY:
            await self._telemetry.keep_count(await self._registry.registrations_by_platform())
            await self._registry.drop_earlier(kept=_EARLIER_KEPT)
            self._counted_at = now
        return more

    async def tallies(self, kind: TallyKind, *, first: int, last: int) -> Sequence[Tally]:
        return await self._telemetry.tallies(kind, first=first, last=last)

    async def add_audit(self, entry: AuditEntry) -> None:
        await self._outbox.queues.add_audit(entry)

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        return await self._telemetry.audit(after=after, limit=limit)

    async def clear_ended(self, *, kept: float) -> bool:
        return await self._telemetry.clear_ended(kept=kept)

    async def overwrite_cleared(self) -> None:
        await self._people.overwrite_cleared()

    async def forget_ended(self, *, kept: float) -> bool:
        return await self._telemetry.forget_ended(kept=kept)

    async def sent(self, notification_id: str) -> Notification:
        return await self._telemetry.sent(notification_id)

    async def trace(
        self, notification_id: str, installation_id: str, *, only_to: TagExpression | None = None
    ) -> Sequence[TracedRegistration]:
        return await self._telemetry.trace(notification_id, installation_id, only_to=only_to)

    # Journal

    async def journaled(self, event_id: str, *, source: str = "", limit: int) -> Sequence[KeptEvent]:
        return await self._journal.journaled(event_id, source=source, limit=limit)

    async def journal(
        self, *, source: str = "", outcome: str = "", until: float | None = None, after: str = "", limit: int
    ) -> ListPage[KeptEvent]:
        return await self._journal.journal(source=source, outcome=outcome, until=until, after=after, limit=limit)

    async def journal_usage(self) -> JournalUsage:
        return await self._journal.journal_usage()

    async def bound_journal(self, *, events_kept: float, content_kept: float, max_bytes: int) -> bool:
        return await self._journal.bound_journal(
            events_kept=events_kept, content_kept=content_kept, max_bytes=max_bytes
        )

    # Mirrors

    def write_through(self, hubs: Collection[str]) -> None:
        self._registry.write_through(hubs)

    async def hold_mirror(self, hub: str, *, owner: str, lease: float) -> MirrorState | None:
        return await self._mirrors.hold_mirror(hub, owner=owner, lease=lease)

    async def release_mirror(self, hub: str, *, owner: str) -> None:
        await self._mirrors.release_mirror(hub, owner=owner)

    async def want_listing(self, hub: str, *, may_remove: bool = False) -> None:
        await self._mirrors.want_listing(hub, may_remove=may_remove)

    async def begin_listing(self, hub: str) -> None:
        await self._mirrors.begin_listing(hub)

    async def rewrite_mirror(self, hub: str, *, after: str = "", limit: int) -> tuple[int, str]:
        return await self._mirrors.rewrite_mirror(hub, after=after, limit=limit)

    async def mirror_state(self, hub: str) -> MirrorState:
        return await self._mirrors.mirror_state(hub)

    async def forget_mirrors(self, kept: Collection[str]) -> bool:
        return await self._mirrors.forget_mirrors(kept)

    async def due_devices(self, hub: str, *, limit: int) -> Sequence[MirroredDevice]:
        return await self._mirrors.due_devices(hub, limit=limit)

    async def name_there(self, hub: str, key: str, there: str) -> None:
        await self._mirrors.name_there(hub, key, there)

    async def written_there(self, hub: str, written: Sequence[MirroredDevice]) -> None:
        await self._mirrors.written_there(hub, written)

    async def postpone_there(self, hub: str, key: str, *, delay: float, reason: str) -> None:
        await self._mirrors.postpone_there(hub, key, delay=delay, reason=reason)

    async def mirror_backlog(self, hub: str) -> MirrorBacklog:
        return await self._mirrors.mirror_backlog(hub)

    async def mirrored(self, hub: str, keys: Sequence[str], *, there: Sequence[str] = ()) -> Sequence[MirroredDevice]:
        return await self._mirrors.mirrored(hub, keys, there=there)

    async def mirrored_before(
        self, hub: str, before: float, *, after: str = "", limit: int
    ) -> Sequence[MirroredDevice]:
        return await self._mirrors.mirrored_before(hub, before, after=after, limit=limit)

    async def take_found(self, hub: str, found: Sequence[Found], *, began: float) -> Sequence[bool]:
        return await self._registry.take_found(hub, found, began=began)

    async def forget_mirrored(self, hub: str, keys: Sequence[str], *, began: float) -> None:
        await self._mirrors.forget_mirrored(hub, keys, began=began)

    async def seed_mirror(self, hub: str) -> int:
        return await self._mirrors.seed_mirror(hub)

    async def listed(self, hub: str, *, began: float, counts: Mapping[str, int]) -> None:
        await self._mirrors.listed(hub, began=began, counts=counts)

    async def listing_failed(self, hub: str, failure: str) -> None:
        await self._mirrors.listing_failed(hub, failure)

    async def newer_here(self, hub: str, since: float) -> BitMap:
        return await self._mirrors.newer_here(hub, since)

    async def newer_there(self, hub: str, since: float) -> BitMap:
        return await self._mirrors.newer_there(hub, since)

    async def add_compared(self, counts: Mapping[tuple[str, str], int]) -> None:
        await self._mirrors.add_compared(counts)

    # Sinks

    def report_to(self, reporter: Reporter | None) -> None:
        self._sinks.report_to(reporter)

    async def unreported(self, sink: str, *, limit: int) -> Sequence[KeptReport]:
        return await self._sinks.unreported(sink, limit=limit)

    async def reported(self, ids: Sequence[int]) -> None:
        await self._sinks.reported(ids)

    async def postpone_reports(self, delays: Mapping[int, float]) -> None:
        await self._sinks.postpone_reports(delays)

    async def sink_usage(self) -> Mapping[str, SinkUsage]:
        return await self._sinks.sink_usage()

    async def bound_sinks(self, limits: Mapping[str, SinkLimits], *, others: SinkLimits) -> Mapping[str, int]:
        return await self._sinks.bound_sinks(limits, others=others)

    # Follow-ups

    async def follow_up(self) -> FollowedUp:
        return await self._follow_ups.follow_up()

    async def follow_up_usage(self) -> FollowUpUsage:
        return await self._follow_ups.follow_up_usage()

    # Accounting

    async def account(self, after: AccountPlace) -> AccountStep | None:
        return await self._accounting.account(after)

    async def account_again(self, found: Sequence[Unaccounted]) -> Sequence[Unaccounted]:
        return await self._accounting.account_again(found)

    # Quotas

    async def share_quotas(self, reports: Mapping[Service, QuotaReport]) -> Mapping[Service, QuotaGrant]:
        return await self._quotas.share_quotas(reports)

    async def known_quotas(self) -> Mapping[Service, float]:
        return await self._quotas.known_quotas()

    # Jobs

    async def put_job(self, job: Job, *, most: int) -> None:
        await self._jobs.put_job(job, most=most)

    async def job(self, hub: str, job_id: str) -> Job:
        return await self._jobs.job(hub, job_id)

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        return await self._jobs.jobs(hub, after=after, limit=limit)

    async def take_jobs(self, hubs: Collection[str], *, owner: str, lease: float) -> Sequence[Job]:
        return await self._jobs.take_jobs(hubs, owner=owner, lease=lease)

    async def write_job(self, job: Job, *, owner: str, lease: float) -> bool:
        return await self._jobs.write_job(job, owner=owner, lease=lease)

    async def release_job(self, job: Job, *, owner: str) -> None:
        await self._jobs.release_job(job, owner=owner)

    async def forget_jobs(self, *, kept: float) -> bool:
        return await self._jobs.forget_jobs(kept=kept)


async def _again(turn: Callable[[], Awaitable[None]], every: Callable[[], float], pulse: Pulse) -> None:
    """Until cancelled, a turn every so many seconds."""
    while True:
        pulse.beat()
        await asyncio.sleep(every())
        try:
            await turn()
        except StoreError:
            continue  # the next turn does it; what fails for long is seen by the calls of others
