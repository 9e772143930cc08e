"""Sends as the wire contract's cases 81 to 108 and 124 have them: what other tests of the API do not say already."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from lxml import etree
from pydantic import SecretStr

from hub.notification import Platform
from hub.outcome import OutcomeName, State
from hub.platforms.webpush.sender import requests_for
from hub.platforms.webpush.settings import WebPushSettings
from sandbox.subscriptions import base64url, decrypted, keys_of
from tests.fakes.browsers import subscription
from tests.fakes.pushes import page_of
from tests.fakes.requests import Request, requests_in
from tests.fakes.senders import DELIVERED, DROPPED, GONE, UNAVAILABLE
from tests.hub.api.conformance.conftest import Service
from tests.hub.platforms.keys import p256_key, pem_of

SB = "{http://schemas.microsoft.com/netservices/2010/10/servicebus/connect}"
APS = b'{"aps":{"alert":"hi"}}'
APNS = Platform.APNS


async def send(
    client: httpx.AsyncClient, path: str = "/h1/messages", body: bytes = APS, format: str = "apple", **headers: str
) -> httpx.Response:
    named = {f"ServiceBusNotification-{name.replace('_', '-')}": text for name, text in headers.items()}
    return await client.post(path, content=body, headers={"ServiceBusNotification-Format": format, **named})


def id_in(answer: httpx.Response) -> str:
    """The notification's id, the third segment of the Location."""
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].split("/")[5].split("?")[0]


async def pushed(service: Service, platform: Platform = APNS) -> list[str]:
    """The push channels that a push service was given, once a notification has ended."""
    await service.observer.until_ended(service.observer.states.total() or 1)
    return sorted(service.senders[platform].push_channels)


async def test_98_a_direct_send_reaches_a_handle_that_is_not_registered(
    service: Service, client: httpx.AsyncClient
) -> None:
    await service.put("i1", tags=["t"], pushChannel="CCDD")
    answer = await send(client, "/h1/messages/?direct", DeviceHandle="aabb", Tags="t")
    assert answer.content == b""
    assert answer.headers["location"].startswith("https://ns.example/h1/messages/")
    assert await pushed(service) == ["AABB"]
    details = await client.get(f"/h1/messages/{id_in(answer)}")
    assert (
        "<ApnsOutcomeCounts><Outcome><Name>Success</Name><Count>1</Count></Outcome></ApnsOutcomeCounts>" in details.text
    )
    assert "<Tags>" not in details.text
    await send(client)  # a broadcast: what a direct send named is no registration
    await service.observer.until_ended(2)
    assert service.senders[APNS].push_channels == ["AABB", "CCDD"]


@pytest.mark.parametrize(
    ("path", "format", "headers"),
    [
        ("/h1/messages?direct", "apple", {}),
        ("/h1/messages?direct", "apple", {"DeviceHandle": "xyz"}),
        ("/h1/messages?direct", "template", {"DeviceHandle": "AABB"}),
        ("/h1/messages", "apple", {"DeviceHandle": "AABB"}),
        ("/h1/schedulednotifications", "apple", {}),
        (
            "/h1/schedulednotifications?direct",
            "apple",
            {"ScheduleTime": "2027-01-16T00:00:00Z", "DeviceHandle": "AABB"},
        ),
        ("/h1/messages/$batch?direct", "apple", {}),
        ("/h1/messages/$batch", "apple", {}),
    ],
)
async def test_98_107_a_send_that_lacks_what_it_is_for_is_refused(
    service: Service, client: httpx.AsyncClient, path: str, format: str, headers: dict[str, Any]
) -> None:
    answer = await send(client, path, format=format, **headers)
    assert (answer.status_code, "<Code>400</Code>" in answer.text) == (400, True)
    assert service.hub.pending == 0


async def test_98_a_handle_that_is_dead_is_no_longer_registered(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1")
    service.senders[APNS].answer = GONE
    await send(client, "/h1/messages?direct", DeviceHandle="AABB")
    await service.observer.until_ended(1)
    assert (await client.get("/h1/installations/i1")).json()["pushChannelExpired"] is True


async def test_a_direct_send_is_tried_again(service: Service, client: httpx.AsyncClient) -> None:
    answers = iter([UNAVAILABLE])
    sender = service.senders[APNS]
    sender.answer = lambda push: next(answers, DELIVERED)
    await send(client, "/h1/messages?direct", DeviceHandle="AABB")
    await sender.received(1)
    while service.hub.in_hand:
        await asyncio.sleep(0)
    service.clock.advance(60)
    assert await pushed(service) == ["AABB", "AABB"]


def batch(devices: str, boundary: str = "nh-boundary", end: str = "", reverse: bool = False) -> bytes:
    parts = [
        "Content-type: application/json;charset=utf-8\r\nContent-Disposition: inline; name=notification\r\n\r\n"
        + APS.decode(),
        f'content-type: application/json\r\nCONTENT-DISPOSITION: inline; name="devices"\r\n\r\n{devices}',
    ]
    texts = "".join(f"--{boundary}\r\n{part}\r\n" for part in (reversed(parts) if reverse else parts))
    return f"{texts}--{boundary}--{end}".encode()


@pytest.mark.parametrize(
    ("content_type", "body", "path"),
    [
        ('multipart/mixed; boundary = "nh-boundary"', batch('["aabb","CCDD","AABB"]'), "$batch"),
        ("multipart/mixed; boundary=nh-boundary", batch('["AABB","ccdd"]', end="\r\n", reverse=True), "%24batch"),
        ('multipart/mixed; boundary="nh-boundary"', batch("['aabb','ccdd']"), "$batch"),
    ],
)
async def test_100_101_a_batch_reaches_each_of_its_devices_once(
    service: Service, client: httpx.AsyncClient, content_type: str, body: bytes, path: str
) -> None:
    answer = await client.post(
        f"/h1/messages/{path}?direct&api-version=2020-06",
        content=body,
        headers={"ServiceBusNotification-Format": "apple", "Content-Type": content_type},
    )
    id = id_in(answer)
    assert await pushed(service) == ["AABB", "CCDD"]
    assert service.senders[APNS].pushes[0].payload == APS
    details = await client.get(f"/h1/messages/{id}")
    assert "<Name>Success</Name><Count>2</Count>" in details.text


@pytest.mark.parametrize("count", [1000, 1001])
async def test_101_a_batch_has_up_to_a_thousand_devices(
    service: Service, client: httpx.AsyncClient, count: int
) -> None:
    devices = "[" + ",".join(f'"{number:064X}"' for number in range(count)) + "]"
    answer = await client.post(
        "/h1/messages/$batch?direct",
        content=batch(devices),
        headers={"ServiceBusNotification-Format": "apple", "Content-Type": "multipart/mixed; boundary=nh-boundary"},
    )
    assert answer.status_code == (201 if count == 1000 else 400)
    if count == 1000:
        assert len(await pushed(service)) == 1000


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", batch('["AABB"]')),
        ("multipart/mixed; boundary=other", batch('["AABB"]')),
        ("multipart/mixed; boundary=nh-boundary", b""),
        ("multipart/mixed; boundary=nh-boundary", b"--nh-boundary\r\nno empty line\r\n--nh-boundary--"),
        ("multipart/mixed; boundary=nh-boundary", batch("[]")),
        ("multipart/mixed; boundary=nh-boundary", batch("[5]")),
        ("multipart/mixed; boundary=nh-boundary", batch('{"a":"b"}')),
        ("multipart/mixed; boundary=nh-boundary", batch('["xyz"]')),
    ],
)
async def test_100_a_batch_that_is_none_is_refused(client: httpx.AsyncClient, content_type: str, body: bytes) -> None:
    headers = {"ServiceBusNotification-Format": "apple", "Content-Type": content_type}
    answer = await client.post("/h1/messages/$batch?direct", content=body, headers=headers)
    assert answer.status_code == 400


def results(answer: httpx.Response) -> tuple[list[str], list[list[str]]]:
    """(Success and Failure, the members of each result)"""
    assert answer.status_code == 201, answer.text
    outcome = etree.fromstring(answer.content)
    assert [etree.QName(child).localname for child in outcome] == ["Success", "Failure", "Results"]
    of_each = [[child.text or "" for child in result] for result in outcome[2]]
    return [outcome[0].text or "", outcome[1].text or ""], of_each


async def test_102_103_a_test_send_says_what_became_of_each(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t"])
    await service.put("i2", tags=["t"], pushChannel="CCDD")
    await service.put("i3", pushChannel="EEFF")
    service.senders[APNS].answer = lambda push: DROPPED
    counts, each = results(await send(client, "/h1/messages?test=true", Tags="t"))
    assert counts == ["0", "2"]
    assert {(platform, outcome) for platform, _, _, outcome in each} == {
        ("apple", "InvalidNotificationFormat: BadCollapseId")
    }
    for _, channel, id, _ in each:
        assert f"<DeviceToken>{channel}</DeviceToken>" in (await client.get(f"/h1/registrations/{id}")).text
    assert results(await send(client, "/h1/messages?test", Tags="nobody")) == (["0", "0"], [])
    assert (await service.hub.store.notifications(limit=9)).items == []


@pytest.mark.parametrize("path", ["/h1/messages?test", "/h1/messages?test&direct"])
async def test_102_126_a_handle_that_a_test_send_finds_dead_is_registered_no_more(
    service: Service, client: httpx.AsyncClient, path: str
) -> None:
    await service.put("i1", tags=["t"])
    await service.put("i2", pushChannel="CCDD")
    sender, doubtful = service.senders[APNS], replace(GONE, suspect=True)
    for answer, expired in ((doubtful, False), (GONE, True)):
        sender.answer = answer
        sent = send(client, path, DeviceHandle="AABB") if "direct" in path else send(client, path, Tags="t")
        _, ((_, channel, _, outcome),) = results(await sent)
        assert (channel, outcome) == ("AABB", "ExpiredChannel: Unregistered")
        assert (await client.get("/h1/installations/i1")).json()["pushChannelExpired"] is expired
    assert (await client.get("/h1/installations/i2")).json()["pushChannelExpired"] is False
    assert service.observer.dead_channels["h1", APNS] == 1


async def test_104_a_test_send_to_all_reaches_ten(service: Service, client: httpx.AsyncClient) -> None:
    for number in range(12):
        await service.put(f"i{number}", pushChannel=f"{number:04X}", templates={"g": {"body": APS.decode()}})
    native = await send(client, "/h1/messages?test=true", Tags="undefined")
    assert results(native)[0] == ["10", "0"]
    template = await send(client, "/h1/messages?test=true", body=b"{}", format="template")
    counts, each = results(template)
    assert counts == ["10", "0"]
    assert all(all(texts) for texts in each)
    assert len(service.senders[APNS].pushes) == 20


async def test_a_direct_test_send_says_what_became_of_it(service: Service, client: httpx.AsyncClient) -> None:
    answer = await send(client, "/h1/messages?direct&test", DeviceHandle="aabb")
    assert results(answer) == (["1", "0"], [["apple", "AABB", "-", "Success: the push service took the push"]])


async def test_105_108_a_scheduled_send_waits_for_its_time_or_is_cancelled(
    service: Service, client: httpx.AsyncClient
) -> None:
    await service.put("i1", tags=["t"])
    at = datetime.fromtimestamp(service.clock() + 3600, UTC).isoformat().replace("+00:00", "Z")
    answers = [
        await send(client, "/h1/schedulednotifications/?api-version=2020-06", Tags="t", ScheduleTime=at)
        for _ in range(2)
    ]
    assert answers[0].content == b""
    assert answers[0].headers["location"].startswith("https://ns.example/h1/schedulednotifications/")
    first, second = (id_in(answer) for answer in answers)
    assert f"<State>{State.SCHEDULED.value}</State>" in (await client.get(f"/h1/messages/{first}")).text
    cancelled = await client.delete(f"/h1/schedulednotifications/{first}")
    assert (cancelled.status_code, cancelled.content) == (200, b"")
    assert "<State>Cancelled</State>" in (await client.get(f"/h1/messages/{first}")).text
    java = await client.get(f"/h1/messages/{first}", headers={"User-Agent": "NHub/2020-06 (api-origin=JavaSDK;)"})
    assert "<State>Canceled</State>" in java.text
    for id in (first, "0" * 32, "nothing"):
        assert (await client.delete(f"/h1/schedulednotifications/{id}")).status_code == 404
    assert service.observer.states["h1", State.CANCELLED] == 1
    assert service.hub.pending == 1
    assert second != first


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("%Y-%m-%dT%H:%M:%S", 201),
        ("%Y-%m-%dT%H:%M:%S.000Z", 201),
        ("%Y-%m-%dT%H:%M:%S.123456+00:00", 201),
        ("%Y-%m-%d'T'%H:%M:%S", 201),
        ("later", 400),
    ],
)
async def test_106_a_time_is_read_as_the_sdks_write_it(
    service: Service, client: httpx.AsyncClient, form: str, status: int
) -> None:
    at = datetime.fromtimestamp(service.clock() + 3600, UTC)
    answer = await send(client, "/h1/schedulednotifications", ScheduleTime=at.strftime(form))
    assert answer.status_code == status
    if status == 201:
        (kept,) = (await service.hub.store.notifications(limit=9)).items
        assert kept.schedule_at is not None
        assert int(kept.schedule_at) == at.timestamp()


@pytest.mark.parametrize(
    ("ahead", "status"),
    [
        (timedelta(days=8), 400),
        (timedelta(days=7), 201),
        (timedelta(minutes=-4), 201),
        (timedelta(minutes=-6), 400),
    ],
)
async def test_107_a_time_is_within_seven_days(
    service: Service, client: httpx.AsyncClient, ahead: timedelta, status: int
) -> None:
    at = datetime.fromtimestamp(service.clock(), UTC) + ahead
    assert (await send(client, "/h1/schedulednotifications", ScheduleTime=at.isoformat())).status_code == status


async def test_93_two_native_rows_with_one_handle_get_one_push(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t"])
    await service.put("i2", tags=["t"])
    answer = await send(client, Tags="t")
    assert await pushed(service) == ["AABB"]
    details = await client.get(f"/h1/messages/{id_in(answer)}")
    counts = re.findall(r"<Name>(\w+)</Name><Count>(\d)</Count>", details.text)
    assert sorted(counts) == [(OutcomeName.SKIPPED.value, "1"), (OutcomeName.SUCCESS.value, "1")]


async def test_124_details_have_the_order_of_the_contract(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t"])
    answer = await send(client, Tags="t || u")
    await service.observer.until_ended(1)
    details = etree.fromstring((await client.get(f"/h1/messages/{id_in(answer)}")).content)
    assert [etree.QName(child).localname for child in details] == [
        "NotificationId",
        "Location",
        "State",
        "EnqueueTime",
        "StartTime",
        "EndTime",
        "NotificationBody",
        "Tags",
        "TargetPlatforms",
        "ApnsOutcomeCounts",
    ]
    assert details.findtext(f"{SB}State") == "Completed"


async def test_81_82_84_a_native_send_is_pushed_as_it_is(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t1"])
    await service.put("f1", platform="fcmv1", pushChannel="f", tags=["t1"])
    answer = await send(client, Tags="t1")
    assert answer.content == b""
    assert re.fullmatch(
        r"https://ns\.example/h1/messages/[0-9a-f]{32}-\d{14}-\d+-\d+\?api-version=2020-06", answer.headers["location"]
    )
    (push,) = await service.senders[APNS].received(1)
    assert push.payload == APS
    for path, format in (("/h1/messages/", "FCMV1"), ("/h1/messages", "fcmV1")):
        id_in(await send(client, path, b'{"message":{"notification":{"title":"x"}}}', format))
    assert len(await service.senders[Platform.FCM].received(2)) == 2


async def test_83_86_to_88_91_92_a_send_reaches_whom_its_tags_mean(service: Service, client: httpx.AsyncClient) -> None:
    template = {"greet": {"body": '{"aps":{"alert":"$(m)"}}'}}
    await service.put("i1", pushChannel="01", tags=["t1", "a"], userId="u1", templates=template)
    await service.put("i2", pushChannel="02", tags=["t1", "t2", "b", "c"], userId="u1", templates=template)
    await service.put("i3", pushChannel="03", tags=["b"])
    sender, sent = service.senders[APNS], 0
    for tags, format, channels in (
        ("", "apple", ["01", "02", "03"]),
        ("t1 && !t2", "apple", ["01"]),
        ("a || b && c", "apple", ["01", "02"]),
        ("$InstallationId:{i1} && greet", "template", ["01"]),
        ("$UserId:{u1}", "apple", ["01", "02"]),
    ):
        id_in(await send(client, body=APS if format == "apple" else b'{"m":"x"}', format=format, Tags=tags))
        await sender.received(sent + len(channels))
        assert sorted(sender.push_channels[sent:]) == channels, tags
        sent += len(channels)
    await service.observer.until_ended(5)
    assert len(sender.pushes) == sent
    assert (await send(client, Tags="(a || b")).status_code == 400


async def test_85_89_90_95_what_is_too_much_or_unknown_is_refused(service: Service, client: httpx.AsyncClient) -> None:
    names = [f"t{number}" for number in range(21)]
    for tags, status in (
        (" || ".join(names[:20]), 201),
        (" || ".join(names), 400),
        (" && ".join(names[:10]), 201),
        (" && ".join(names[:11]), 400),
        (" && ".join(names[:5]) + " || t9", 201),
        (" && ".join(names[:6]) + " || t9", 400),
    ):
        assert (await send(client, Tags=tags)).status_code == status, tags
    assert (await send(client, format="bogus")).status_code == 400
    without = await send(client, format="nokiax", body=b'{"data":{}}')
    assert (without.status_code, "no target applications for the format nokiax" in without.text) == (400, True)
    assert (await send(client, body=b"{" + b" " * 64 * 1024)).status_code == 413


async def test_94_a_send_to_none_says_so(service: Service, client: httpx.AsyncClient) -> None:
    answer = await send(client, Tags="nobody")
    await service.observer.until_ended(1)
    details = (await client.get(f"/h1/messages/{id_in(answer)}")).text
    assert "<State>NoTargetFound</State>" in details


async def test_96_97_headers_of_a_service_go_with_the_push(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1")
    await service.put("w1", platform="wns", pushChannel="https://db5.notify.windows.com/?token=1")
    for format, body, headers in (
        ("apple", APS, {"apns-push-type": "background", "apns-priority": "5"}),
        ("windows", b"\x01\x02", {"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"}),
    ):
        sent = {"ServiceBusNotification-Format": format, **headers}
        assert (await client.post("/h1/messages", content=body, headers=sent)).status_code == 201
        platform = APNS if format == "apple" else Platform.WNS
        (push,) = await service.senders[platform].received(1)
        given = {name.lower(): value for name, value in push.headers.items()}
        wanted = {name.lower(): value for name, value in headers.items() if name != "Content-Type"}
        assert (push.payload, {name: given.get(name) for name in wanted}) == (body, wanted)


async def test_99_a_direct_send_to_a_browser_is_encrypted_for_the_keys_of_its_headers(
    service: Service, client: httpx.AsyncClient
) -> None:
    endpoint, keys = "https://push.example/1?a=b", keys_of("anna")
    sent = {
        "ServiceBusNotification-Format": "browser",
        "ServiceBusNotification-DeviceHandle": endpoint,
        "P256DH": base64url(keys.p256dh),
        "Auth": base64url(keys.auth),
    }
    body = b'{"title":"Deposit"}'
    answer = await client.post("/h1/messages?direct", content=body, headers={**sent, "Urgency": "low", "TTL": "60"})
    assert answer.status_code == 201
    (push,) = await service.senders[Platform.BROWSER].received(1)
    assert push.push_channel == subscription(endpoint, p256dh=sent["P256DH"], auth=sent["Auth"])
    settings = WebPushSettings(key=SecretStr(pem_of(p256_key())), subject="mailto:ops@bank.example")
    made = requests_for(page_of([push]), settings, authorization=lambda _: "vapid", now=datetime.now(UTC))
    (request,) = requests_in(made)
    assert isinstance(request, Request)
    assert (request.url, decrypted(request.body, keys)) == (endpoint, body)
    assert {b"urgency: low", b"ttl: 60"} <= set(request.headers)
    for wrong in (
        {"Auth": "short"},
        {"P256DH": base64url(b"x" * 65)},
        {"ServiceBusNotification-DeviceHandle": "http://x/"},
    ):
        refused = await client.post("/h1/messages?direct", content=body, headers=sent | wrong)
        assert (refused.status_code, "pushChannel: " in refused.text) == (400, True)
    alone = {name: value for name, value in sent.items() if name not in ("P256DH", "Auth")}
    assert (await client.post("/h1/messages?direct", content=body, headers=alone)).status_code == 400


async def test_125_131_132_an_error_is_xml_that_support_can_trace(
    service: Service, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = await client.get(f"/h1/messages/{'0' * 32}")
    assert unknown.status_code == 404
    monkeypatch.setattr(type(service.hub), "capacity", 0)
    throttled = await send(client)
    assert (throttled.status_code, throttled.headers["retry-after"].isdigit()) == (429, True)
    for answer in (unknown, throttled, await client.get("/h1/registrations/nothing"), await send(client, format="x")):
        assert answer.headers["content-type"] == "application/xml; charset=utf-8"
        assert re.fullmatch(
            r"<Error><Code>\d{3}</Code><Detail>.*\.TrackingId:[0-9a-f-]{36}_G\d,"
            r"TimeStamp:\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M</Detail></Error>",
            answer.text,
        ), answer.text


async def test_133_the_flag_of_a_test_send_means_nothing_to_a_list(client: httpx.AsyncClient) -> None:
    answer = await client.get("/h1/registrations?api-version=2020-06&test")
    assert (answer.status_code, answer.headers["content-type"].startswith("application/atom+xml; type=feed")) == (
        200,
        True,
    )
