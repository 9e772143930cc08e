"""The list of another hub is of many moments, and may lack or repeat what it likes: what is here is not lost by that."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hub.errors import NotFoundError, RemoteError, StoreError
from hub.installation import Installation
from hub.moving.relisting import SETTLES
from hub.notification import Platform
from hub.store.contracts.mirrors import Found
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.mirrored_store import mirrored_store
from tests.hub.other_hub import ListedHub

PHONE = Installation(id="phone", platform=Platform.APNS, push_channel="AA", tags=("a",))


@pytest.fixture
def clock() -> HostClock:
    return HostClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HostClock) -> AsyncIterator[SqlStore]:
    async with mirrored_store(tmp_path, clock) as store:
        yield store


@pytest.fixture
def other() -> ListedHub:
    return ListedHub()


async def listed(other: ListedHub, store: SqlStore, clock: HostClock, *, may_remove: bool = False) -> dict[str, int]:
    """List, a minute after what was before."""
    clock.advance(60)
    return await other.list_into(HUB, store, began=store.now(), may_remove=may_remove)


async def written(store: SqlStore) -> None:
    """All that waits is at the other hub from now on, as it is here."""
    due = await store.due_devices(HUB, limit=100)
    await store.written_there(HUB, [replace(each, said="written") for each in due])


async def is_here(store: SqlStore, id: str) -> bool:
    try:
        await store.get_installation(HUB, id)
    except NotFoundError:
        return False
    return True


async def test_a_hub_that_was_lost_and_lists_nothing_takes_no_phone_away(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    for number in range(11):
        other.put(f"phone{number}", f"{number:02X}")
    assert await listed(other, store, clock) == {"added": 11}
    there = dict(other.registrations), dict(other.installations)
    other.registrations, other.installations = {}, {}
    for _ in range(2):
        assert await listed(other, store, clock) == {"missing": 11}
        assert await is_here(store, "phone10")
    other.registrations, other.installations = there
    assert await listed(other, store, clock) == {}

    other.registrations, other.installations = {}, {}
    assert await listed(other, store, clock, may_remove=True) == {"removed": 11}
    assert not await is_here(store, "phone10")


async def test_a_few_that_are_gone_there_are_taken_away_whatever_their_share(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    for number in range(10):
        other.put(f"phone{number}", f"{number:02X}")
    assert await listed(other, store, clock) == {"added": 10}
    other.registrations.clear()
    other.installations.clear()
    assert await listed(other, store, clock) == {"removed": 10}


async def test_all_that_is_known_can_be_written_there_again_after_its_loss(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    for number in range(3):
        other.put(f"phone{number}", f"{number:02X}")
    other.put_single("1-1-1", "AB")
    await listed(other, store, clock)
    count, after = await store.rewrite_mirror(HUB, limit=3)
    assert (count, after) == (3, "i:phone2")
    assert await store.rewrite_mirror(HUB, after=after, limit=3) == (1, "")
    waiting = await store.due_devices(HUB, limit=10)
    assert {each.key for each in waiting} == {"i:phone0", "i:phone1", "i:phone2", "r:1-1-1"}
    other.registrations.clear()
    other.installations.clear()
    assert await listed(other, store, clock) == {}, "what waits to be written there is not missed"


async def test_one_that_a_list_passes_over_and_is_there_stays(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    """As a phone whose registration moved to a page that was read already."""
    other.put("phone", "AA")
    other.put_single("1-1-1", "AB")
    await listed(other, store, clock)
    other.listed = {}
    assert await listed(other, store, clock) == {}
    assert await is_here(store, "phone")
    assert {"installations/phone", "registrations/1-1-1"} <= set(other.asked)


async def test_an_installation_that_is_put_while_it_is_listed_is_taken_as_it_is_then(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    """The native registration is listed before the change, and the template's after it: together they are none."""
    other.put("phone", "AA", "old", template='{"aps":{}}')
    await listed(other, store, clock)
    other.per_page = 1
    before = dict(other.registrations)

    def change(page: int) -> None:
        if page == 2:
            other.put("phone", "BB", "new", template='{"aps":{"a":1}}')

    for torn in (
        {"phone-AA-1": before["phone-AA-1"]},  # the template is not listed at all
        before,
    ):
        other.listed = torn
        other.at_page = change
        other.asked.clear()
        change(2)
        await listed(other, store, clock)
        phone = await store.get_installation(HUB, "phone")
        assert (phone.push_channel, phone.tags, set(phone.templates)) == ("BB", ("new",), {"news"})


async def test_registrations_that_do_not_belong_together_are_asked_for_and_not_refused(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    other.put("phone", "AA", template='{"aps":{}}')
    template = other.registrations["phone-AA-2"]
    other.put("phone", "BB", template='{"aps":{}}')
    other.listed = {"phone-BB-1": other.registrations["phone-BB-1"], "phone-AA-2": template}
    assert await listed(other, store, clock) == {"added": 1}
    assert (await store.get_installation(HUB, "phone")).push_channel == "BB"
    other.listed = {"lost-BB-1": other.listed["phone-BB-1"].replace("{phone}", "{lost}")}
    other.listed["lost-AA-2"] = template.replace("{phone}", "{lost}")
    assert await listed(other, store, clock) == {"refused": 1}, "of an installation that is not there"


async def test_a_list_that_lags_behind_brings_nothing_back_and_takes_nothing_away(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    """What was written there a moment ago is not listed yet, and what was deleted there is listed still."""
    other.put("old", "AA")
    await listed(other, store, clock)
    other.listed = dict(other.registrations)
    await store.delete_installation(HUB, "old")
    await store.put_installations(HUB, [replace(PHONE, id="new")])
    await written(store)
    other.installations.clear()
    clock.advance(SETTLES - 1)
    assert await other.list_into(HUB, store, began=store.now()) == {}
    assert (await is_here(store, "old"), await is_here(store, "new")) == (False, True)


async def test_a_change_there_that_a_list_shows_is_taken_only_while_it_is_there(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    other.put("phone", "AA")
    await listed(other, store, clock)
    other.put("phone", "BB")
    other.listed = dict(other.registrations)
    other.forget("phone")
    assert await listed(other, store, clock) == {}, "it is gone by now, and the next list tells"
    other.listed = None
    assert await listed(other, store, clock) == {"removed": 1}


async def test_what_stays_here_waits_to_be_written_there_in_the_same_transaction(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    """A kill behind the transaction leaves nothing to be done: the next list finds the device as it was known."""
    await store.put_installations(HUB, [PHONE])
    other.put("phone", "BB")
    await store.written_there(HUB, [replace(each, said="") for each in await store.due_devices(HUB, limit=1)])
    clock.advance(60)
    taken: list[Found] = []
    take = store.take_found

    async def killed(hub: str, found: list[Found], *, began: float) -> list[bool]:
        taken.extend(found)
        await take(hub, found, began=began)
        raise StoreError("killed")

    store.take_found = killed  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreError, match="killed"):
        await other.list_into(HUB, store, began=store.now(), other_wins=False)
    assert [(each.key, each.again) for each in taken] == [("i:phone", True)]
    assert [each.key for each in await store.due_devices(HUB, limit=10)] == ["i:phone"]
    assert (await store.get_installation(HUB, "phone")).push_channel == "AA"


async def test_a_process_that_lost_the_hub_takes_nothing_of_its_list(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    other.put("phone", "AA")
    assert await other.relisting(HUB, store, may_go_on=lambda: False).run(began=store.now()) is None
    assert not await is_here(store, "phone")
    await listed(other, store, clock)
    other.forget("phone")
    clock.advance(60)
    assert await other.relisting(HUB, store, may_go_on=lambda: False).run(began=store.now()) is None
    assert await is_here(store, "phone")


async def test_a_clock_that_is_set_back_hides_no_change_and_delays_no_write(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    await store.hold_mirror(HUB, owner="alone", lease=60)
    other.put("phone", "AA")
    await listed(other, store, clock)
    await store.put_installations(HUB, [replace(PHONE, id="second", push_channel="CC")])
    await store.listed(HUB, began=store.now(), counts={})
    clock.set_by(-7200)
    await store.tick()
    assert await store.due_devices(HUB, limit=10) == []
    state = await store.hold_mirror(HUB, owner="alone", lease=60)
    assert state is not None
    assert state.listed_at == 0
    assert [each.key for each in await store.due_devices(HUB, limit=10)] == ["i:second"]
    other.put("phone", "BB")
    assert await listed(other, store, clock) == {"changed": 1}


@pytest.mark.parametrize(
    "garbage",
    [
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry/></feed>",
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry><content>text</content></entry></feed>",
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry><content><x/></content></entry></feed>",
        b"<!DOCTYPE feed [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><feed><entry><content>&e;</content></entry></feed>",
        b"{}",
        b"",
    ],
    ids=["no content", "text", "no registration", "an entity", "JSON", "nothing"],
)
async def test_a_list_of_something_else_is_none_and_changes_nothing(
    store: SqlStore, clock: HostClock, other: ListedHub, garbage: bytes
) -> None:
    other.put("phone", "AA")
    await listed(other, store, clock)
    other.answers["registrations"] = httpx.Response(200, content=garbage)
    with pytest.raises(RemoteError):
        await listed(other, store, clock)
    assert await is_here(store, "phone")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, content=b"no JSON"), "no JSON"),
        (httpx.Response(401), "refuses the key"),
        (httpx.Response(302), "HTTP 302"),
    ],
)
async def test_a_device_that_cannot_be_asked_for_is_left_as_it_is(
    store: SqlStore, clock: HostClock, other: ListedHub, answer: httpx.Response, words: str
) -> None:
    other.put("phone", "AA")
    await listed(other, store, clock)
    other.put("phone", "BB")
    other.answers["installations/phone"] = answer
    with pytest.raises(RemoteError, match=words):
        await listed(other, store, clock)
    assert (await store.get_installation(HUB, "phone")).push_channel == "AA"
    assert await listed(other, store, clock) == {"changed": 1}


async def test_a_hub_that_is_busy_is_asked_for_a_device_again(
    store: SqlStore, clock: HostClock, other: ListedHub
) -> None:
    other.put("phone", "AA")
    await listed(other, store, clock)
    other.put("phone", "BB")
    other.answers["installations/phone"] = httpx.Response(429, headers={"Retry-After": "17"})
    assert await listed(other, store, clock) == {"changed": 1}
    assert other.waited == [17.0]
