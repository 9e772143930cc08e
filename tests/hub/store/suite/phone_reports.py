"""How stores keep what phones say of their pushes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.notification import NativeContent, Notification, Platform
from hub.phone_report import (
    MOST_ACTIONS,
    USUAL_POLICY,
    KeptReport,
    PhoneEvent,
    PhoneReport,
    ReportOutcome,
    ReportPolicy,
)
from hub.store.connection import Statement
from hub.store.contracts.outbox import Work
from hub.store.contracts.people import Kept
from hub.store.contracts.telemetry import TallyKind
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, take_pages, went_well
from tests.hub.store.suite.sinks import Told, bodies

ACCEPTED, REPEATED, UNKNOWN = ReportOutcome.ACCEPTED, ReportOutcome.REPEATED, ReportOutcome.UNKNOWN
FOREIGN, LATE, TOO_MANY = ReportOutcome.FOREIGN, ReportOutcome.LATE, ReportOutcome.TOO_MANY
ROWS = Statement("test.reports", "SELECT count(*) FROM report")
COUNTRIES = ReportPolicy(tag_prefix="country:", tag_values=("ch", "de"))


def said(one: Notification, event: PhoneEvent = PhoneEvent.OPENED, action: str = "") -> PhoneReport:
    return PhoneReport(notification_id=one.id, event=event, action=action)


async def pushed(store: SqlStore, *notifications: Notification) -> Sequence[Work]:
    """Have these sent to whom they are for."""
    works = await begin(store, *notifications)
    for work, audience in zip(works, await store.audiences(notifications), strict=True):
        ordinals = BitMap([target.ordinal for target in audience.targets])
        await store.record([replace(went_well(work, len(ordinals)), ordinals=ordinals, started_at=store.now())])
    return works


async def report(
    store: SqlStore, phone: str, *reports: PhoneReport, policy: ReportPolicy = USUAL_POLICY
) -> Sequence[ReportOutcome]:
    return (await store.add_reports(HUB, phone, reports, policy)).outcomes


class PhoneReports(Suite):
    async def test_a_report_counts_once_and_only_from_a_phone_that_the_push_was_for(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "sports")])
        one, other = notification("news"), notification("sports")
        await pushed(store, one, other)
        received, opened = said(one, PhoneEvent.RECEIVED), said(one)
        assert await report(store, "ann", received, opened, received) == [ACCEPTED, ACCEPTED, REPEATED]
        assert await report(store, "ann", opened, said(other), said(notification())) == [REPEATED, FOREIGN, UNKNOWN]
        assert await report(store, "bob", opened, said(other)) == [FOREIGN, ACCEPTED]
        assert (await store.notification(one.id)).reports == {"fcmv1": {"received": 1, "opened": 1}}
        assert (await store.notification(other.id)).reports == {"fcmv1": {"opened": 1}}
        with pytest.raises(NotFoundError):
            await report(store, "nobody", opened)
        with pytest.raises(NotFoundError):
            await store.add_reports("another", "ann", [opened], USUAL_POLICY)

    async def test_reports_on_a_broadcast_are_told_from_those_of_phones_that_came_later(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation(f"p{number:04}", templates=False) for number in range(1001)])
        one = notification(content=NativeContent(platform=Platform.FCM, payload=b"{}"))
        (work,) = await begin(store, one)
        (audience,) = await store.audiences([one])
        await store.expand(work, audience)
        for page in await take_pages(store):
            await store.record([went_well(page, len(page.ordinals or ()))])
        await store.sum_up()
        await store.put_installations(HUB, [installation("late", templates=False)])
        assert await report(store, "p0000", said(one)) == [ACCEPTED]
        assert await report(store, "p1000", said(one)) == [ACCEPTED]
        assert await report(store, "late", said(one)) == [FOREIGN]
        assert (await store.notification(one.id)).reports == {"fcmv1": {"opened": 2}}

    async def test_a_phone_may_name_a_few_actions_of_a_push(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        one = notification("news")
        await pushed(store, one)
        acted = [said(one, PhoneEvent.ACTED, f"action{number}") for number in range(MOST_ACTIONS + 1)]
        assert await report(store, "ann", *acted) == [ACCEPTED] * MOST_ACTIONS + [TOO_MANY]
        assert await report(store, "ann", acted[-1], acted[0]) == [TOO_MANY, REPEATED]

    async def test_a_report_that_comes_too_late_is_not_kept(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        one, policy = notification("news"), ReportPolicy(accept_for=3600.0)
        await pushed(store, one)
        clock.advance(3590)
        assert await report(store, "ann", said(one, PhoneEvent.RECEIVED), policy=policy) == [ACCEPTED]
        clock.advance(20)
        assert await report(store, "ann", said(one), policy=policy) == [LATE]
        assert (await store.notification(one.id)).reports == {"fcmv1": {"received": 1}}

    async def test_the_sums_of_hours_have_them_by_event_and_by_the_configured_tag(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        phones = [
            installation("ann", "news", "country:CH"),
            installation("bob", "news", "country:fr"),
            installation("cid", "news"),
        ]
        await store.put_installations(HUB, phones)
        one = notification("news")
        await pushed(store, one)
        for phone in phones:
            await report(store, phone.id, said(one), said(one), policy=COUNTRIES)
        hour = int(clock() // 3600)
        sums = await store.tallies(TallyKind.REPORT, first=hour, last=hour)
        assert [(each.platform, each.name, each.count) for each in sums] == [("fcmv1", "opened", 3)]
        sums = await store.tallies(TallyKind.REPORT_BY_TAG, first=hour, last=hour)
        assert {each.name: each.count for each in sums} == {"opened ch": 1, "opened _other": 1, "opened _none": 1}

    async def test_sinks_are_told_of_each_report_that_is_kept_and_of_no_other(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "sports")])
        one = notification("news", rule="debit")
        await pushed(store, one)
        store.report_to(Told("crm"))
        await report(store, "ann", said(one), said(one), said(one, PhoneEvent.ACTED, "pay"))
        await report(store, "bob", said(one))
        assert await bodies(store) == ["debit ann opened ", "debit ann acted pay"]

    async def test_reports_go_with_their_notification_and_with_their_user(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        ann = replace(installation("ann", "news"), user_id="Ann")
        await store.put_installations(HUB, [ann, installation("bob", "news")])
        old, young = notification("news"), notification("news")
        await pushed(store, old)
        clock.advance(1000)
        await pushed(store, young)
        for one in (old, young):
            assert await report(store, "ann", said(one)) == [ACCEPTED]
        assert await report(store, "bob", said(young)) == [ACCEPTED]
        while await store.forget_ended(kept=500.0):
            pass
        assert await stores.read(ROWS) == [(2,)]
        assert await report(store, "ann", said(old)) == [UNKNOWN]
        exported, after = [], ""
        while (part := await store.export_person("ann", after=after, limit=100)).next or part.items:
            exported += [each.content for each in part.items if each.kind is Kept.REPORT]
            if not (after := part.next):
                break
        assert [(each["id"], each["event"], each["phone"]) for each in exported] == [(young.id, "opened", "ann")]
        assert (await store.count_person("ann"))[Kept.REPORT] == 1
        await store.erase_person("ann", actor="test")
        assert await stores.read(ROWS) == [(1,)]
        assert (await store.notification(young.id)).reports == {"fcmv1": {"opened": 1}}

    async def test_what_a_phone_got_lists_what_it_said_of_it(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        one = notification("news")
        await pushed(store, one)
        at = clock()
        await report(store, "ann", said(one))
        clock.advance(1)
        await report(store, "ann", said(one, PhoneEvent.ACTED, "pay"))
        kept = [
            KeptReport(event=PhoneEvent.OPENED, action="", at=at),
            KeptReport(event=PhoneEvent.ACTED, action="pay", at=at + 1),
        ]
        assert [push.reports for push in (await store.received(HUB, "ann", most=5)).pushes] == [kept]
        assert [push.reports for push in (await store.received(HUB, "bob", most=5)).pushes] == [()]
        traced = {each.template: each.reports for each in await store.trace(one.id, "ann")}
        assert traced == {None: (), "greeting": kept}
