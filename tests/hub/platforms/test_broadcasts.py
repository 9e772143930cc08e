"""Broadcast channels of APNs: one request updates the Live Activities of all who look on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from hub.errors import InvalidRequestError
from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.traits import ApnsTraits
from hub.platforms.traits import BroadcastChannels, ChannelError
from sandbox.services import PushServices
from tests.hub.platforms.lanes import Lane, apns_settings
from tests.hub.platforms.test_apns_certificate import settings_of


def live(event: str = "update", **aps: Any) -> bytes:
    return orjson.dumps({"aps": {"timestamp": 1, "event": event, "content-state": {"score": 2}, **aps}})


def channels_of(services: PushServices) -> BroadcastChannels:
    found = ApnsTraits().broadcast_channels(apns_settings(services))
    assert found is not None
    return found


async def test_channels_are_made_listed_and_deleted_at_the_service(services: PushServices) -> None:
    channels = channels_of(services)
    assert await channels.all() == []
    made = [await channels.create(stored=stored) for stored in (False, True)]
    assert [ApnsTraits().push_channel(each) for each in made] == made
    assert sorted(await channels.all()) == sorted(made)
    await channels.delete(made[0])
    await channels.delete(made[0])  # it is as good as deleted
    assert await channels.all() == [made[1]]


async def test_a_certificate_manages_channels_too(services: PushServices) -> None:
    channels = ApnsTraits().broadcast_channels(settings_of(services))
    assert channels is not None
    assert (await channels.create(stored=True)).startswith("channel:")


async def test_the_quota_of_a_service_is_told_in_its_words(services: PushServices) -> None:
    services.apns.channels.most = 1
    channels = channels_of(services)
    await channels.create(stored=False)
    with pytest.raises(ChannelError, match="CannotCreateChannelConfig"):
        await channels.create(stored=False)


async def test_a_service_that_cannot_be_reached_is_named(services: PushServices) -> None:
    settings = apns_settings(services).model_copy(update={"channels_endpoint": "https://127.0.0.1:9"})
    channels = ApnsTraits().broadcast_channels(settings)
    assert channels is not None
    with pytest.raises(ChannelError, match=r"127\.0\.0\.1:9"):
        await channels.all()


async def test_a_push_to_a_channel_is_one_request_beside_those_to_phones(apns: Lane) -> None:
    channel = await channels_of(apns.services).create(stored=False)
    pushes = [replace(each, payload=live(), headers={"apns-push-type": "liveactivity"}) for each in apns.pushes(3)]
    pushes[1] = replace(pushes[1], push_channel=channel)
    results = await apns.send(pushes)
    assert [result.reaction for result in results] == [Reaction.DELIVERED] * 3
    entry = next(entry for entry in apns.services.journal if entry.push_id == pushes[1].id)
    assert (entry.handle, entry.payload) == (channel, live())
    sent = {
        name: entry.headers.get(name) for name in ("apns-topic", "apns-push-type", "apns-expiration", "apns-priority")
    }
    assert sent == {"apns-topic": None, "apns-push-type": "liveactivity", "apns-expiration": "0", "apns-priority": "10"}


async def test_a_channel_that_stores_takes_an_expiration_and_another_one_does_not(apns: Lane) -> None:
    channels = channels_of(apns.services)
    until = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
    outcomes = []
    for stored in (True, False):
        push = replace(apns.push(1), push_channel=await channels.create(stored=stored), payload=live("end"))
        (result,) = await apns.send([replace(push, headers={"apns-expiration": str(until)})])
        outcomes.append((result.reaction, result.reason))
    assert outcomes == [(Reaction.DELIVERED, ""), (Reaction.DROP, "BadExpirationDate")]


async def test_a_channel_that_is_deleted_is_gone_and_no_phone_is(apns: Lane) -> None:
    channels = channels_of(apns.services)
    push = replace(apns.push(1), push_channel=await channels.create(stored=False), payload=live())
    await channels.delete(push.push_channel)
    (result,) = await apns.send([push])
    assert (result.reaction, result.outcome, result.reason) == (
        Reaction.GONE,
        OutcomeName.BAD_CHANNEL,
        "ChannelNotRegistered",
    )
    assert not result.lane_wide


@pytest.mark.parametrize(
    ("payload", "headers", "reason"),
    [
        (live("start"), {}, "aps.event is update or end"),
        (b'{"aps":{"alert":"x"}}', {}, "aps.event is update or end"),
        (live(), {"apns-push-type": "alert"}, "Live Activities alone"),
        (live(alert="x" * 5120), {}, "more than 5120 bytes"),
    ],
)
async def test_what_cannot_be_broadcast_is_not_sent(
    apns: Lane, payload: bytes, headers: dict[str, str], reason: str
) -> None:
    push = replace(apns.push(1), push_channel="channel:AAAA", payload=payload, headers=headers)
    (result,) = await apns.send([push])
    assert result.reaction is Reaction.DROP
    assert reason in result.reason
    assert not len(apns.services.journal)


@pytest.mark.parametrize("text", ["channel:", "channel:a b", "channel:" + "x" * 300])
def test_what_apple_names_no_channel_is_registered_as_none(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="broadcast channel"):
        ApnsTraits().push_channel(text)


async def test_the_stand_in_is_as_strict_as_the_service(apns: Lane) -> None:
    """Another app's channels are none of this one's."""
    settings = apns_settings(apns.services).model_copy(update={"topic": "com.other"})
    channels = ApnsTraits().broadcast_channels(settings)
    assert channels is not None
    with pytest.raises(ChannelError, match="FeatureNotEnabled"):
        await channels.create(stored=False)
