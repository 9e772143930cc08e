"""How stores list what they keep for operators: in parts, whatever is added or dropped between two of them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from hub.store.base import Device, Failed, ListPage, PageResult, Store

from hub.acceptance import NO_CONFIGURATION, AuditEntry, ConfigurationVersion, DeadLetter, Ingest
from hub.errors import InvalidRequestError, NotFoundError
from hub.notification import EVERYONE, Platform
from hub.outcome import OutcomeName, State
from hub.store import browsing
from hub.tags import parse
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.accepting import dead_letter
from tests.hub.store.harness import Suite, enqueue, take, went_well

T = TypeVar("T")


async def all_of(read: Callable[[str], Awaitable[ListPage[T]]]) -> list[T]:
    """A whole list, part by part."""
    found: list[T] = []
    after = ""
    while True:
        page = await read(after)
        found += page.items
        after = page.next
        if not after:
            return found


def letter(number: int, source: str) -> DeadLetter:
    return replace(dead_letter(f"e{number}"), source=source)


def names(devices: list[Device]) -> list[str]:
    return [device.installation.id for device in devices]


class Browsing(Suite):
    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_devices_are_listed_by_id_in_parts(self, store: Store, limit: int) -> None:
        await store.put_installations(HUB, [installation(name) for name in ("c", "a", "b")])
        await store.put_installations("other", [installation("d")])
        devices = await all_of(lambda after: store.devices(HUB, after=after, limit=limit))
        assert names(devices) == ["a", "b", "c"]
        assert devices[0].installation == installation("a")
        assert (await store.devices("nobody's", limit=limit)).items == ()

    async def test_a_notification_says_which_configuration_decided_it(self, store: Store) -> None:
        first, second = ConfigurationVersion(revision="v7", hash="abc"), ConfigurationVersion(revision="v8", hash="abc")
        for batch in ([first, second, first], [NO_CONFIGURATION, second]):
            arrivals = [
                Ingest(source="s", event_id="", notifications=[notification()], configuration=one) for one in batch
            ]
            await store.accept(arrivals, lease=0, until=0)
        listed = await all_of(lambda after: store.notifications(after=after, limit=2))
        assert [one.configuration for one in listed] == [second, NO_CONFIGURATION, first, second, first]
        assert (await store.notification(listed[0].id)).configuration == second

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_devices_of_an_audience_are_listed_once_each(self, store: Store, limit: int) -> None:
        phones = [installation("a", "x", "y"), installation("b", "x"), installation("c", "y")]
        await store.put_installations(HUB, phones)
        for expression, expected in (("x", ["a", "b"]), ("x && !y", ["b"]), ("x || y", ["a", "b", "c"]), ("z", [])):
            audience = parse(expression)
            read = lambda after, audience=audience: store.devices(  # noqa: E731
                HUB, audience=audience, after=after, limit=limit
            )
            assert names(await all_of(read)) == expected
        assert names(await all_of(lambda after: store.devices(HUB, audience=EVERYONE, after=after, limit=limit))) == [
            "a",
            "b",
            "c",
        ]

    async def test_a_device_whose_channel_is_dead_is_listed_and_says_why_but_is_in_no_audience(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "x", templates=False)])
        (work,) = await take(store, clock, notification())
        gone = Failed(ordinal=1, outcome=OutcomeName.EXPIRED_CHANNEL, reason="Unregistered", gone=True)
        await store.record([PageResult(work=work, counts={Platform.FCM: {gone.outcome: 1}}, failures=[gone])])
        device = await store.device(HUB, "ann")
        assert device.installation.push_channel_expired
        assert [(one.template, one.dead_at, one.dead_reason) for one in device.registrations] == [
            (None, clock(), "Unregistered")
        ]
        assert names(await all_of(lambda after: store.devices(HUB, after=after, limit=10))) == ["ann"]
        assert (await store.devices(HUB, audience=parse("x"), limit=10)).items == []

    async def test_an_expired_or_unknown_device_is_not_found(self, store: Store, clock: FakeClock) -> None:
        expires_at = datetime.fromtimestamp(clock() + 60, UTC)
        await store.put_installations(
            HUB, [replace(installation("old", "x"), expires_at=expires_at), installation("z")]
        )
        assert (await store.device(HUB, "old")).installation.expires_at == expires_at
        clock.advance(61)
        for hub, name in ((HUB, "young"), (HUB, "old"), ("nobody's", "z")):
            with pytest.raises(NotFoundError):
                await store.device(hub, name)
        assert names(await all_of(lambda after: store.devices(HUB, after=after, limit=10))) == ["z"]
        assert (await store.devices(HUB, audience=parse("x"), limit=10)).items == []

    async def test_notifications_are_listed_newest_first_by_hub_state_and_event(
        self, store: Store, clock: FakeClock
    ) -> None:
        first, second = notification("a", source="hr", event_id="e1", rule="r"), notification(hub="other")
        (work, _) = await take(store, clock, first, second)
        await store.record([went_well(work)])
        third = notification(schedule_at=datetime.fromtimestamp(clock() + 60, UTC))
        await enqueue(store, clock, third)
        everything = await all_of(lambda after: store.notifications(after=after, limit=1))
        assert [one.id for one in everything] == [third.id, second.id, first.id]
        assert [(one.hub, one.state, one.source, one.event_id, one.audience) for one in everything] == [
            (HUB, State.SCHEDULED, "", "", None),
            ("other", State.PROCESSING, "", "", None),
            (HUB, State.COMPLETED, "hr", "e1", "a"),
        ]
        assert everything[2].counts == {"fcmv1": {"Success": 1}}
        for filters, expected in (
            ({"hub": "OTHER"}, [second]),
            ({"hub": "nobody's"}, []),
            ({"state": State.COMPLETED}, [first]),
            ({"event_id": "e1", "hub": HUB}, [first]),
        ):
            page = await store.notifications(**filters, limit=10)
            assert [one.id for one in page.items] == [one.id for one in expected]

    async def test_a_notification_says_what_its_failures_were(self, store: Store, clock: FakeClock) -> None:
        (work,) = await take(store, clock, notification())
        failures = [
            Failed(ordinal=number, outcome=OutcomeName.DROPPED, reason="a" if number else "b") for number in range(3)
        ]
        counts = {Platform.FCM: {OutcomeName.DROPPED: 3}}
        await store.record([PageResult(work=work, counts=counts, failures=failures)])
        kept = await store.notification(work.notification.id)
        assert list(kept.failures) == [("Dropped", "a", 2), ("Dropped", "b", 1)]
        with pytest.raises(NotFoundError):
            await store.notification("0" * 32)

    async def test_dead_letters_are_listed_newest_first_without_bodies(self, store: Store) -> None:
        kept = [letter(number, "ab"[number % 2]) for number in range(5)]
        await store.accept([Ingest(source="s", event_id="", dead_letters=kept)], lease=0, until=0)
        letters = await all_of(lambda after: store.letters(after=after, limit=2))
        assert [letter.letter.event_id for letter in letters] == ["e4", "e3", "e2", "e1", "e0"]
        assert {letter.letter.body for letter in letters} == {b""}
        whole = await store.letter(letters[0].id)
        assert (whole.letter, whole.size) == (kept[4], len(kept[4].body))
        chosen = await all_of(lambda after: store.letters(source="b", after=after, limit=1))
        assert [letter.letter.event_id for letter in chosen] == ["e3", "e1"]
        assert (await store.letters(reason="no such", limit=10)).items == []

    async def test_a_filter_that_finds_little_is_answered_in_short_parts(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(browsing, "SCANNED", 3)
        kept = [letter(number, "rare" if number in (0, 9) else "s") for number in range(10)]
        await store.accept([Ingest(source="s", event_id="", dead_letters=kept)], lease=0, until=0)
        first = await store.letters(source="rare", limit=2)
        assert [letter.letter.event_id for letter in first.items] == ["e9"]
        assert (await store.letters(source="rare", after=first.next, limit=2)).items == []
        found = await all_of(lambda after: store.letters(source="rare", after=after, limit=2))
        assert [letter.letter.event_id for letter in found] == ["e9", "e0"]

    async def test_dropped_dead_letters_are_gone_and_their_drop_is_written_down(
        self, store: Store, clock: FakeClock
    ) -> None:
        kept = [letter(number, "hr") for number in range(3)]
        await store.accept([Ingest(source="s", event_id="", dead_letters=kept)], lease=0, until=0)
        ids = [letter.id for letter in (await store.letters(limit=10)).items]
        assert await store.drop_dead_letters([*ids[:2], 4711], actor="ann") == ids[:2]
        assert [letter.id for letter in (await store.letters(limit=10)).items] == ids[2:]
        with pytest.raises(NotFoundError):
            await store.letter(ids[0])
        rows = await all_of(lambda after: store.audit(after=after, limit=1))
        assert [(row.at, row.entry.actor, row.entry.target) for row in rows] == [
            (clock(), "ann", str(ids[1])),
            (clock(), "ann", str(ids[0])),
        ]
        assert "e2" in rows[1].entry.detail

    async def test_what_an_operator_sends_is_written_down_once_with_the_notification(self, store: Store) -> None:
        sent = notification()
        entry = AuditEntry(actor="ann", action="notification.send", target=sent.id)
        for _ in range(2):
            await store.accept([Ingest(source="", event_id="", notifications=[sent], audit=entry)], lease=0, until=0)
        assert [row.entry for row in (await store.audit(limit=10)).items] == [entry]

    async def test_what_operators_did_is_forgotten_after_more_than_a_year(self, store: Store, clock: FakeClock) -> None:
        entry = AuditEntry(actor="ann", action="notification.send", target="x")
        for days in (0, 390, 20):
            clock.advance(days * 24 * 3600.0)
            await store.accept(
                [Ingest(source="", event_id="", notifications=[notification()], audit=entry)], lease=0, until=0
            )
        await store.housekeep(notifications_before=0, dead_letters_before=0, max_dead_letters=10)
        assert len((await store.audit(limit=10)).items) == 2

    async def test_a_place_in_another_list_is_refused(self, store: Store) -> None:
        await store.put_installations(HUB, [installation("ann")])
        for after in ("d7", "-1", "9" * 30, "٣"):
            with pytest.raises(InvalidRequestError):
                await store.letters(after=after, limit=1)
            with pytest.raises(InvalidRequestError):
                await store.devices(HUB, audience=parse("x"), after=after, limit=1)
