"""How stores list devices for operators: in parts, by id or by a tag expression."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from hub.errors import NotFoundError
from hub.notification import EVERYONE, Platform
from hub.outcome import OutcomeName
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import Failed, PageResult
from hub.store.contracts.registry import Device, DeviceSearch
from hub.store.store import SqlStore
from hub.tags import parse
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.browsing import all_of
from tests.hub.store.suite.harness import Suite, begin


def names(devices: list[Device]) -> list[str]:
    return [device.installation.id for device in devices]


async def _part(store: SqlStore, search: DeviceSearch, limit: int, after: str) -> ListPage[Device]:
    return await store.devices(HUB, search, after=after, limit=limit)


class Devices(Suite):
    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_devices_are_listed_by_id_in_parts(self, store: SqlStore, limit: int) -> None:
        await store.put_installations(HUB, [installation(name) for name in ("c", "a", "b")])
        await store.put_installations("other", [installation("d")])
        devices = await all_of(lambda after: store.devices(HUB, after=after, limit=limit))
        assert names(devices) == ["a", "b", "c"]
        assert devices[0].installation == installation("a")
        assert (await store.devices("nobody's", limit=limit)).items == ()

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_devices_of_an_audience_are_listed_once_each(self, store: SqlStore, limit: int) -> None:
        phones = [installation("a", "x", "y"), installation("b", "x"), installation("c", "y")]
        await store.put_installations(HUB, phones)
        for expression, expected in (("x", ["a", "b"]), ("x && !y", ["b"]), ("x || y", ["a", "b", "c"]), ("z", [])):
            audience = parse(expression)
            read = partial(_part, store, DeviceSearch(audience=audience), limit)
            assert names(await all_of(read)) == expected
        everyone = partial(_part, store, DeviceSearch(audience=EVERYONE), limit)
        assert names(await all_of(everyone)) == ["a", "b", "c"]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_devices_are_found_by_how_their_ids_begin(self, store: SqlStore, limit: int) -> None:
        await store.put_installations(HUB, [installation(name) for name in ("Ann-1", "ann-2", "an", "ann", "ano", "b")])
        for beginning, expected in (("ANN", ["ann", "Ann-1", "ann-2"]), ("ann-", ["Ann-1", "ann-2"]), ("x", [])):
            read = partial(_part, store, DeviceSearch(id=beginning), limit)
            assert names(await all_of(read)) == expected

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_devices_are_found_by_how_their_push_channels_end(self, store: SqlStore, limit: int) -> None:
        token = "0123456789ABCDEF" * 4
        channels = {
            "apple": (Platform.APNS, token),
            "pear": (Platform.APNS, f"{'0' * 48}0000000089ABCDEF"),
            "android": (Platform.FCM, "fcm:A-b_c89ABCDEF"),
            "lower": (Platform.FCM, "fcm:A-b_c89abcdef"),
            "windows": (Platform.WNS, "https://db5.notify.windows.com/?token=AwYAAAB%2bq%3d"),
        }
        phones = [
            replace(installation(name), platform=platform, push_channel=channel)
            for name, (platform, channel) in channels.items()
        ]
        await store.put_installations(HUB, phones)
        await store.put_installations("other", phones)
        for end, expected in (
            ("89ABCDEF", ["apple", "pear", "android"]),
            ("89abcdef", ["apple", "pear", "lower"]),
            ("789abcdef", ["apple"]),
            ("089ABCDEF", ["pear"]),
            (token, ["apple"]),
            ("AB%2bq%3d", ["windows"]),
            ("ab%2bq%3d", []),
            ("c89ABCDEF", ["android"]),
            ("x" + "0" * 600, []),
        ):
            read = partial(_part, store, DeviceSearch(channel_end=end), limit)
            assert names(await all_of(read)) == expected, end

    async def test_a_device_whose_channel_is_dead_is_listed_and_says_why_but_is_in_no_audience(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "x", templates=False)])
        (work,) = await begin(store, notification())
        gone = Failed(ordinal=1, outcome=OutcomeName.EXPIRED_CHANNEL, reason="Unregistered", gone=True)
        await store.record([PageResult(work=work, counts={Platform.FCM: {gone.outcome: 1}}, failures=[gone])])
        device = await store.device(HUB, "ann")
        assert device.installation.push_channel_expired
        assert [(one.template, one.dead_at, one.dead_reason) for one in device.registrations] == [
            (None, clock(), "Unregistered")
        ]
        assert names(await all_of(lambda after: store.devices(HUB, after=after, limit=10))) == ["ann"]
        assert (await store.devices(HUB, DeviceSearch(audience=parse("x")), limit=10)).items == []

    async def test_an_expired_or_unknown_device_is_not_found(self, store: SqlStore, clock: HostClock) -> None:
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
        assert (await store.devices(HUB, DeviceSearch(audience=parse("x")), limit=10)).items == []
