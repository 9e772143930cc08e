"""The senders against the push services of the sandbox: real TLS, HTTP/2 and tokens, faults included."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.sender import ApnsSender
from hub.platforms.fcm.sender import FcmSender
from hub.platforms.fcm.traits import FcmTraits
from hub.platforms.wns.sender import WnsSender
from hub.platforms.wns.settings import WnsSettings
from hub.push import SendResult
from hub.tls import Tls
from sandbox.services import PushServices
from tests.hub.platforms.keys import p256_key, pem_of
from tests.hub.platforms.lanes import NAMES, Lane, apns_settings, fcm_settings, lane_of, wns_settings

TOKEN_TURNS, TOKEN_LAG = 35 * 60, 30
"""Seconds: a provider token of APNs turns with each such span of the clock, so long after its begin."""


GONE = (
    "Unregistered",
    "UNREGISTERED",
    "The channel has expired",
    "the browser has unsubscribed (errno 106)",
    "20301: no valid targets",
    "80300007: All tokens are invalid",
    "80100000: illegal tokens",
    "bad_regids",
    "30608: bind relation not found",
    "HTTP 404",
)


@pytest.fixture(params=NAMES)
async def lane(request: pytest.FixtureRequest, services: PushServices) -> AsyncIterator[Lane]:
    running = lane_of(request.param, services)
    yield running
    await running.sender.close()


@pytest.fixture(params=["fcm", "wns", "adm", "huawei"])
async def oauth(request: pytest.FixtureRequest, services: PushServices) -> AsyncIterator[Lane]:
    running = lane_of(request.param, services)
    yield running
    await running.sender.close()


def all_delivered(results: Sequence[SendResult]) -> bool:
    return all(result.reaction is Reaction.DELIVERED for result in results)


async def test_a_page_arrives_once_with_its_push_ids_and_payload(lane: Lane) -> None:
    pushes = lane.pushes(300)
    assert all_delivered(await lane.send(pushes))
    assert lane.taken() == Counter(push.id for push in pushes)
    journal = list(lane.services.journal)
    if lane.is_batched:
        assert {entry.push_id for entry in journal} == {pushes[0].id}
    else:
        assert {entry.push_id: entry.handle for entry in journal} == {push.id: push.push_channel for push in pushes}


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


PUSH_TYPES = {
    "alert": ("", "10"),
    "background": ("", "5"),
    "voip": (".voip", "10"),
    "complication": (".complication", "10"),
    "controls": (".push-type.controls", "10"),
    "fileprovider": (".pushkit.fileprovider", "10"),
    "liveactivity": (".push-type.liveactivity", "10"),
    "location": (".location-query", "10"),
    "mdm": ("", "10"),
    "pushtotalk": (".voip-ptt", "10"),
    "widgets": (".push-type.widgets", "10"),
}
"""Apple, "Sending notification requests to APNs": what each type puts behind the bundle id, and its priority."""


async def test_each_push_type_goes_to_its_topic_with_its_priority(apns: Lane) -> None:
    pushes = [
        replace(push, headers={"apns-push-type": kind})
        for push, kind in zip(apns.pushes(len(PUSH_TYPES)), PUSH_TYPES, strict=True)
    ]
    assert all_delivered(await apns.send(pushes))
    headers = {entry.push_id: entry.headers for entry in apns.services.journal.accepted()}
    for push, (kind, (suffix, priority)) in zip(pushes, PUSH_TYPES.items(), strict=True):
        sent = headers[push.id]
        assert sent["apns-push-type"] == kind
        assert sent["apns-topic"] == f"{apns.services.apns_credential.topic}{suffix}"
        assert sent.get("apns-priority", "10") == priority, kind


async def test_the_token_of_a_live_activity_ends_as_a_matter_of_routine(apns: Lane) -> None:
    live, alert, foreign = apns.pushes(3)
    live = replace(live, headers={"Apns-Push-Type": "liveactivity"})
    foreign = replace(foreign, headers=live.headers, push_channel="A0" * 32)
    for push, reason in ((live, "ExpiredToken"), (alert, "Unregistered")):
        apns.services.apns.unregister(push.push_channel, reason=reason)  # type: ignore[arg-type]
    results = await apns.send([live, alert, foreign])
    assert [(result.reaction, result.reason, result.routine) for result in results] == [
        (Reaction.GONE, "ExpiredToken", True),
        (Reaction.GONE, "Unregistered", False),
        (Reaction.GONE, "BadDeviceToken", False),
    ]


async def test_a_dead_channel_is_gone_and_its_neighbours_are_not(lane: Lane) -> None:
    pushes = lane.pushes(5)
    lane.service.unregister(pushes[2].push_channel)
    results = await lane.send(pushes)
    assert [result.reaction.value for result in results] == ["delivered", "delivered", "gone", "delivered", "delivered"]
    assert results[2].reason in GONE
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
    name = lane.sender.platform.value
    if name in ("wns", "mpns") and status == 429:
        status = 406
    lane.service.faults.answer(status, retry_after=7, times=1)
    results = await lane.send(lane.pushes(3))
    troubled = [result for result in results if result.reaction is not Reaction.DELIVERED]
    if name == "huawei" and status == 503:
        reaction = Reaction.THROTTLED  # Push Kit's word for flow control
    assert [result.reaction for result in troubled] == [reaction] * (3 if lane.is_batched else 1)
    if not (name == "wns" and status == 500) and not (name == "xiaomi" and status != 503):  # these name no time
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


@pytest.mark.slow
async def test_restarts_and_replicas_make_no_token_that_apple_finds_too_early(tmp_path: Path) -> None:
    """Fifty restarts, a minute apart, and eight replicas whose clocks differ, with a service that counts for the team."""
    start = datetime.fromtimestamp(1_000_000 * TOKEN_TURNS + TOKEN_LAG, UTC)
    now = start
    async with PushServices(tmp_path, clock=lambda: now) as services:
        services.apns.tokens.counts_teams = True

        async def send(offset: float, first: int) -> list[SendResult]:
            sender = ApnsSender(apns_settings(services), clock=lambda: now.timestamp() + offset)
            lane = Lane(services, sender)
            results = await lane.send(lane.pushes(3, first=first))
            await sender.close()
            return results

        for restart in range(50):
            now = start + timedelta(minutes=restart)
            assert all_delivered(await send(0.0, 3 * restart))
        for minute in range(0, 70, 5):
            now = start + timedelta(minutes=60 + minute)
            found = await asyncio.gather(*(send(replica - 4.0, 1000 + 3 * replica) for replica in range(8)))
            assert all(map(all_delivered, found))
        assert not [entry for entry in services.journal if entry.reason]


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
    tokens = oauth.service.tokens  # type: ignore[attr-defined]  # those of services that have some
    for _ in range(2):
        await asyncio.gather(*(oauth.send(oauth.pushes(5)) for _ in range(4)))
    assert tokens.issued == 1
    tokens.revoke_all()
    pushes = oauth.pushes(20, first=100)
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


async def test_an_app_of_the_microsoft_store_pushes_by_its_package_sid(services: PushServices) -> None:
    credential = services.wns_credential
    settings = WnsSettings(
        package_sid=credential.package_sid,
        client_secret=SecretStr(credential.client_secret),
        token_url=credential.store_token_url,
        allowed_hosts=(credential.allowed_host,),
        tls=Tls(ca_file=services.ca_file),
    )
    sender = WnsSender(settings)
    lane = Lane(services, sender)
    pushes = lane.pushes(3)
    for push in pushes:
        services.wns.register(push.push_channel, app=credential.package_sid)
    kinds = {"wns/tile": b"<tile/>", "wns/badge": b"<badge/>", "wns/raw": b"raw"}
    pushes = [replace(push, payload=payload) for push, payload in zip(pushes, kinds.values(), strict=True)]
    assert all_delivered(await lane.send(pushes))
    assert [entry.headers["x-wns-type"] for entry in services.journal] == list(kinds)
    await sender.close()


async def test_a_phone_whose_registration_id_has_changed_is_known_by_the_new_one(services: PushServices) -> None:
    lane = lane_of("adm", services)
    pushes = lane.pushes(3)
    services.vendors.adm.rename(pushes[1].push_channel, "new-registration-id")
    results = await lane.send(pushes)
    assert [result.new_push_channel for result in results] == [None, "new-registration-id", None]
    assert all_delivered(results)
    await lane.sender.close()


@pytest.mark.parametrize(("known", "kept"), [("fid", "fid"), ("token", "token"), ("both", "fid")])
async def test_of_an_installation_id_and_a_token_the_one_that_succeeds_is_kept(
    fcm: Lane, known: str, kept: str
) -> None:
    fid, token = "cAbC-dEf_gHiJkLmNoPqRs", fcm.services.make_handle("fcmv1", 7)
    for kind, value in (("fid", fid), ("token", token)):
        if known in (kind, "both"):
            fcm.service.register(value)
    both = FcmTraits().push_channel(orjson.dumps({"fid": fid, "token": token}).decode())
    pushes = [fcm.push(1), replace(fcm.push(2), push_channel=both), fcm.push(3)]
    results = await fcm.send(pushes)
    assert all_delivered(results)
    channels = {"fid": f"fid:{fid}", "token": token}
    assert [result.new_push_channel for result in results] == [None, channels[kept], None]
    assert sum(fcm.taken().values()) == 3


async def test_a_phone_of_which_neither_is_known_is_gone(fcm: Lane) -> None:
    for value in ("cAbC-dEf_gHiJkLmNoPqRs", "gone" * 30):
        fcm.service.register(value)
        fcm.service.unregister(value)
    both = FcmTraits().push_channel(orjson.dumps({"fid": "cAbC-dEf_gHiJkLmNoPqRs", "token": "gone" * 30}).decode())
    (result,) = await fcm.send([replace(fcm.push(1), push_channel=both)])
    assert (result.reaction, result.reason) == (Reaction.GONE, "UNREGISTERED")


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
