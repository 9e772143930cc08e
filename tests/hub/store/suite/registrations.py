"""How stores list registrations: those that clients made, and those that derive from installations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyroaring import BitMap

from hub.errors import GoneError, InvalidRequestError, NotFoundError
from hub.installation import ANY_ETAG, Registration
from hub.notification import EVERYONE, Platform
from hub.store.store import SqlStore
from hub.tags import direct_tag
from tests.fakes.host_clock import HostClock
from tests.hub.examples import GREETING, HUB, installation
from tests.hub.store.suite.harness import Suite
from tests.hub.store.suite.registering import clean, die, found, native


def single(id: str, *tags: str, channel: str = "") -> Registration:
    return Registration(registration_id=id, platform=Platform.FCM, push_channel=channel or f"token of {id}", tags=tags)


async def listed(store: SqlStore, *, tag: str | None = None, limit: int = 2) -> list[Registration]:
    """All parts of a list."""
    items: list[Registration] = []
    after = ""
    while True:
        part = await store.registrations(HUB, tag=tag, after=after, limit=limit)
        items += part.items
        if not part.next:
            return items
        after = part.next


class Registrations(Suite):
    async def test_a_list_of_registrations_has_each_once_with_what_derives_from_installations(
        self, store: SqlStore
    ) -> None:
        await store.put_registration(HUB, single("1-1-1", "news"))
        await store.put_installations(HUB, [replace(installation("ann", "news"), user_id="u")])
        await store.put_registration(HUB, replace(single("1-2-1", "news"), template_name="greeting", template=GREETING))
        one, native_one, template, two = await listed(store)
        assert (one.registration_id, two.registration_id) == ("1-1-1", "1-2-1")
        assert native_one.tags == ("$InstallationId:{ann}", "$UserId:{u}", "news")
        assert template.tags == (*native_one.tags, "greeting")
        assert (template.template_name, template.template, two.template) == ("greeting", GREETING, GREETING)
        assert native_one.registration_id != template.registration_id
        assert await listed(store, tag="NEWS") == [one, native_one, template, two]
        assert await listed(store, tag="$InstallationId:{ann}") == [native_one, template]
        assert await listed(store, tag="greeting") == [template]
        assert await listed(store, tag="other") == []

    async def test_what_derives_from_an_installation_is_read_by_its_id_and_changed_with_the_installation_alone(
        self, store: SqlStore
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        before = await listed(store)
        await store.put_installations(HUB, [installation("ann", "chess")])
        after = await listed(store)
        assert [one.registration_id for one in after] == [one.registration_id for one in before]
        assert [one.etag for one in after] == [2, 2]
        for one in after:
            assert await store.get_registration(HUB, one.registration_id) == one
            with pytest.raises(InvalidRequestError, match="derives from an installation"):
                await store.put_registration(HUB, one)
            with pytest.raises(InvalidRequestError, match="derives from an installation"):
                await store.delete_registration(HUB, one.registration_id)
        digest, ordinal, kind = after[0].registration_id.split("-")
        with pytest.raises(NotFoundError):
            await store.get_registration(HUB, f"{int(digest) + 1}-{ordinal}-{kind}")

    async def test_registrations_of_a_push_channel_are_listed_in_parts(self, store: SqlStore) -> None:
        await store.put_registration(HUB, single("1-1-1", channel="a"))
        await store.put_registration(HUB, single("1-2-1", channel="b"))
        await store.put_installations(HUB, [installation("ann", push_channel="a")])
        wanted = [(Platform.FCM, "a"), (Platform.WNS, "b")]
        first = await store.registrations_of(HUB, wanted, limit=2)
        rest = await store.registrations_of(HUB, wanted, after=first.next, limit=2)
        assert [one.push_channel for one in (*first.items, *rest.items)] == ["a", "a", "a"]
        assert not rest.next

    async def test_a_registration_that_is_gone_is_not_listed_and_its_id_is_not_taken_again(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ends = datetime.fromtimestamp(clock(), UTC) + timedelta(seconds=10)
        expiring = replace(single("1-1-1", "a"), expires_at=ends)
        await store.put_registration(HUB, expiring)
        await store.put_registration(HUB, single("1-2-1", "b"))
        (dead,) = await found(store, native("b"))
        await die(store, clock, dead)
        clock.advance(10)
        assert await listed(store) == await listed(store, tag="a") == await listed(store, tag="b") == []
        for gone in (single("1-1-1", "a"), single("1-2-1", "b", channel="another")):
            with pytest.raises(GoneError):
                await store.put_registration(HUB, gone)
            with pytest.raises(NotFoundError):
                await store.get_registration(HUB, gone.registration_id)
        assert not (await store.registrations_of(HUB, [(Platform.FCM, "token of 1-2-1")], limit=5)).items

    async def test_push_channels_of_a_direct_send_are_reached_by_it_alone(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_registration(HUB, single("1-1-1", "news", channel="a"))
        tag = direct_tag("0" * 32)
        channels = [f"token {number}" for number in range(400)]
        for _ in range(2):  # the same send again
            await store.put_direct(HUB, Platform.FCM, ["a", *channels], tag=tag, kept=60.0)
        reached = await found(store, native(tag))
        assert [target.push_channel for target in reached] == ["a", *channels]
        assert await found(store, native(direct_tag("1" * 32))) == []
        assert [each.push_channel for each in await found(store, native("!sports"))] == ["a"]
        assert [each.push_channel for each in await found(store, replace(native("a"), audience=EVERYONE))] == ["a"]
        assert [one.registration_id for one in await listed(store)] == ["1-1-1"]
        assert await listed(store, tag=tag) == []
        assert len((await store.registrations_of(HUB, [(Platform.FCM, "a")], limit=9)).items) == 1
        assert (await store.registrations_by_platform())[HUB, Platform.FCM] == 1
        assert await die(store, clock, reached[0]) == 2  # the service says of a channel what holds for all who have it
        assert await found(store, native("news")) == []
        clock.advance(61)
        await clean(store)
        assert await store.targets(HUB, BitMap([target.ordinal for target in reached[1:]])) == []

    async def test_any_etag_stands_for_a_registration_that_is_there(self, store: SqlStore) -> None:
        with pytest.raises(NotFoundError):
            await store.put_registration(HUB, single("1-1-1"), if_match=ANY_ETAG)
        await store.put_registration(HUB, single("1-1-1"))
        assert (await store.put_registration(HUB, single("1-1-1"), if_match=ANY_ETAG)).etag == 2
        await store.delete_registration(HUB, "1-1-1", if_match=ANY_ETAG)
