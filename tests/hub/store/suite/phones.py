"""How stores keep phones that users sign in with, and what each user subscribed to on each of them."""

import asyncio
from dataclasses import replace

import pytest

from hub.errors import PreconditionError
from hub.notification import Platform
from hub.phone import Phone, SignIn, Topics
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.store.suite.harness import Stores, Suite

EXPIRES_AT = 4e9


def phone_of(user: str, phone_id: str = "", **changes: object) -> Phone:
    phone = Phone(
        id=phone_id or f"phone-of-{user}",
        registration_id=f"registration of {user}",
        installation_id=f"phone:{user}",
        sign_in=SignIn(
            user_id=user,
            platform=Platform.FCM,
            push_channel=f"channel of {user}",
            tags=(f"customer:{user}",),
            push_variables={"locale": "de"},
        ),
        changed_at=0.0,
        expires_at=EXPIRES_AT,
    )
    return replace(phone, **changes)  # type: ignore[arg-type]


async def sign_in(store: SqlStore, user: str, topics: Topics | None = None, **changes: object) -> Phone:
    return await store.put_phone(HUB, phone_of(user, **changes), topics=topics or {})  # type: ignore[arg-type]


def signed_off(phone: Phone) -> Phone:
    return replace(phone, sign_in=None)


class Phones(Suite):
    async def test_a_phone_is_found_by_its_id_its_registration_and_its_user(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ann = await sign_in(store, "Ann")
        await sign_in(store, "bob")
        await store.put_phone("other", phone_of("Ann"), topics={})
        assert ann.changed_at == clock()
        assert ann == replace(phone_of("Ann"), etag=ann.etag, changed_at=clock())
        assert await store.phone(HUB, ann.id) == ann
        assert await store.phone_registered(HUB, ann.registration_id) == ann
        assert await store.phones_of(HUB, "aNN") == [ann]
        assert await store.phones_with(HUB, Platform.FCM, "channel of Ann") == [ann]
        assert await store.phones_with(HUB, Platform.APNS, "channel of Ann") == []
        for missing in (
            await store.phone(HUB, "phone-of-zoe"),
            await store.phone("third", ann.id),
            await store.phone_registered(HUB, "registration of zoe"),
            await store.phone_registered("third", ann.registration_id),
        ):
            assert missing is None

    async def test_a_change_of_a_phone_that_has_changed_since_is_refused(self, store: SqlStore) -> None:
        first = await sign_in(store, "ann")
        second = await store.put_phone(HUB, replace(first, registration_id="2"))
        with pytest.raises(PreconditionError):
            await store.put_phone(HUB, replace(first, registration_id="3"), topics={"news": ""})
        with pytest.raises(PreconditionError):
            await store.put_phone(HUB, replace(first, etag=0))
        assert await store.phone(HUB, first.id) == second
        assert await store.subscriptions(HUB, "ann", first.id) == {}

    async def test_of_many_that_sign_in_at_once_with_one_phone_one_does(self, store: SqlStore) -> None:
        results = await asyncio.gather(
            *(sign_in(store, f"user-{number}", id="shared") for number in range(10)), return_exceptions=True
        )
        refused = [each for each in results if isinstance(each, PreconditionError)]
        (phone,) = [each for each in results if isinstance(each, Phone)]
        assert len(refused) == 9
        assert await store.phone(HUB, "shared") == phone

    async def test_subscriptions_are_of_a_user_and_a_phone_together(self, store: SqlStore) -> None:
        ann = await sign_in(store, "ann", {"debits": "500"}, id="shared")
        bob = await store.put_phone(HUB, replace(phone_of("bob"), id="shared", etag=ann.etag), topics={"news": ""})
        assert await store.phones_of(HUB, "ann") == []
        assert await store.subscriptions(HUB, "ann", "shared") == {"debits": "500"}
        assert await store.subscriptions(HUB, "Bob", "shared") == {"news": ""}
        assert await store.subscriptions(HUB, "ann", "another") is None
        assert await store.subscriptions("other", "ann", "shared") is None
        await store.put_phone(HUB, signed_off(bob))
        assert await store.subscriptions(HUB, "bob", "shared") == {"news": ""}

    async def test_a_phone_is_unwritten_until_the_engine_has_it_as_it_is_now(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        first = await sign_in(store, "ann")
        assert await store.unwritten_phones(HUB, unchanged_for=1, limit=9) == []
        clock.advance(2)
        assert await store.unwritten_phones(HUB, unchanged_for=1, limit=9) == [first]
        assert await store.unwritten_phones("other", unchanged_for=1, limit=9) == []
        second = await store.put_phone(HUB, replace(first, registration_id="2"))
        assert not await store.phone_written(HUB, first, "d1")
        assert await store.phone_written(HUB, second, "d2")
        clock.advance(2)
        assert await store.unwritten_phones(HUB, unchanged_for=1, limit=9) == []
        assert await store.phone(HUB, first.id) == replace(second, written="d2")
        third = await store.put_phone(HUB, signed_off(second))
        clock.advance(2)
        assert await store.unwritten_phones(HUB, unchanged_for=1, limit=9) == [third]
        assert await store.phone_written(HUB, third, "")
        assert await store.phone(HUB, first.id) is None

    async def test_unwritten_phones_come_in_parts_each_behind_the_last(self, store: SqlStore, clock: HostClock) -> None:
        for number in range(3):  # two of them at the same time
            for user in ("ann", "bob"):
                await sign_in(store, f"{user}-{number}")
            clock.advance(2)
        found: list[str] = []
        last = None
        while phones := await store.unwritten_phones(HUB, unchanged_for=1, after=last, limit=4):
            last = phones[-1]
            found += [each.id for each in phones]
        assert found == [f"phone-of-{user}-{number}" for number in range(3) for user in ("ann", "bob")]

    async def test_all_phones_of_a_hub_are_written_again_in_parts(self, store: SqlStore, clock: HostClock) -> None:
        for number in range(5):
            phone = await sign_in(store, f"user-{number}")
            assert await store.phone_written(HUB, phone, "digest")
        await store.put_phone("other", phone_of("ann"))
        found, after = [], ""
        while True:
            count, after = await store.rewrite_phones(HUB, after=after, limit=2)
            found.append(count)
            if not after:
                break
        assert found == [2, 2, 1]
        clock.advance(2)
        assert len(await store.unwritten_phones(HUB, unchanged_for=1, limit=9)) == 5

    async def test_an_erasure_signs_the_phones_of_the_person_off_and_leaves_those_of_others(
        self, store: SqlStore, stores: Stores, clock: HostClock
    ) -> None:
        ann = await sign_in(store, "ann", {"debits": "500"})
        await store.phone_written(HUB, ann, "digest")
        bob = await sign_in(store, "bob", {"news": ""})
        await store.phone_written(HUB, bob, "digest")
        await store.erase_person("Ann", actor="eve")
        clock.advance(2)
        (left,) = await store.unwritten_phones(HUB, unchanged_for=1, limit=9)
        assert (left.id, left.sign_in, left.installation_id) == (ann.id, None, ann.installation_id)
        assert await store.subscriptions(HUB, "ann", ann.id) is None
        assert not await store.phone_written(HUB, ann, "digest")
        assert await store.phone_written(HUB, left, "")
        assert await store.phone(HUB, bob.id) == replace(bob, written="digest")
        assert await store.subscriptions(HUB, "bob", bob.id) == {"news": ""}

    async def test_what_has_expired_long_ago_is_forgotten(self, store: SqlStore, clock: HostClock) -> None:
        await sign_in(store, "ann", expires_at=clock() + 10)
        await sign_in(store, "bob", expires_at=clock() + 1000)
        clock.advance(100)
        assert not await store.forget_phones(kept=95, subscriptions_kept=200)
        assert await store.phone(HUB, "phone-of-ann") is not None
        assert not await store.forget_phones(kept=80, subscriptions_kept=200)
        assert await store.phone(HUB, "phone-of-ann") is None
        assert await store.subscriptions(HUB, "ann", "phone-of-ann") == {}
        assert not await store.forget_phones(kept=80, subscriptions_kept=50)
        assert await store.subscriptions(HUB, "ann", "phone-of-ann") is None
        assert await store.phone(HUB, "phone-of-bob") is not None
