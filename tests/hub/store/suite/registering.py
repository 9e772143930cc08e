"""How stores keep installations and registrations, and how push channels die and come back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyroaring import BitMap

from hub.acceptance import AuditEntry
from hub.errors import InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import Installation, Registration, Template
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName
from hub.store.contracts.outbox import Failed, PageResult
from hub.store.contracts.registry import GoneChannel, RenamedChannel
from hub.store.store import SqlStore
from hub.target import Target
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Suite, begin

DAY = 24 * 3600.0
GONE = OutcomeName.EXPIRED_CHANNEL


def native(audience: str) -> Notification:
    return notification(audience, content=NativeContent(platform=Platform.FCM, payload=b"{}"))


async def found(store: SqlStore, given: str | Notification) -> list[Target]:
    """Whom a notification reaches; a tag expression stands for a template notification."""
    (audience,) = await store.audiences([notification(given) if isinstance(given, str) else given])
    return list(audience.targets)


async def channels(store: SqlStore, given: str | Notification) -> list[str]:
    return sorted(target.push_channel for target in await found(store, given))


async def die(
    store: SqlStore, clock: HostClock, target: Target, *, gone_since: float | None = None, gone: bool = True
) -> int:
    """Record that a push to this target found its channel dead; how many registrations that hid."""
    (work,) = await begin(store, notification())
    failed = Failed(ordinal=target.ordinal, outcome=GONE, reason="Unregistered", gone=gone, gone_since=gone_since)
    recorded = await store.record(
        [PageResult(work=work, counts={target.platform: {GONE: 1}}, failures=[failed], ordinals=BitMap())]
    )
    return recorded.gone


class Registering(Suite):
    async def test_registrations_are_one_native_and_one_for_each_template(self, store: SqlStore) -> None:
        """Push variables, whose names and values a phone chooses, become no tags."""
        greeting = Template(body='{"message": {"notification": {"body": "$(m)"}}}', tags=("x",))
        phone = Installation(
            id="i1",
            platform=Platform.FCM,
            push_channel="c",
            user_id="u1",
            tags=("t1",),
            push_variables={"a": "b"},
            templates={"greet": greeting, "Big One": replace(greeting, tags=())},
        )
        await store.put_installations(HUB, [phone])
        native, greet, big = (await store.device(HUB, "i1")).registrations
        assert (native.template, greet.template, big.template) == (None, "greet", "Big One")
        assert native.tags == ("$InstallationId:{i1}", "$UserId:{u1}", "t1")
        assert greet.tags == (*native.tags, "x", "greet")
        assert big.tags == (*native.tags, "Big One")
        assert [await channels(store, tag) for tag in ("t1", "a", "b")] == [["c", "c"], [], []]

    async def test_an_installation_comes_back_as_it_was_put(self, store: SqlStore) -> None:
        full = Installation(
            id="ann",
            platform=Platform.APNS,
            push_channel="AB12",
            user_id="ann@example",
            tags=("news", "Größe"),
            templates={
                "t": Template(
                    body='{"aps":{"alert":"$(m)"}}', headers={"apns-priority": "5"}, expiry="0", tags=("extra",)
                )
            },
            push_variables={"name": "Ann"},
            locale="de-CH",
            time_zone="Europe/Zurich",
            expires_at=datetime(2100, 1, 1, tzinfo=UTC),
        )
        await store.put_installations(HUB, [full, installation("bob")])
        assert await store.get_installation(HUB, "ann") == full
        assert await store.get_installation(HUB, "bob") == installation("bob")

    async def test_a_push_goes_by_what_a_phone_says_of_itself(self, store: SqlStore) -> None:
        """Properties come before push variables, whose names have no case; its registrations say it in variables."""
        said = replace(installation("ann", "news"), push_variables={"Locale": "fr", "timezone": "Asia/Tokyo"})
        await store.put_installations(HUB, [replace(said, locale="de-CH"), replace(said, id="bob", push_channel="b")])
        ann, bob = await found(store, "news")
        assert (ann.locale, ann.time_zone) == ("de-CH", "Asia/Tokyo")
        assert (bob.locale, bob.time_zone) == ("fr", "Asia/Tokyo")
        listed = (await store.registrations(HUB, limit=10)).items
        assert {each.push_variables["locale"] for each in listed if "locale" in each.push_variables} == {"de-CH"}

    async def test_hubs_do_not_see_each_other(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        await store.put_installations("other", [installation("bob", "news")])
        assert await channels(store, "news") == ["token of ann"]
        assert await channels(store, notification("news", hub="other")) == ["token of bob"]
        assert await channels(store, notification("news", hub="nobody's")) == []
        with pytest.raises(NotFoundError):
            await store.get_installation("other", "ann")
        with pytest.raises(NotFoundError):
            await store.get_installation("nobody's", "ann")

    async def test_a_replaced_installation_keeps_its_ordinals_and_loses_what_it_no_longer_has(
        self, store: SqlStore
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news", "sports")])
        before = await found(store, "news")
        replaced = installation("ann", "news", "chess", push_channel="another token")
        await store.put_installations(HUB, [replaced])
        after = await found(store, "news")
        assert [target.ordinal for target in after] == [target.ordinal for target in before]
        assert [target.push_channel for target in after] == ["another token"]
        assert await found(store, "sports") == []
        assert len(await found(store, "chess")) == 1

    async def test_a_template_that_is_dropped_is_not_reached_and_its_ordinal_not_given_again(
        self, store: SqlStore
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        (dropped,) = await found(store, "news")
        await store.put_installations(HUB, [installation("ann", "news", templates=False)])
        assert await found(store, "news") == []
        assert await store.targets(HUB, BitMap([dropped.ordinal])) == []
        await store.put_installations(HUB, [installation("bob", "news")])
        assert dropped.ordinal not in {target.ordinal for target in await found(store, "news")}

    async def test_the_last_of_several_documents_with_one_id_counts(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "a"), installation("ann", "b")])
        assert await found(store, "a") == []
        assert len(await found(store, "b")) == 1

    async def test_a_deleted_installation_is_neither_found_nor_reached(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        assert await store.delete_installation(HUB, "ann")
        assert not await store.delete_installation(HUB, "ann")
        assert not await store.delete_installation("nobody's", "ann")
        with pytest.raises(NotFoundError):
            await store.get_installation(HUB, "ann")
        assert await channels(store, "news") == ["token of bob"]
        assert await channels(store, native("!sports")) == ["token of bob"]

    async def test_an_expired_installation_is_neither_found_nor_reached(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ends = datetime.fromtimestamp(clock(), UTC) + timedelta(seconds=10)
        await store.put_installations(HUB, [replace(installation("ann", "news"), expires_at=ends)])
        (target,) = await found(store, "news")
        clock.advance(10)
        for audience in ("news", "!sports"):
            assert await found(store, audience) == []
            assert await found(store, native(audience)) == []
        assert await store.targets(HUB, BitMap([target.ordinal])) == []
        with pytest.raises(NotFoundError):
            await store.get_installation(HUB, "ann")

    async def test_a_registration_gets_an_id_and_a_higher_etag_with_every_write(self, store: SqlStore) -> None:
        given = Registration(registration_id="", platform=Platform.FCM, push_channel="a", tags=("news",))
        first = await store.put_registration(HUB, given)
        assert first.registration_id
        assert first.etag == 1
        assert await store.get_registration(HUB, first.registration_id) == first
        second = await store.put_registration(HUB, first)
        assert (second.registration_id, second.etag) == (first.registration_id, 2)
        another = await store.put_registration(HUB, given)
        assert another.registration_id != first.registration_id

    async def test_a_template_registration_comes_back_as_it_was_put(self, store: SqlStore) -> None:
        given = Registration(
            registration_id="1-2-3",
            platform=Platform.APNS,
            push_channel="AB",
            tags=("news",),
            template_name="t",
            template=Template(body='{"aps":{}}', headers={"apns-priority": "5"}, expiry="0"),
            push_variables={"name": "Ann"},
            expires_at=datetime(2100, 1, 1, tzinfo=UTC),
        )
        await store.put_registration(HUB, given)
        assert await store.get_registration(HUB, "1-2-3") == given
        (target,) = await found(store, "news")
        assert target.push_variables == {"name": "Ann"}
        assert target.template is not None
        stored = (await store.templates([target.template, 999]))[target.template]
        assert (stored.body, stored.headers, stored.expiry) == ('{"aps":{}}', {"apns-priority": "5"}, "0")
        assert 999 not in await store.templates([999])

    async def test_a_registration_is_written_and_deleted_only_under_the_etag_named(self, store: SqlStore) -> None:
        given = Registration(registration_id="1-2-3", platform=Platform.FCM, push_channel="a", tags=("a",))
        with pytest.raises(NotFoundError):
            await store.put_registration(HUB, given, if_match=1)
        with pytest.raises(NotFoundError):
            await store.delete_registration(HUB, "1-2-3")
        await store.put_registration(HUB, given)
        with pytest.raises(PreconditionError):
            await store.put_registration(HUB, given, if_match=2)
        await store.put_registration(HUB, given, if_match=1)
        with pytest.raises(PreconditionError):
            await store.delete_registration(HUB, "1-2-3", if_match=1)
        assert await channels(store, native("a")) == ["a"]
        await store.delete_registration(HUB, "1-2-3", if_match=2)
        assert await channels(store, native("a")) == []
        with pytest.raises(NotFoundError):
            await store.get_registration(HUB, "1-2-3")

    # Dead push channels

    async def test_a_dead_channel_hides_all_its_registrations_and_shows_in_the_document(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        ann = next(target for target in await found(store, "news") if target.push_channel == "token of ann")
        assert await die(store, clock, ann) == 2  # the native one, and the template
        assert await channels(store, "news") == ["token of bob"]
        assert await channels(store, "!sports") == ["token of bob"]
        assert await channels(store, native("news")) == ["token of bob"]
        assert await store.targets(HUB, BitMap([ann.ordinal])) == []
        assert (await store.get_installation(HUB, "ann")).push_channel_expired
        assert not (await store.get_installation(HUB, "bob")).push_channel_expired
        assert (await store.registrations_by_platform())[HUB, Platform.FCM] == 2

    async def test_a_failure_that_is_not_a_dead_channel_hides_nothing(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        (target,) = await found(store, "news")
        assert await die(store, clock, target, gone=False) == 0
        assert await channels(store, "news") == ["token of ann"]

    async def test_the_same_token_of_another_platform_or_hub_lives_on(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(
            HUB,
            [
                installation("ann", "news", push_channel="AB", templates=False),
                installation("bob", "news", push_channel="AB", templates=False, platform=Platform.APNS),
            ],
        )
        await store.put_installations("other", [installation("eve", "news", push_channel="AB")])
        (ann,) = await found(store, native("news"))
        assert await die(store, clock, ann) == 1
        apns = notification("news", content=NativeContent(platform=Platform.APNS, payload=b"{}"))
        assert await channels(store, apns) == ["AB"]
        assert await channels(store, notification("news", hub="other")) == ["AB"]

    async def test_a_dead_channel_lives_again_when_its_phone_registers_again(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news", "chess")])
        (before,) = await found(store, "news")
        await die(store, clock, before)
        clock.advance(1)
        await store.put_installations(HUB, [installation("ann", "news")])
        (after,) = await found(store, "news")
        assert after.ordinal == before.ordinal
        assert after.registered_at == clock()
        assert await found(store, "chess") == []
        assert len(await found(store, native("news"))) == 1
        assert not (await store.get_installation(HUB, "ann")).push_channel_expired

    @pytest.mark.parametrize("before, hidden", [(-1.0, 0), (0.0, 2), (1.0, 2)])
    async def test_a_channel_registered_after_it_was_known_to_be_dead_stays(
        self, store: SqlStore, clock: HostClock, before: float, hidden: int
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        (target,) = await found(store, "news")
        gone_since = clock() + before
        clock.advance(100)
        assert await die(store, clock, target, gone_since=gone_since) == hidden
        assert len(await found(store, "news")) == (0 if hidden else 1)

    async def test_a_channel_that_is_said_to_be_dead_by_itself_is_so_in_its_hub_alone(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        await store.put_installations("other", [installation("ann", "news")])
        gone = GoneChannel(platform=Platform.FCM, push_channel="token of ann", reason="gone", gone_since=clock() - 1)
        assert await store.mark_channels_dead(HUB, [gone]) == 0  # it was registered since
        assert await store.mark_channels_dead(HUB, [replace(gone, gone_since=None)]) == 2
        assert await store.mark_channels_dead(HUB, [replace(gone, gone_since=None)]) == 0
        assert await channels(store, "news") == ["token of bob"]
        assert await channels(store, notification("news", hub="other")) == ["token of ann"]
        assert (await store.get_installation(HUB, "ann")).push_channel_expired

    async def test_dead_channels_are_kept_for_thirty_days_and_then_dropped_with_their_document(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        ann = next(target for target in await found(store, "news") if target.push_channel == "token of ann")
        await die(store, clock, ann)
        clock.advance(30 * DAY - 1)
        await clean(store)
        assert (await store.get_installation(HUB, "ann")).push_channel_expired
        clock.advance(2)
        await clean(store)
        with pytest.raises(NotFoundError):
            await store.get_installation(HUB, "ann")
        assert await channels(store, "news") == ["token of bob"]
        assert not (await store.get_installation(HUB, "bob")).push_channel_expired

    async def test_removed_devices_come_back_but_those_that_somebody_else_has_or_that_expired(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ends = datetime.fromtimestamp(clock() + 50, UTC)
        phones = [
            installation("early", "news"),
            installation("ann", "news", "chess"),
            replace(installation("old", "news"), expires_at=ends),
            replace(installation("sold", "news"), user_id="u1"),
        ]
        await store.put_installations(HUB, phones)
        early = GoneChannel(platform=Platform.FCM, push_channel="token of early", reason="gone")
        assert await store.mark_channels_dead(HUB, [early]) == 2
        clock.advance(100)
        gone = [replace(early, push_channel=f"token of {name}") for name in ("ann", "old", "sold")]
        await store.mark_channels_dead(HUB, gone)
        await store.put_installations(
            HUB, [replace(installation("bought", "tennis", push_channel="token of sold"), user_id="u2")]
        )
        audit = AuditEntry(actor="anna", action="devices.restore", target=HUB)
        assert await store.revive("nowhere", within=60.0, audit=audit) == 0
        assert await store.revive(HUB, within=60.0, audit=audit) == 2
        assert await channels(store, "news") == ["token of ann"]
        assert await channels(store, "chess") == ["token of ann"]
        assert not (await store.get_installation(HUB, "ann")).push_channel_expired
        assert (await store.get_installation(HUB, "early")).push_channel_expired
        assert await store.revive(HUB, within=60.0, audit=audit) == 0
        assert await store.revive(HUB, within=500.0, audit=audit) == 2
        assert await channels(store, "news") == ["token of ann", "token of early"]
        assert [one.entry for one in (await store.audit(limit=10)).items] == [audit] * 4

    async def test_many_removed_devices_come_back_in_slices(self, store: SqlStore, clock: HostClock) -> None:
        names = [f"p{number}" for number in range(2100)]
        await store.put_installations(HUB, [installation(name, "news", templates=False) for name in names])
        gone = [GoneChannel(platform=Platform.FCM, push_channel=f"token of {name}", reason="410") for name in names]
        await store.mark_channels_dead(HUB, gone)
        assert [one.size for one in await store.audiences([native("news")])] == [0]
        audit = AuditEntry(actor="anna", action="devices.restore", target=HUB)
        assert await store.revive(HUB, within=60.0, audit=audit) == 2100
        assert [one.size for one in await store.audiences([native("news")])] == [2100]

    async def test_a_channel_that_its_service_names_anew_takes_the_place_of_the_old_one(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(
            HUB,
            [
                installation("ann", "news", "chess"),
                installation("bob", "news"),
                installation("twin", "news", push_channel="token of ann", templates=False),
            ],
        )
        bob = GoneChannel(platform=Platform.FCM, push_channel="token of bob", reason="-")
        await store.mark_channels_dead(HUB, [bob])
        clock.advance(1)
        renamed = [
            RenamedChannel(platform=Platform.FCM, old=f"token of {name}", new=f"new token of {name}")
            for name in ("ann", "bob", "nobody")
        ]
        assert await store.rename_channels(HUB, renamed) == 2
        assert await store.rename_channels("nowhere", renamed) == 0
        assert await channels(store, "chess") == ["new token of ann"]
        assert set(await channels(store, native("news"))) == {"new token of ann"}
        ann = await store.get_installation(HUB, "ann")
        assert (ann.push_channel, ann.push_channel_expired) == ("new token of ann", False)
        assert (await store.get_installation(HUB, "bob")).push_channel == "token of bob"
        by_new = await store.registrations_of(HUB, [(Platform.FCM, "new token of ann")], limit=10)
        assert len(by_new.items) == 3
        assert not (await store.registrations_of(HUB, [(Platform.FCM, "token of ann")], limit=10)).items

    async def test_expired_registrations_are_dropped_with_their_document_and_their_tags(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        ends = datetime.fromtimestamp(clock() + 10, UTC)
        phones = [replace(installation(f"p{number}", "news"), expires_at=ends) for number in range(700)]
        await store.put_installations(HUB, [*phones, installation("ann", "news")])
        clock.advance(10)
        await clean(store)
        assert (await store.registrations_by_platform())[HUB, Platform.FCM] == 2
        assert await channels(store, "news") == ["token of ann"]
        assert await channels(store, native("!sports")) == ["token of ann"]

    @pytest.mark.parametrize(
        ("before", "after", "reached"),
        [
            ("ann", "bob", False),
            ("ann", None, False),
            (None, "bob", False),
            ("ann", "ANN", True),
            ("ann", "ann", True),
            (None, None, True),
        ],
    )
    async def test_a_channel_that_another_user_registers_is_the_other_user_s_alone(
        self, store: SqlStore, before: str | None, after: str | None, reached: bool
    ) -> None:
        first, second = (
            replace(installation(name, name, push_channel="same"), user_id=user)
            for name, user in (("first", before), ("second", after))
        )
        await store.put_installations(HUB, [first])
        await store.put_installations(HUB, [second])
        assert await channels(store, "first") == (["same"] if reached else [])
        assert await channels(store, "second") == ["same"]
        assert (await store.get_installation(HUB, "first")).push_channel_expired is not reached
        await store.put_installations(HUB, [first])
        assert await channels(store, "first") == ["same"]
        assert await channels(store, "second") == (["same"] if reached else [])

    async def test_a_channel_of_another_hub_or_platform_stays(self, store: SqlStore) -> None:
        ann = replace(installation("ann", "news", push_channel="AB"), user_id="ann")
        bob = replace(installation("bob", "news", push_channel="AB", platform=Platform.WNS), user_id="bob")
        await store.put_installations(HUB, [ann])
        await store.put_installations(HUB, [bob])
        await store.put_installations("other", [replace(ann, id="eve", user_id="eve")])
        assert await channels(store, "news") == ["AB", "AB"]

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize(
        ("one", "other", "taken"),
        [("phone", "PHONE", False), ("Élan", "éLAN", False), ("straße", "strasse", True), ("a", "a}", True)],
    )
    async def test_ids_that_one_tag_would_mean_are_not_both_taken(
        self, store: SqlStore, one: str, other: str, taken: bool, together: bool
    ) -> None:
        phones = [installation(name, "news") for name in (one, other)]
        batches = [phones] if together else [[phone] for phone in phones]
        refused = None
        try:
            for batch in batches:
                await store.put_installations(HUB, batch)
        except InvalidRequestError as error:
            refused = error
        assert (refused is None) is taken
        expected = phones if taken else [] if together else phones[:1]
        assert await channels(store, "news") == sorted(phone.push_channel for phone in expected)
        if refused is not None and not together:
            await store.put_installations(HUB, phones[:1])  # the first one may come again
            await store.delete_installation(HUB, one)
            await store.put_installations(HUB, phones[1:])
            assert await channels(store, "news") == [phones[1].push_channel]


async def clean(store: SqlStore) -> None:
    """Keep house, of the registry alone."""
    while await store.forget_dead(kept=30 * DAY):
        pass
