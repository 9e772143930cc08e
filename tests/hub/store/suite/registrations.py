"""How stores list registrations: those that clients made, and those that derive from installations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import GoneError, InvalidRequestError, NotFoundError
from hub.installation import ANY_ETAG, Registration
from hub.notification import Platform
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import GREETING, HUB, installation
from tests.hub.store.suite.harness import Suite
from tests.hub.store.suite.registering import die, found, native


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

    async def test_any_etag_stands_for_a_registration_that_is_there(self, store: SqlStore) -> None:
        with pytest.raises(NotFoundError):
            await store.put_registration(HUB, single("1-1-1"), if_match=ANY_ETAG)
        await store.put_registration(HUB, single("1-1-1"))
        assert (await store.put_registration(HUB, single("1-1-1"), if_match=ANY_ETAG)).etag == 2
        await store.delete_registration(HUB, "1-1-1", if_match=ANY_ETAG)
