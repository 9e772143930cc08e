"""How stores find audiences: every tag expression, at every size, by whichever route."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pyroaring import BitMap

from hub.installation import Installation, Registration
from hub.notification import EVERYONE, Audience, NativeContent, Notification, Platform
from hub.outcome import Unreached
from hub.store.contracts.outbox import PAGE_SIZE
from hub.store.store import SqlStore
from hub.target import Target
from tests.fakes.host_clock import START, HostClock
from tests.hub.examples import GREETING, HUB, installation, notification
from tests.hub.store.suite.harness import Suite
from tests.hub.store.suite.registering import channels, found, native


def for_apns(audience: str | Audience) -> Notification:
    return notification(audience, content=NativeContent(platform=Platform.APNS, payload=b"{}"))


async def register(store: SqlStore, count: int, *tags: str, template: bool = True) -> None:
    """So many phones, in one transaction."""
    await store.put_installations(
        HUB, [installation(f"p{number:05d}", *tags, templates=template) for number in range(count)]
    )


def of_apns(audience: str | Audience) -> Notification:
    return notification(audience, platforms=frozenset([Platform.APNS]))


NEWS = installation("ann", "news")
BARE = installation("bob", "news", templates=False)
IPHONE = installation("eve", "news", platform=Platform.APNS, push_channel="AB", templates=False)
EXPIRED = replace(installation("old", "past"), expires_at=datetime.fromtimestamp(START + 1, UTC))
DELETED = installation("deleted", "once")
TEMPLATE_ONLY = Registration(
    registration_id="r", platform=Platform.FCM, push_channel="z", tags=("only",), template_name="t", template=GREETING
)
PHONES = [NEWS, IPHONE, EXPIRED, DELETED]

NOBODY = [
    (PHONES, notification("sports"), Unreached.NO_TAG),
    (PHONES, notification("news && only"), Unreached.NO_TAG),
    (PHONES, notification("!news && !only && !past"), Unreached.NO_TAG),
    (PHONES, notification("past"), Unreached.GONE),
    (PHONES, notification("past && !news"), Unreached.GONE),
    (PHONES, notification("once"), Unreached.GONE),
    (PHONES, notification("once || sports"), Unreached.GONE),
    (PHONES, notification("$InstallationId:{deleted}"), Unreached.GONE),
    (PHONES, of_apns("news && !x"), Unreached.NO_TEMPLATE),
    (PHONES, of_apns("!only && !past"), Unreached.NO_TEMPLATE),
    (PHONES, of_apns(EVERYONE), Unreached.NO_TEMPLATE),
    ([BARE], notification("news"), Unreached.NO_TEMPLATE),
    ([BARE], notification("!only"), Unreached.NO_TEMPLATE),
    ([NEWS], of_apns("news"), Unreached.OTHER_PLATFORM),
    ([NEWS], of_apns("!only"), Unreached.OTHER_PLATFORM),
    ([NEWS], for_apns("news"), Unreached.OTHER_PLATFORM),
    ([NEWS], for_apns(EVERYONE), Unreached.OTHER_PLATFORM),
    ([NEWS], native("only"), Unreached.NO_NATIVE),
    ([], native("!news"), Unreached.NO_NATIVE),
]
"""Phones, what is sent, and why nobody gets it."""


def _for_a_push(target: Target) -> tuple[object, ...]:
    return target.ordinal, target.push_channel, target.platform, target.template, target.push_variables


class Finding(Suite):
    async def test_templates_receive_properties_and_natives_payloads_of_their_platform(self, store: SqlStore) -> None:
        await store.put_installations(
            HUB,
            [
                installation("ann", "news"),
                installation("bob", "news", templates=False),
                installation("eve", "news", templates=False, platform=Platform.APNS, push_channel="AB"),
            ],
        )
        for audience in ("news", "!sports"):
            assert await channels(store, audience) == ["token of ann"]
            assert await channels(store, native(audience)) == ["token of ann", "token of bob"]
            assert await channels(store, for_apns(audience)) == ["AB"]
        assert await channels(store, notification(EVERYONE)) == ["token of ann"]
        assert await channels(store, for_apns(EVERYONE)) == ["AB"]

    async def test_each_template_of_a_phone_that_matches_gets_its_own_push(self, store: SqlStore) -> None:
        for name in ("one", "two"):
            await store.put_registration(
                HUB,
                Registration(
                    registration_id=name,
                    platform=Platform.FCM,
                    push_channel="ann",
                    tags=("news",),
                    template_name=name,
                    template=GREETING,
                ),
            )
        assert await channels(store, "news") == ["ann", "ann"]

    @pytest.mark.parametrize("audience", ["news", "!sports", EVERYONE], ids=str)
    async def test_a_template_notification_goes_to_the_platforms_it_names(
        self, store: SqlStore, audience: str | Audience
    ) -> None:
        apple = installation("bob", "news", platform=Platform.APNS, push_channel="AB")
        await store.put_installations(HUB, [installation("ann", "news"), apple])
        limited = notification(audience, platforms=frozenset([Platform.APNS]))
        assert await channels(store, limited) == ["AB"]
        assert await channels(store, notification(audience, platforms=frozenset[Platform]())) == []

    async def test_tags_compare_without_case(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "Größe", "ΟΔΟΣ")])
        for audience in ("GRÖSSE", "größe", "οδος", "!x && größe", "$installationid:{ANN}"):
            assert await channels(store, audience) == ["token of ann"], audience

    async def test_audiences_come_in_the_order_asked(self, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "a"), installation("bob", "b")])
        audiences = await store.audiences([notification(text) for text in ("b", "nobody", "a", "a || b")])
        assert [[target.push_channel for target in audience.targets] for audience in audiences] == [
            ["token of bob"],
            [],
            ["token of ann"],
            ["token of ann", "token of bob"],
        ]

    @pytest.mark.parametrize("audience", ["news", "!sports", "news && !sports", EVERYONE], ids=str)
    async def test_what_fits_one_page_is_at_hand_and_more_is_cut_into_pages(
        self, store: SqlStore, audience: str | Audience
    ) -> None:
        await register(store, PAGE_SIZE, "news")
        (whole,) = await store.audiences([notification(audience)])
        assert (len(whole.targets), whole.pages) == (PAGE_SIZE, ())
        await store.put_installations(HUB, [installation("one more", "news")])
        (paged,) = await store.audiences([notification(audience)])
        assert not paged.targets
        assert [len(page) for _, page in paged.pages] == [PAGE_SIZE, 1]

    async def test_pages_are_of_one_platform_disjoint_and_hold_all(self, store: SqlStore) -> None:
        phones = [installation(f"fcm{number}", "news") for number in range(1500)]
        phones += [
            installation(f"apns{number}", "news", platform=Platform.APNS, push_channel=f"{number:04X}")
            for number in range(700)
        ]
        await store.put_installations(HUB, phones)
        (audience,) = await store.audiences([notification("news")])
        assert sorted((platform.value, len(page)) for platform, page in audience.pages) == [
            ("apns", 700),
            ("fcmv1", 500),
            ("fcmv1", 1000),
        ]
        reached = [
            (target.platform, target.push_channel)
            for platform, page in audience.pages
            for target in await store.targets(HUB, page)
            if target.platform is platform
        ]
        assert len(reached) == len(set(reached)) == 2200

    async def test_targets_of_a_page_come_by_ordinal_whether_neighbours_or_far_apart(self, store: SqlStore) -> None:
        await register(store, 300, "news")
        everyone = [target.ordinal for target in await found(store, "news")]
        for wanted in (everyone, everyone[::2], everyone[::50], everyone[:1], everyone[-1:], []):
            targets = await store.targets(HUB, BitMap(wanted))
            assert [target.ordinal for target in targets] == wanted

    async def test_columns_of_a_page_say_what_its_targets_say(self, store: SqlStore) -> None:
        phones = [installation(f"fcm{number}", "news") for number in range(4)]
        phones += [installation("fcm4", "news", push_channel=each) for each in ("größer", "\x01marked", "a\nb", "AB")]
        phones += [
            installation(f"apns{number}", "news", platform=Platform.APNS, push_channel=f"0A00{number:04X}")
            for number in range(4)
        ]
        named = replace(phones[0], push_variables={"name": "Ann"})
        two = replace(phones[1], templates={"greeting": GREETING, "other": replace(GREETING, body="{}")})
        phones = [replace(each, id=str(place)) for place, each in enumerate([named, two, *phones[2:]])]
        await store.put_installations(HUB, phones)
        targets = await found(store, "news")
        assert len(targets) == len(phones) + 1
        for wanted in (targets, targets[::2], targets[-4:], targets[:1], []):
            columns = await store.target_columns(HUB, BitMap([each.ordinal for each in wanted]))
            assert [_for_a_push(each) for each in columns] == [_for_a_push(each) for each in wanted]
            parts = columns.by_kind()
            assert sorted(each.ordinal for part in parts for each in part) == [each.ordinal for each in wanted]
            assert len({_for_a_push(each)[2:4] for part in parts for each in part}) <= len(parts) == len(columns.kinds)
            assert columns.latest == max((each.registered_at for each in wanted), default=0.0)

    @pytest.mark.parametrize("audience", ["news", "!sports", EVERYONE], ids=str)
    async def test_registrations_that_share_a_channel_get_one_push_and_the_others_are_skipped(
        self, store: SqlStore, audience: str | Audience
    ) -> None:
        shared = [installation(name, "news", push_channel="same", templates=False) for name in ("ann", "bob", "eve")]
        await store.put_installations(HUB, [*shared, installation("joe", "news", templates=False)])
        given = notification(audience, content=NativeContent(platform=Platform.FCM, payload=b"{}"))
        (chosen,) = await store.audiences([given])
        assert [target.push_channel for target in chosen.targets] == ["same", "token of joe"]
        assert {platform: len(doubles) for platform, doubles in chosen.skipped.items()} == {Platform.FCM: 2}
        assert not chosen.skipped[Platform.FCM] & BitMap([target.ordinal for target in chosen.targets])

    @pytest.mark.parametrize("audience", ["news", "!sports"])
    async def test_registrations_that_share_a_channel_are_found_across_pages(
        self, store: SqlStore, audience: str
    ) -> None:
        await store.put_installations(HUB, [installation("first", "news", push_channel="same", templates=False)])
        await register(store, PAGE_SIZE + 500, "news", template=False)
        await store.put_installations(HUB, [installation("last", "news", push_channel="same", templates=False)])
        (chosen,) = await store.audiences([native(audience)])
        assert [len(page) for _, page in chosen.pages] == [PAGE_SIZE, 501]
        assert len(chosen.skipped[Platform.FCM]) == 1

    async def test_a_sibling_is_reached_when_the_other_is_not_meant(self, store: SqlStore) -> None:
        await store.put_installations(
            HUB,
            [
                installation("ann", "a", push_channel="same", templates=False),
                installation("bob", "b", push_channel="same", templates=False),
            ],
        )
        for audience, count in (("a", 1), ("b", 1), ("a || b", 1), ("!a", 1), ("!b", 1), ("!c", 1)):
            (chosen,) = await store.audiences([native(audience)])
            assert len(chosen.targets) == count, audience
            assert bool(chosen.skipped) == (audience in ("a || b", "!c")), audience

    async def test_a_sibling_that_moved_to_another_channel_is_none_any_more(self, store: SqlStore) -> None:
        pair = [installation(name, "news", push_channel="same", templates=False) for name in ("ann", "bob")]
        await store.put_installations(HUB, pair)
        await store.put_installations(HUB, [installation("bob", "news", templates=False)])
        for audience in ("news", "!sports"):
            (chosen,) = await store.audiences([native(audience)])
            assert (len(chosen.targets), chosen.skipped) == (2, {})

    async def test_templates_that_share_a_channel_are_no_siblings(self, store: SqlStore) -> None:
        pair = [installation(name, "news", push_channel="same") for name in ("ann", "bob")]
        await store.put_installations(HUB, pair)
        assert await channels(store, "news") == ["same", "same"]

    @pytest.mark.parametrize(("phones", "given", "why"), NOBODY)
    async def test_an_audience_that_is_empty_says_why(
        self, store: SqlStore, clock: HostClock, phones: Sequence[Installation], given: Notification, why: Unreached
    ) -> None:
        await store.put_installations(HUB, phones)
        await store.put_registration(HUB, TEMPLATE_ONLY)
        await store.delete_installation(HUB, "deleted")
        clock.advance(2)
        (audience,) = await store.audiences([given])
        assert (list(audience.targets), list(audience.pages), audience.unreached) == ([], [], why)

    @pytest.mark.parametrize("audience", ["news", "!sports", EVERYONE], ids=str)
    async def test_phones_without_a_template_are_counted(self, store: SqlStore, audience: str | Audience) -> None:
        await store.put_installations(
            HUB, [installation(name, "news", templates=False, push_channel=name) for name in ("ann", "bob", "eve")]
        )
        (chosen,) = await store.audiences([notification(audience)])
        assert (chosen.unreached, chosen.passed_over) == (Unreached.NO_TEMPLATE, 3)

    async def test_an_audience_that_is_not_empty_has_nothing_to_say(self, store: SqlStore) -> None:
        await register(store, 2, "news")
        for audience in ("news", "!sports", EVERYONE):
            (chosen,) = await store.audiences([notification(audience)])
            assert chosen.unreached is None

    @pytest.mark.parametrize("audience", ["news", "!sports", EVERYONE], ids=str)
    async def test_a_hub_without_phones_reaches_nobody(self, store: SqlStore, audience: str | Audience) -> None:
        (chosen,) = await store.audiences([notification(audience)])
        is_for_all = audience is EVERYONE
        assert chosen.unreached is (Unreached.NO_REGISTRATION if is_for_all else Unreached.NO_TAG)

    async def test_live_registrations_are_counted_by_hub_and_platform(self, store: SqlStore) -> None:
        await register(store, 3, "news")
        await store.put_installations("other", [installation("x", platform=Platform.APNS, push_channel="AB")])
        counts = {key: count for key, count in (await store.registrations_by_platform()).items() if count}
        assert counts == {(HUB, Platform.FCM): 6, ("other", Platform.APNS): 2}
