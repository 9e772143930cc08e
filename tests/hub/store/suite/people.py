"""How stores export and erase all that they keep of one person, and nothing of another."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyroaring import BitMap

from hub.acceptance import Ingest
from hub.errors import InvalidRequestError, NotFoundError
from hub.installation import Installation, Registration
from hub.notification import EVERYONE, Platform
from hub.outcome import OutcomeName
from hub.store.connection import Statement
from hub.store.contracts.outbox import Audience, Failed, PageResult, RetryPage
from hub.store.contracts.people import Kept
from hub.store.decide.tag_index import tag_id
from hub.store.people import erasing
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import GREETING, HUB, installation, notification
from tests.hub.store.suite.browsing import all_of
from tests.hub.store.suite.costing import MOST
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, everything, take, went_well
from tests.hub.store.suite.letters import keep, letter
from tests.hub.store.suite.phones import sign_in

TABLES = (
    "notification",
    "addressee",
    "page",
    "failure",
    "dead_letter",
    "dead_letter_body",
    "device",
    "journal",
    "report",
    "sink",
    "subscription",
)
ROWS = {table: Statement(f"test.rows_of_{table}", f"SELECT count(*) FROM {table}") for table in TABLES}
HASHES = Statement("test.hashes", "SELECT count(*) FROM tag_change WHERE tag = :tag")
LOG = Statement("test.log", "SELECT bitmap FROM tag_block")
_PERSON = (("n", "bigint"), ("person", "text"))
EVENT = Statement(
    "test.event",
    "INSERT INTO journal (n, queue, at, source, event_id, outcome, detail, size, trace, person)"
    " VALUES (:n, 0, 0, 'hr', 'e', 'accepted', '', 0, '', :person)",
    _PERSON,
)
REPORT = Statement(
    "test.report",
    "INSERT INTO report (n, queue, notification, phone, event, action, at, hub, platform, person)"
    " VALUES (:n, 0, 0, :person, 'opened', '', 0, '', 'fcmv1', :person)",
    _PERSON,
)
SINK = Statement(
    "test.sink",
    "INSERT INTO sink (n, queue, sink, at, body, person) VALUES (:n, 0, 'receipts', 0, :body, :person)",
    (*_PERSON, ("body", "bytea")),
)
NONE = dict.fromkeys(Kept, 0)
ALL = dict.fromkeys(Kept, 1) | {Kept.DEVICE: 5, Kept.NOTIFICATION: 3}
"""What `live_through` has kept; of devices the registrations."""


def phone_of(user: str, name: str = "") -> Installation:
    return replace(installation(name or f"phone of {user}", f"customer:{user}"), user_id=user)


async def counted(stores: Stores) -> dict[str, int]:
    """The rows that there are, by table."""
    return {table: (await stores.read(statement))[0][0] for table, statement in ROWS.items()}


async def kept(store: SqlStore, person: str, limit: int = 100) -> dict[Kept, list[Mapping[str, Any]]]:
    """An export, by kind."""
    found: dict[Kept, list[Mapping[str, Any]]] = {}
    for one in await all_of(lambda after: store.export_person(person, after=after, limit=limit)):
        found.setdefault(one.kind, []).append(one.content)
    return found


async def live_through(store: SqlStore, clock: HostClock, person: str) -> None:
    """Have something of each kind kept of a person."""
    await store.put_installations(HUB, [phone_of(person)])
    await store.put_installations("other", [phone_of(person, f"tablet of {person}")])
    single = Registration(
        registration_id="",
        platform=Platform.APNS,
        push_channel="AB",
        tags=(f"$UserId:{{{person}}}",),
        template_name="greeting",
        template=GREETING,
    )
    await store.put_registration(HUB, single)
    later = datetime.fromtimestamp(clock() + 3600, UTC)
    await sign_in(store, person, {"debits": "500"})
    await enqueue(
        store,
        notification("customer:x", person=person.upper(), source="orders", event_id=f"e of {person}", rule="r"),
        notification(f"$UserId:{{{person}}}", schedule_at=later),
        notification(f"$UserId:{{somebody}} || $UserId:{{{person}}}"),
        notification(f"$InstallationId:{{phone of {person}}}".replace(" ", "-")),
    )
    await keep(store, letter(1, person=person, body=f"body of {person}".encode()))
    rows = [(sum(person.encode()), person)]  # no part of the store writes these yet
    await store._database.write(
        lambda connection: connection.write_all(
            [(EVENT, rows), (REPORT, rows), (SINK, [(*row, b"\0") for row in rows])]
        )
    )


class People(Suite):
    async def test_an_erasure_deletes_all_of_a_person_and_nothing_of_another(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await live_through(store, clock, "bob")
        others = (notification(EVERYONE), notification("news && !$UserId:{ann}"))
        await enqueue(store, *others)
        before = await counted(stores)
        await live_through(store, clock, "ann")
        assert await store.count_person("Ann") == ALL
        erased = await store.erase_person("ANN", actor="eve")
        assert (erased.rows, len(erased.notifications)) == (ALL, 3)
        assert await store.count_person("ann") == NONE
        assert await kept(store, "ann") == {}
        assert await counted(stores) == before | {
            "notification": before["notification"] + 1
        }  # to a phone that is not hers
        assert await store.count_person("bob") == ALL
        for tag in ("customer:ann", "$UserId:{ann}", "$InstallationId:{phone of ann}"):
            assert await stores.read(HASHES, tag=tag_id(tag)) == [(0,)], tag
            assert not [row for (row,) in await stores.read(LOG) if tag_id(tag) in row], tag
        assert await stores.read(HASHES, tag=tag_id("customer:bob")) != [(0,)]

    async def test_what_is_for_a_phone_of_the_user_is_the_person_s(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [phone_of("ann", "phone-1"), phone_of("bob", "phone-2")])
        await enqueue(store, notification("$InstallationId:{Phone-1}"), notification("$InstallationId:{phone-2}"))
        assert (await store.count_person("ann"))[Kept.NOTIFICATION] == 1
        assert len((await kept(store, "ann"))[Kept.NOTIFICATION]) == 1
        assert (await store.erase_person("ann", actor="eve")).rows[Kept.NOTIFICATION] == 1
        assert [work.notification.audience for work in await take(store)] == [
            notification("$InstallationId:{phone-2}").audience
        ]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_an_export_holds_all_of_a_person_in_parts(
        self, store: SqlStore, clock: HostClock, limit: int
    ) -> None:
        await live_through(store, clock, "ann")
        await live_through(store, clock, "bob")
        found = await kept(store, "Ann", limit)
        assert {kind: len(rows) for kind, rows in found.items()} == {
            Kept.DEVICE: 3,
            Kept.SUBSCRIPTION: 1,
            Kept.NOTIFICATION: 3,
            Kept.DEAD_LETTER: 1,
            Kept.EVENT: 1,
            Kept.REPORT: 1,
            Kept.SINK: 1,
        }
        (subscription,) = found[Kept.SUBSCRIPTION]
        assert (subscription["topics"], subscription["sign_in"]["channel"]) == ({"debits": "500"}, "channel of ann")
        documents = found[Kept.DEVICE]
        assert [(one["hub"], one["pushChannel"]) for one in documents] == [
            (HUB, "token of phone of ann"),
            (HUB, "AB"),
            ("other", "token of tablet of ann"),
        ]
        assert documents[0]["tags"] == ["customer:ann"]
        first, scheduled, _ = found[Kept.NOTIFICATION]
        assert (first["event_id"], first["content"], first["state"]) == ("e of ann", '{"title":"hello"}', "Enqueued")
        assert scheduled["state"] == "Scheduled"
        assert found[Kept.DEAD_LETTER][0]["body"] == "body of ann"

    async def test_an_export_says_what_was_cleared_or_never_kept(self, store: SqlStore) -> None:
        ended, _ = await begin(
            store, notification("x", person="ann", sensitive=True), notification("x", person="ann", rule="open")
        )
        await store.record([went_well(ended)])
        await keep(store, letter(1, person="ann", body=b"code").without_body(), letter(2, person="ann", body=b"other"))
        found = await kept(store, "ann")
        said = {
            one["rule"]: (one["content_cleared"], one["content"], one.get("content_size"))
            for one in found[Kept.NOTIFICATION]
        }
        text = '{"title":"hello"}'
        assert said == {"": (True, None, len(text)), "open": (False, text, None)}
        letters = [(one["body_withheld"], one["body"], one.get("body_size")) for one in found[Kept.DEAD_LETTER]]
        assert letters == [(True, None, 4), (False, "other", None)]

    async def test_a_cursor_of_another_list_is_refused(self, store: SqlStore) -> None:
        for cursor in ("7", "device 1", "device x 1", "phone 0 1", "device 1 2 3"):
            with pytest.raises(InvalidRequestError, match="cursor"):
                await store.export_person("ann", after=cursor, limit=1)

    async def test_a_body_that_another_letter_has_stays_with_that_letter(self, stores: Stores, store: SqlStore) -> None:
        _, other = await keep(store, letter(1, person="ann", body=b"same"), letter(2, person="bob", body=b"same"))
        await store.erase_person("ann", actor="eve")
        assert (await store.letter(other)).letter.body == b"same"
        await store.erase_person("bob", actor="eve")
        assert (await counted(stores))["dead_letter_body"] == 0

    async def test_work_in_hand_is_withdrawn_and_its_results_bring_nothing_back(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        one, other = await begin(store, notification("x", person="ann"), notification("x", person="bob"))
        (large,) = await begin(store, notification("x", person="ann"))
        await store.expand(large, Audience(pages=[(Platform.FCM, BitMap(range(50)))]))
        (page,) = await store.take(Lane.BROADCAST, everything())
        before = await counted(stores)
        await store.erase_person("ann", actor="eve")
        assert [work.is_withdrawn for work in (one, other, page)] == [True, False, True]
        failed = Failed(ordinal=7, outcome=OutcomeName.UNKNOWN_ERROR, reason="x")
        retry = RetryPage(platform=Platform.FCM, ordinals=BitMap([7]), delay=0, attempt=1)
        for work in (one, page):
            result = PageResult(work=work, counts={}, failures=[failed], retries=[retry], dead_letter=letter(1))
            recorded = await store.record([result])
            assert (recorded.late, recorded.ended, recorded.dead_letters) == (0, {}, ())
        await store.postpone([one], delay=0)
        await store.give_back([page])
        await store.expand(one, Audience(pages=[(Platform.FCM, BitMap([1]))]))
        await store.sum_up()
        clock.advance(10)
        assert await take(store) == []
        assert await store.take(Lane.BROADCAST, everything()) == []
        after = {"notification": before["notification"] - 2, "page": before["page"] - 1}
        assert await counted(stores) == before | after
        await store.record([went_well(other)])

    async def test_a_phone_that_was_erased_is_in_no_page_that_waits_and_a_dead_channel_marks_no_row(
        self, stores: Stores, store: SqlStore
    ) -> None:
        await store.put_installations(HUB, [phone_of("ann"), phone_of("bob")])
        (work,) = await begin(store, notification(EVERYONE))
        (audience,) = await store.audiences([work.notification])
        ordinals = BitMap(target.ordinal for target in audience.targets)
        before = (await counted(stores))["device"]
        await store.erase_person("ann", actor="eve")
        assert {target.push_channel for target in await store.targets(HUB, ordinals)} == {"token of phone of bob"}
        gone = [
            Failed(ordinal=ordinal, outcome=OutcomeName.EXPIRED_CHANNEL, reason="x", gone=True) for ordinal in ordinals
        ]
        assert (await store.record([PageResult(work=work, counts={}, failures=gone)])).gone == 2  # bob's
        assert (await counted(stores))["device"] == before - 1

    async def test_a_letter_that_was_erased_is_not_replayed(self, store: SqlStore) -> None:
        (id_,) = await keep(store, letter(1, person="ann"))
        await store.erase_person("ann", actor="eve")
        ingest = Ingest(source="hr", event_id="", notifications=[notification()])
        with pytest.raises(NotFoundError):
            await store.replay(id_, ingest, outcome="accepted", start=0, actor="eve")
        assert await take(store) == []

    async def test_an_erasure_in_slices_takes_all_and_each_costs_no_more(
        self, stores: Stores, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(erasing, "SLICE", 7)
        await enqueue(store, *(notification("x", person="ann") for _ in range(30)))
        await keep(store, *(letter(number, person="ann") for number in range(30)))
        slices = []
        write = store._database.write

        async def counting(job: Any, /, **more: Any) -> Any:
            before = stores.trips
            answer = await write(job, **more)
            slices.append(stores.trips - before)
            return answer

        monkeypatch.setattr(store._database, "write", counting)
        erased = await store.erase_person("ann", actor="eve")
        assert (erased.rows[Kept.NOTIFICATION], erased.rows[Kept.DEAD_LETTER]) == (30, 30)
        assert len(slices) > 8
        assert max(slices) <= MOST

    async def test_audit_rows_name_the_person_by_a_digest(self, store: SqlStore) -> None:
        await enqueue(store, notification("x", person="ann"))
        erased = await store.erase_person("Ann", actor="eve")
        again = await store.erase_person("ann", actor="eve")
        assert erased.digest == again.digest
        entries = [one.entry for one in (await store.audit(limit=10)).items]
        assert [(one.actor, one.action, one.target) for one in entries] == [
            ("eve", action, erased.digest) for action in ("user.erased", "user.erase") * 2
        ]
        assert "ann" not in str(entries)
        assert entries[2].detail == "device 0, subscription 0, notification 1, dead_letter 0, event 0, report 0, sink 0"

    async def test_two_erasures_at_once_and_events_between_them_leave_one_state(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [phone_of("ann"), phone_of("bob")])
        await enqueue(store, *(notification("x", person=person) for person in ("ann", "bob") * 20))
        await asyncio.gather(
            store.erase_person("ann", actor="eve"),
            store.erase_person("bob", actor="eve"),
            enqueue(store, notification("x", person="zoe")),
            take(store),
        )
        assert await store.count_person("ann") == await store.count_person("bob") == NONE
        assert (await store.count_person("zoe"))[Kept.NOTIFICATION] == 1

    async def test_a_second_handle_that_has_the_person_s_work_records_nothing_of_it(
        self, stores: Stores, store: SqlStore
    ) -> None:
        await store.put_installations(HUB, [phone_of("ann")])
        (work,) = await begin(store, notification("x", person="ann"))
        second = await stores.take_over()
        erased = await second.erase_person("ann", actor="eve")
        assert erased.rows == NONE | {Kept.DEVICE: 2, Kept.NOTIFICATION: 1}
        assert (await store.record([went_well(work)])).late == 1
        assert await kept(store, "ann") == {}
