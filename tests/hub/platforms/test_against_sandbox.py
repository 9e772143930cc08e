"""The senders against the push services of the sandbox: real TLS, HTTP/2 and tokens, faults included."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.sender import ApnsSender
from hub.platforms.fcm.sender import FcmSender
from hub.platforms.wns.sender import WnsSender
from hub.push import SendResult
from sandbox.services import PushServices
from tests.hub.platforms.keys import p256_key, pem_of
from tests.hub.platforms.lanes import Lane, apns_settings, fcm_settings, wns_settings

TOKEN_TURNS, TOKEN_LAG = 35 * 60, 30
"""Seconds: a provider token of APNs turns with each such span of the clock, so long after its begin."""


@pytest.fixture(params=["apns", "fcm", "wns", "webpush"])
def lane(request: pytest.FixtureRequest, apns: Lane, fcm: Lane, wns: Lane, webpush: Lane) -> Lane:
    return {"apns": apns, "fcm": fcm, "wns": wns, "webpush": webpush}[request.param]


@pytest.fixture(params=["fcm", "wns"])
def oauth(request: pytest.FixtureRequest, fcm: Lane, wns: Lane) -> Lane:
    return {"fcm": fcm, "wns": wns}[request.param]


def all_delivered(results: Sequence[SendResult]) -> bool:
    return all(result.reaction is Reaction.DELIVERED for result in results)


async def test_a_page_arrives_once_with_its_push_ids_and_payload(lane: Lane) -> None:
    pushes = lane.pushes(300)
    assert all_delivered(await lane.send(pushes))
    assert lane.taken() == Counter(push.id for push in pushes)
    journal = {entry.push_id: entry for entry in lane.services.journal}
    assert all(journal[push.id].handle == push.push_channel for push in pushes)


async def test_a_hub_whose_name_ends_in_voip_pushes_calls(apns: Lane) -> None:
    settings = apns_settings(apns.services)
    topics = []
    for name, topic in (("app.VoIP", settings.topic), ("app.voip", f"{settings.topic}.voip"), ("app", settings.topic)):
        sender = ApnsSender(settings.model_copy(update={"topic": topic}).for_hub(name))
        lane = Lane(apns.services, sender)
        assert all_delivered(await lane.send(lane.pushes(1)))
        headers = list(apns.services.journal)[-1].headers
        topics.append((headers["apns-push-type"], headers["apns-topic"]))
        await sender.close()
    voip = ("voip", f"{settings.topic}.voip")
    assert topics == [voip, voip, ("alert", settings.topic)]


async def test_a_dead_channel_is_gone_and_its_neighbours_are_not(lane: Lane) -> None:
    pushes = lane.pushes(5)
    lane.service.unregister(pushes[2].push_channel)
    results = await lane.send(pushes)
    assert [result.reaction.value for result in results] == ["delivered", "delivered", "gone", "delivered", "delivered"]
    words = ("Unregistered", "UNREGISTERED", "The channel has expired", "the browser has unsubscribed (errno 106)")
    assert results[2].reason in words
    assert not results[2].lane_wide


async def test_a_refusal_of_ours_leaves_the_order_as_it_was(lane: Lane) -> None:
    pushes = lane.pushes(6)
    pushes[0] = replace(pushes[0], payload=b"x" * 6000)
    pushes[4] = replace(pushes[4], headers={"apns-topic": "a\nb"}, payload=b"y" * 6000)
    results = await lane.send(pushes)
    assert [result.reaction.value for result in results] == ["drop", *["delivered"] * 3, "drop", "delivered"]
    assert lane.taken() == Counter(pushes[index].id for index in (1, 2, 3, 5))


@pytest.mark.parametrize(
    ("status", "reaction"), [(500, Reaction.RETRY), (503, Reaction.RETRY), (429, Reaction.THROTTLED)]
)
async def test_trouble_at_the_service_is_for_later(lane: Lane, status: int, reaction: Reaction) -> None:
    if lane.sender.platform is Platform.WNS and status == 429:
        status = 406
    lane.service.faults.answer(status, retry_after=7, times=1)
    results = await lane.send(lane.pushes(3))
    troubled = [result for result in results if result.reaction is not Reaction.DELIVERED]
    assert [result.reaction for result in troubled] == [reaction]
    if not (lane.sender.platform is Platform.WNS and status == 500):
        assert troubled[0].retry_after == 7


async def test_a_stalled_service_costs_no_more_than_the_deadline(lane: Lane) -> None:
    await lane.send(lane.pushes(1))
    lane.service.faults.hold()
    loop = asyncio.get_running_loop()
    before = loop.time()
    pushes = lane.pushes(3, first=10)
    results = await lane.send(pushes, deadline=0.3)
    assert loop.time() - before < 30  # without a deadline of its own it would be a minute
    assert {(result.reaction, result.outcome, result.timed_out) for result in results} == {
        (Reaction.RETRY, OutcomeName.PNS_UNREACHABLE, True)
    }
    lane.service.faults.clear()
    assert all_delivered(await lane.send(pushes))


async def test_a_black_hole_is_left_with_the_first_deadline(lane: Lane) -> None:
    await lane.send(lane.pushes(1))
    lane.service.faults.black_hole()
    assert all(result.timed_out for result in await lane.send(lane.pushes(3), deadline=0.3))
    lane.service.faults.silent = False
    assert all_delivered(await lane.send(lane.pushes(3)))


async def test_a_connection_reset_is_for_later_and_the_next_page_goes_through(lane: Lane) -> None:
    lane.service.faults.drop_connection(times=1, accepted=True)
    results = await lane.send(lane.pushes(3))
    assert {result.reaction for result in results} <= {Reaction.DELIVERED, Reaction.RETRY}
    assert all_delivered(await lane.send(lane.pushes(3)))


async def test_a_closed_sender_gives_pushes_back_for_later(lane: Lane) -> None:
    await lane.send(lane.pushes(1))
    await lane.sender.close()
    results = await lane.send(lane.pushes(2))
    assert {result.reaction for result in results} == {Reaction.RETRY}


@pytest.mark.parametrize("platform", ["apns", "fcm", "webpush"])
async def test_nothing_is_lost_or_repeated_over_goaways(platform: str, apns: Lane, fcm: Lane, webpush: Lane) -> None:
    lane = {"apns": apns, "fcm": fcm, "webpush": webpush}[platform]
    lane.service.faults.goaway_after(250)
    pushes = lane.pushes(1500)
    assert all_delivered(await lane.send(pushes, deadline=60))
    assert lane.taken() == Counter(push.id for push in pushes)


async def test_apns_begins_with_one_stream_and_no_stream_is_refused(apns: Lane) -> None:
    results = await apns.send(apns.pushes(500), deadline=60)
    assert all_delivered(results)
    assert apns.service.connections == 1


async def test_apns_slowed_down_to_one_stream_by_an_error_comes_up_again(apns: Lane) -> None:
    apns.services.apns.slow_after_errors = True
    pushes = apns.pushes(400)
    pushes[50] = replace(pushes[50], headers={"apns-push-type": "unknown"})
    results = await apns.send(pushes, deadline=60)
    assert results[50].reason == "InvalidPushType"
    assert all_delivered([*results[:50], *results[51:]])


async def test_a_flood_of_dead_tokens_costs_a_connection_and_no_living_phone(apns: Lane) -> None:
    pushes = apns.pushes(400)
    unknown = [replace(push, id=str(uuid.uuid4()), push_channel=push.push_channel[::-1]) for push in pushes[:250]]
    results = await apns.send([*unknown, *pushes], deadline=60)
    assert Counter(result.outcome for result in results[:250]) == {OutcomeName.BAD_CHANNEL: 250}
    assert all_delivered(results[250:])


@pytest.mark.parametrize("reason", ["ExpiredProviderToken", "UnrelatedKeyIdInToken"])
async def test_apns_pushes_with_a_stale_token_go_once_more_over_a_new_connection(apns: Lane, reason: str) -> None:
    await apns.send(apns.pushes(1))
    apns.service.faults.answer(403, reason, times=3)
    pushes = apns.pushes(10)
    assert all_delivered(await apns.send(pushes))
    assert sum(entry.reason == reason for entry in apns.services.journal) == 3


async def test_an_apns_token_that_stays_stale_stops_the_lane(apns: Lane) -> None:
    apns.service.faults.answer(403, "ExpiredProviderToken")
    push = apns.push(1)
    results = await apns.send([push])
    assert (results[0].reaction, results[0].outcome, results[0].lane_wide) == (
        Reaction.CONFIG,
        OutcomeName.INVALID_TOKEN,
        True,
    )
    assert len(apns.services.journal.of_push(push.id)) == 2


async def test_a_foreign_apns_key_stops_the_lane_and_touches_no_phone(services: PushServices) -> None:
    sender = ApnsSender(apns_settings(services).model_copy(update={"key": SecretStr(pem_of(p256_key()))}))
    results = await (lane := Lane(services, sender)).send(lane.pushes(20))
    assert {(result.reaction, result.reason, result.lane_wide) for result in results} == {
        (Reaction.CONFIG, "InvalidProviderToken", True)
    }
    await sender.close()


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [0, 1, 19])
async def test_an_apns_token_that_turns_costs_no_push_however_young_its_connections_are(
    tmp_path: Path, minutes: int
) -> None:
    """As it turns, pages are under way on connections of this age, and most of their pushes wait for a stream."""
    turn = datetime.fromtimestamp(1_000_000 * TOKEN_TURNS + TOKEN_LAG, UTC)
    now = turn - timedelta(minutes=minutes, seconds=1)
    async with PushServices(tmp_path, clock=lambda: now) as services:
        sender = ApnsSender(apns_settings(services), clock=lambda: now.timestamp())
        lane = Lane(services, sender)

        async def send(pages: int) -> list[SendResult]:
            found = await asyncio.gather(*(lane.send(lane.pushes(200, first=200 * page)) for page in range(pages)))
            return [result for page in found for result in page]

        assert all_delivered(await send(1))
        services.apns.faults.latency(0.05)
        services.apns.limit_streams(100)
        under_way = asyncio.create_task(send(8))
        await services.journal.wait_for(count=300, timeout=60)
        now = turn + timedelta(seconds=1)
        results = [*await send(8), *await under_way, *await send(1)]
        assert Counter(result.reason for result in results) == {"": 17 * 200}
        await sender.close()


async def test_apns_refusing_a_token_update_pauses_the_lane_until_a_token_is_taken_again(apns: Lane) -> None:
    """It refuses the new token over a new connection too, so it counts for the team."""
    apns.service.faults.answer(429, "TooManyProviderTokenUpdates", times=2)
    refused = await apns.send(apns.pushes(1))
    assert (refused[0].reaction, refused[0].outcome, refused[0].lane_wide) == (
        Reaction.THROTTLED,
        OutcomeName.THROTTLED,
        True,
    )
    assert all_delivered(await apns.send(apns.pushes(1)))


async def test_an_access_token_is_asked_for_once_and_again_when_it_is_stale(oauth: Lane) -> None:
    tokens = oauth.services.fcm.tokens if oauth.sender.platform is Platform.FCM else oauth.services.wns.tokens
    for _ in range(2):
        await asyncio.gather(*(oauth.send(oauth.pushes(5)) for _ in range(4)))
    assert tokens.issued == 1
    tokens.revoke_all()
    pushes = oauth.pushes(20)
    assert all_delivered(await oauth.send(pushes))
    assert tokens.issued == 2
    assert all(oauth.taken()[push.id] == 1 for push in pushes)


async def test_a_service_that_never_takes_the_access_token_stops_the_lane(oauth: Lane) -> None:
    oauth.service.faults.answer(401)
    push = oauth.push(1)
    results = await oauth.send([push])
    assert (results[0].reaction, results[0].outcome, results[0].lane_wide) == (
        Reaction.CONFIG,
        OutcomeName.INVALID_TOKEN,
        True,
    )
    assert len(oauth.services.journal.of_push(push.id)) == 2


async def test_a_refused_credential_stops_the_lane_and_nothing_is_sent(services: PushServices) -> None:
    fcm = fcm_settings(services)
    account = orjson.loads(fcm.service_account.get_secret_value()) | {"client_email": "somebody@else.example"}
    for sender in (
        FcmSender(fcm.model_copy(update={"service_account": SecretStr(orjson.dumps(account).decode())})),
        WnsSender(wns_settings(services).model_copy(update={"client_secret": SecretStr("wrong")})),
    ):
        results = await (lane := Lane(services, sender)).send(lane.pushes(3))
        assert {(result.reaction, result.outcome, result.lane_wide) for result in results} == {
            (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS, True)
        }
        await sender.close()
    assert not len(services.journal)


async def test_a_wns_channel_elsewhere_never_sees_our_token(wns: Lane) -> None:
    push = replace(wns.push(1), push_channel=wns.push(1).push_channel.replace("127.0.0.1", "localhost"))
    results = await wns.send([push])
    assert (results[0].reaction, results[0].outcome) == (Reaction.DROP, OutcomeName.BAD_CHANNEL)
    assert not len(wns.services.journal)


async def test_a_wns_channel_of_another_app_is_not_the_lane_s_fault(wns: Lane) -> None:
    push = wns.push(1)
    wns.services.wns.register(push.push_channel, app="another")
    results = await wns.send([push])
    assert (results[0].outcome, results[0].lane_wide) == (OutcomeName.WRONG_TOKEN, False)
    assert all_delivered(await wns.send(wns.pushes(2, first=5)))


async def test_a_wns_toast_for_a_device_that_is_away_is_dropped(wns: Lane) -> None:
    push = wns.push(1)
    wns.services.wns.set_device(push.push_channel, "disconnected")
    results = await wns.send([push])
    assert (results[0].reaction, results[0].outcome) == (Reaction.DROP, OutcomeName.CHANNEL_DISCONNECTED)


async def test_the_fcm_quota_throttles_the_lane(fcm: Lane) -> None:
    fcm.services.fcm.quota_per_minute = 5
    fcm.services.fcm.quota_retry_after = 30
    results = await fcm.send(fcm.pushes(8))
    throttled = [result for result in results if result.reaction is not Reaction.DELIVERED]
    assert [(result.outcome, result.retry_after, result.lane_wide) for result in throttled] == [
        (OutcomeName.THROTTLED, 30.0, True)
    ] * 3
