"""Texts held here: whom they are for besides templates, and that what was accepted keeps its wording."""

from dataclasses import replace

import pytest
from pyroaring import BitMap

from hub.content.held import text_of
from hub.errors import StoreError
from hub.installation import Registration, SecondaryTile
from hub.notification import EVERYONE, Audience, HeldText, Notification, Platform, TemplateContent
from hub.outcome import DeviceAnswer, OutcomeName
from hub.store.connection import Statement
from hub.store.contracts.outbox import PAGE_SIZE, PageResult
from hub.store.outbox.texts import SLICE
from hub.store.rows import moment
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import GREETING, HUB, arrivals, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, take, take_pages, went_well
from tests.hub.store.suite.registering import channels

TEXT = HeldText.of("greeting", b'{"name":"greeting"}')
DAY = 24 * 3600.0
_ALL = Statement("test.texts", "SELECT id, document FROM held_text")
ROUTES = ("news", "news && !other")
"""Audiences that single registrations are tried for, and that bitmaps are joined for."""


def worded(audience: str | Audience = "news", **changes: object) -> Notification:
    said = {"content": TemplateContent(properties={"title": "hi"}, text=TEXT), **changes}
    return notification(audience, **said)


async def kept(stores: Stores) -> set[int]:
    """The texts that the store has."""
    return {id for id, _ in await stores.read(_ALL)}


async def housekeep(store: SqlStore) -> None:
    """Clear what has ended, of all queues, and forget texts."""
    while await store.clear_ended(kept=0):
        pass
    while await store.forget_texts(kept=DAY):
        pass


class Worded(Suite):
    """Whom a text is for, by either route."""

    @pytest.fixture(params=ROUTES)
    def route(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_a_phone_without_a_template_gets_the_text_and_no_phone_gets_both(
        self, store: SqlStore, route: str
    ) -> None:
        await store.put_installations(
            HUB, [installation("ann", "news"), installation("bob", "news", templates=False), installation("eve")]
        )
        (found,) = await store.audiences([worded(route)])
        assert sorted((target.push_channel, target.template is None) for target in found.targets) == [
            ("token of ann", False),
            ("token of bob", True),
        ]
        counts = (await store.preview(worded(route), worded(route))).counts
        assert counts == {Platform.FCM: 2}

    async def test_a_template_that_is_registered_by_itself_speaks_for_its_push_channel(
        self, store: SqlStore, route: str
    ) -> None:
        """As SDKs register that know no installations: a native and a template registration of one handle."""
        bare = Registration(registration_id="", platform=Platform.FCM, push_channel="a", tags=("news",))
        await store.put_registration(HUB, bare)
        await store.put_registration(HUB, replace(bare, push_channel="b"))
        await store.put_registration(HUB, replace(bare, template_name="t", template=GREETING))
        (found,) = await store.audiences([worded(route)])
        assert sorted((target.push_channel, target.template is None) for target in found.targets) == [
            ("a", False),
            ("b", True),
        ]

    async def test_a_template_for_others_speaks_for_its_phone_too(self, store: SqlStore, route: str) -> None:
        phone = installation("ann", "news")
        await store.put_installations(HUB, [replace(phone, tags=(), templates={"t": replace(GREETING, tags=("x",))})])
        assert await channels(store, worded(route)) == []

    async def test_a_tile_of_windows_is_no_phone(self, store: SqlStore, route: str) -> None:
        phone = installation("ann", "news", platform=Platform.WNS, push_channel="https://w/1", templates=False)
        tile = SecondaryTile(push_channel="https://w/2", tags=("news",))
        await store.put_installations(HUB, [replace(phone, secondary_tiles={"t": tile})])
        assert await channels(store, worded(route)) == ["https://w/1"]

    async def test_a_handle_of_two_installations_gets_one_push(self, store: SqlStore, route: str) -> None:
        phones = [installation(name, "news", push_channel="a", templates=False) for name in ("ann", "bob")]
        await store.put_installations(HUB, phones)
        (found,) = await store.audiences([worded(route)])
        assert [target.push_channel for target in found.targets] == ["a"]
        assert sum(map(len, found.skipped.values())) == 1

    async def test_platforms_of_the_rule_hold(self, store: SqlStore, route: str) -> None:
        await store.put_installations(HUB, [installation("ann", "news", templates=False)])
        assert await channels(store, worded(route, platforms=frozenset([Platform.APNS]))) == []

    async def test_a_dead_template_speaks_for_nobody(self, store: SqlStore, route: str) -> None:
        """The phone was registered again under another id, without a template, and the old one was deleted."""
        await store.put_installations(HUB, [installation("old", "news", push_channel="a")])
        await store.delete_installation(HUB, "old")
        await store.put_installations(HUB, [installation("new", "news", push_channel="a", templates=False)])
        assert await channels(store, worded(route)) == ["a"]


class Texts(Worded):
    @pytest.mark.slow
    @pytest.mark.parametrize("with_template", [10, PAGE_SIZE + 500])
    async def test_a_broadcast_leaves_out_whom_a_template_speaks_for(self, store: SqlStore, with_template: int) -> None:
        """Found from the fewer: the templates of the platform, or the phones of the audience."""
        bare = [installation(f"p{number}", templates=False) for number in range(PAGE_SIZE + 100)]
        both = [installation(f"t{number}") for number in range(with_template)]
        await store.put_installations(HUB, [*bare, *both])
        (found,) = await store.audiences([worded(EVERYONE)])
        assert found.size == len(bare) + len(both)

    async def test_a_text_is_kept_once_and_outlives_the_process(self, stores: Stores, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news", templates=False)])
        await enqueue(store, worded(), worded())
        assert [(id, bytes(document)) for id, document in await stores.read(_ALL)] == [(TEXT.id, TEXT.document)]
        await stores.crash()
        again = await stores.open()
        content = (await take(again))[0].notification.content
        assert isinstance(content, TemplateContent)
        assert (content.text, dict(content.properties)) == (TEXT, {"title": "hi"})
        assert await again.held_texts([TEXT.id, 7]) == {TEXT.id: TEXT.document}

    async def test_a_text_that_nothing_names_goes_and_comes_again_with_the_next_that_does(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, worded())
        clock.advance(2 * DAY)
        assert not await store.forget_texts(kept=DAY)
        assert await kept(stores) == {TEXT.id}, "one that is under way names it"
        await store.record([went_well(work)])
        clock.advance(2 * DAY)
        await housekeep(store)
        assert await kept(stores) == set()
        (work,) = await begin(store, worded())
        assert await kept(stores) == {TEXT.id}
        assert await store.held_texts([TEXT.id]) == {TEXT.id: TEXT.document}

    async def test_a_text_stays_for_what_is_scheduled_and_while_it_is_used(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        later = moment(clock() + 30 * DAY)
        other = HeldText.of("other", b'{"name":"other"}')
        waiting = worded(schedule_at=later, content=TemplateContent(properties={}, text=other))
        await enqueue(store, waiting)
        for _ in range(4):
            clock.advance(DAY / 2)
            again = await begin(store, worded())
            await store.record([went_well(each) for each in again])
            await housekeep(store)
        assert await kept(stores) == {TEXT.id, other.id}
        assert await store.cancel(HUB, waiting.id)
        clock.advance(2 * DAY)
        await housekeep(store)
        assert await kept(stores) == set()

    async def test_many_texts_go_in_slices(self, stores: Stores, store: SqlStore, clock: HostClock) -> None:
        texts = [HeldText.of(f"t{number}", b'{"name":"t%d"}' % number) for number in range(SLICE + 1)]
        said = [worded(content=TemplateContent(properties={}, text=text)) for text in texts]
        work = await begin(store, *said)
        await store.record([went_well(each) for each in work if each.notification.id != said[0].id])
        clock.advance(2 * DAY)
        while await store.clear_ended(kept=0):
            pass
        assert await store.forget_texts(kept=DAY)
        assert not await store.forget_texts(kept=DAY)
        assert await kept(stores) == {texts[0].id}

    async def test_pages_name_the_text_too(self, store: SqlStore) -> None:
        await store.put_installations(
            HUB, [installation(f"p{number}", templates=False) for number in range(PAGE_SIZE + 1)]
        )
        await enqueue(store, worded(EVERYONE))
        (work,) = await take(store)
        (audience,) = await store.audiences([work.notification])
        await store.expand(work, audience)
        pages = await take_pages(store, Platform.FCM)
        assert len(pages) == 2
        assert {page.lane for page in pages} == {Lane.BROADCAST}
        assert all(isinstance(page.notification.content, TemplateContent) for page in pages)
        assert {page.notification.content.text for page in pages} == {TEXT}  # type: ignore[union-attr]

    async def test_two_texts_of_one_hash_are_refused(self, store: SqlStore) -> None:
        await enqueue(store, worded())
        other = HeldText(id=TEXT.id, name="other", document=b"{}")
        store._outbox.acceptor._texts._ids.clear()  # as another process would: it knows of no text
        with pytest.raises(StoreError, match="the text other cannot be kept"):
            await enqueue(store, notification("news", content=TemplateContent(properties={}, text=other)))

    async def test_a_trace_and_the_list_of_a_phone_know_that_a_text_was_for_it(self, store: SqlStore) -> None:
        phone = replace(installation("ann", "news", templates=False), locale="de-CH")
        await store.put_installations(HUB, [phone, installation("bob", "news"), installation("eve", templates=False)])
        (work,) = (await store.accept(arrivals([worded()]), start=10)).work
        (native,) = await store.trace(work.notification.id, "ann")
        assert native.answer is DeviceAnswer.UNDER_WAY
        (stranger,) = await store.trace(work.notification.id, "eve")
        assert stranger.answer is DeviceAnswer.TAGS
        own, _ = await store.trace(work.notification.id, "bob")
        assert (own.template, own.answer) == (None, DeviceAnswer.NO_TEMPLATE)
        (audience,) = await store.audiences([work.notification])
        counts = {Platform.FCM: {OutcomeName.SUCCESS: 2}}
        ordinals = BitMap(target.ordinal for target in audience.targets)
        await store.record([PageResult(work=work, counts=counts, ordinals=ordinals, started_at=store.now())])
        (push,) = (await store.received(HUB, "ann", most=10)).pushes
        assert (push.template, push.answer, push.locale) == (None, DeviceAnswer.DELIVERED, "de-CH")
        assert text_of(push.notification) == TEXT
