"""Sends over the wire: what becomes of body and headers, and the details afterwards."""

from datetime import UTC, datetime

import httpx
import pytest
from lxml import etree

from hub.api.resources.details import details_xml
from hub.errors import CapacityError
from hub.notification import EVERYONE, NativeContent, Notification, Platform, TemplateContent
from hub.outcome import NotificationDetails, OutcomeName, State
from hub.tags import parse
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.signing import token

APS = b'{ "aps": {"alert":"hi"} }'


async def sent(
    client: httpx.AsyncClient, service: FakeHubService, body: bytes, path: str = "/h1/messages", **headers: str
) -> Notification:
    response = await client.post(
        path, content=body, headers={name.replace("_", "-"): headers[name] for name in headers}
    )
    assert (response.status_code, response.content) == (201, b""), response.text
    location = response.headers["location"]
    prefix, suffix = f"https://ns.example{path.removesuffix('/')}/", "?api-version=2020-06"
    assert location.startswith(prefix)
    assert location.endswith(suffix)
    return service.notifications[location.removeprefix(prefix).removesuffix(suffix)]


async def refused(client: httpx.AsyncClient, body: bytes, path: str = "/h1/messages", **headers: str) -> str:
    response = await client.post(
        path, content=body, headers={name.replace("_", "-"): headers[name] for name in headers}
    )
    assert response.status_code == 400
    return response.text


async def test_a_native_send_goes_to_its_tags_with_its_body_unchanged(
    client: httpx.AsyncClient, service: FakeHubService
) -> None:
    notification = await sent(
        client,
        service,
        APS,
        ServiceBusNotification_Format="Apple",
        ServiceBusNotification_Tags="t1 && !t2",
        apns_push_type="background",
        apns_priority="5",
        x_ms_version="2020-06",
    )
    assert notification.hub == "h1"
    assert notification.audience == parse("t1 && !t2")
    assert notification.content == NativeContent(
        platform=Platform.APNS, payload=APS, headers={"apns-push-type": "background", "apns-priority": "5"}
    )
    assert len(bytes.fromhex(notification.id)) == 16


@pytest.mark.parametrize("path", ["/h1/messages/", "/H1/Messages", "/h1/messages"])
async def test_a_template_send_takes_properties_as_text(
    client: httpx.AsyncClient, service: FakeHubService, path: str
) -> None:
    body = b'{"m":"hi","n":5,"ok":true,"gone":null,"deep":{"a":[1]}}'
    response = await client.post(path, content=body, headers={"ServiceBusNotification-Format": "template"})
    assert response.status_code == 201
    (notification,) = service.notifications.values()
    assert notification.content == TemplateContent(properties={"m": "hi", "n": "5", "ok": "true", "deep": '{"a":[1]}'})
    assert notification.platforms is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("19.95", "19.95"),
        ("0.00001", "0.00001"),
        ("1e-7", "0.0000001"),
        ("1e16", "10000000000000000"),
        ("1E+21", "1000000000000000000000"),
        ("-2.5e-9", "-0.0000000025"),
        ("-0.0", "0.0"),
        ("9007199254740993.25", "9007199254740993.25"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("false", "false"),
        ('"1e16"', "1e16"),
        ('{"a":[1e16,{"b":1e-7}],"c":null}', '{"a":[10000000000000000,{"b":0.0000001}],"c":null}'),
        ("[12345678901234567890123, 0.1234567890123456789]", "[12345678901234567890123,0.1234567890123456789]"),
    ],
)
async def test_a_number_becomes_a_property_in_plain_decimals(
    client: httpx.AsyncClient, service: FakeHubService, value: str, text: str
) -> None:
    body = f'{{"p":{value}}}'.encode()
    content = (await sent(client, service, body, ServiceBusNotification_Format="template")).content
    assert content == TemplateContent(properties={"p": text})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1e400", "infinity"),
        ("1e999999999", "infinity"),
        ("NaN", "no JSON"),
        ("[" * 300 + "1e16" + "]" * 300, "cannot be written"),
        ("[" * 1000 + "]" * 1000 + ',"n":0.12345678901234567890', "nested too deep"),
    ],
)
async def test_a_property_that_has_no_text_is_refused(client: httpx.AsyncClient, value: str, reason: str) -> None:
    answer = await refused(client, f'{{"p":{value}}}'.encode(), ServiceBusNotification_Format="template")
    assert reason in answer


@pytest.mark.parametrize("tags", [None, "", "  ", "undefined"])
async def test_no_tags_are_everyone(client: httpx.AsyncClient, service: FakeHubService, tags: str | None) -> None:
    headers = {} if tags is None else {"ServiceBusNotification_Tags": tags}
    assert (await sent(client, service, b"{}", **headers)).audience is EVERYONE


async def test_tags_may_be_sent_as_utf_8(client: httpx.AsyncClient, service: FakeHubService) -> None:
    raw = httpx.Headers(
        [(b"ServiceBusNotification-Tags", "größe".encode()), (b"Authorization", token("full").encode())]
    )
    assert (await client.post("/h1/messages", content=b"{}", headers=raw)).status_code == 201
    (notification,) = service.notifications.values()
    assert notification.audience == parse("größe")


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        ({"ServiceBusNotification_Format": "fcmV1"}, b'{"message":{"data":{}}}', Platform.FCM),
        ({"ServiceBusNotification_Format": "FCMV1"}, b'{"message":{"data":{}}}', Platform.FCM),
        ({"ServiceBusNotification_Format": "gcm"}, b'{"data":{}}', Platform.FCM),
        ({"ServiceBusNotification_Format": "windows"}, b"<toast/>", Platform.WNS),
        ({"apns_topic": "x"}, b"{}", Platform.APNS),
        ({}, APS, Platform.APNS),
        ({}, b'{"m":"hi"}', None),
    ],
)
async def test_the_format_is_read_or_inferred(
    client: httpx.AsyncClient, service: FakeHubService, headers: dict[str, str], body: bytes, kind: Platform | None
) -> None:
    content = (await sent(client, service, body, **headers)).content
    assert (content.platform if isinstance(content, NativeContent) else None) is kind


@pytest.mark.parametrize(
    ("headers", "body", "content"),
    [
        (
            {"X_WNS_Type": "wns/raw", "X_WNS_TTL": "60"},
            b"\x00\xff raw",
            NativeContent(
                platform=Platform.WNS, payload=b"\x00\xff raw", headers={"x-wns-type": "wns/raw", "x-wns-ttl": "60"}
            ),
        ),
        (
            {"Content_Type": "application/octet-stream"},
            b"\x00",
            NativeContent(platform=Platform.WNS, payload=b"\x00", headers={"x-wns-type": "wns/raw"}),
        ),
        (
            {},
            b"<tile/>",
            NativeContent(platform=Platform.WNS, payload=b"<tile/>", headers={"x-wns-type": "wns/tile"}),
        ),
    ],
)
async def test_windows_sends_have_a_type(
    client: httpx.AsyncClient, service: FakeHubService, headers: dict[str, str], body: bytes, content: NativeContent
) -> None:
    notification = await sent(client, service, body, ServiceBusNotification_Format="windows", **headers)
    assert notification.content == content


async def test_a_legacy_gcm_body_is_put_into_the_message_that_fcm_v1_wants(
    client: httpx.AsyncClient, service: FakeHubService
) -> None:
    content = (await sent(client, service, b'{"data":{"a":"b"}}', ServiceBusNotification_Format="gcm")).content
    assert content == NativeContent(platform=Platform.FCM, payload=b'{"message":{"data":{"a":"b"}}}')


async def test_apple_s_expiry_and_priority_headers_of_net_and_java_are_taken(
    client: httpx.AsyncClient, service: FakeHubService
) -> None:
    notification = await sent(
        client,
        service,
        APS,
        ServiceBusNotification_Format="apple",
        ServiceBusNotification_Apns_Expiry="01/31/2030 20:00:00",
        X_Apns_Priority="5",
    )
    assert notification.expires_at == datetime(2030, 1, 31, 20, tzinfo=UTC)
    assert isinstance(notification.content, NativeContent)
    assert notification.content.headers == {"apns-priority": "5"}


@pytest.mark.parametrize(
    ("headers", "body", "detail"),
    [
        ({"ServiceBusNotification_Format": "bogus"}, b"{}", "Unknown format &apos;bogus&apos;; supported are apple"),
        ({"ServiceBusNotification_Format": "nokiax"}, b"{}", "no target applications for the format nokiax"),
        ({"ServiceBusNotification_Format": "apple"}, b"hi", "no JSON"),
        ({"ServiceBusNotification_Format": "apple"}, b"[]", "JSON object"),
        ({"ServiceBusNotification_Format": "template"}, b'"x"', "JSON object"),
        ({"ServiceBusNotification_Format": "fcmv1"}, b'{"to":"x"}', "cannot be carried over"),
        ({"ServiceBusNotification_Format": "fcmv1"}, b'{"message":{"token":"x"}}', "`token` cannot be given"),
        ({"ServiceBusNotification_Format": "fcmv1"}, b"\xff", "not UTF-8"),
        ({"ServiceBusNotification_Format": "windows"}, b"<toast>", "no XML"),
        ({"ServiceBusNotification_Format": "windows"}, b"<other/>", "X-WNS-Type is missing"),
        ({"ServiceBusNotification_Format": "windows", "X_WNS_Type": "wns/toast"}, b"hi", "no XML"),
        ({}, b"hi", "no JSON"),
        ({"ServiceBusNotification_Tags": "(a || b"}, b"{}", "ServiceBusNotification-Tags, column 1: this parenthesis"),
        ({"ServiceBusNotification_Tags": "||".join(f"t{n}" for n in range(21))}, b"{}", "21 tags are too many"),
        ({"ServiceBusNotification_Apns_Expiry": "soon"}, b"{}", "no date"),
        ({"Idempotency_Key": "x" * 256}, b"{}", "Idempotency-Key"),
    ],
)
async def test_a_send_that_means_nothing_is_refused_with_the_reason(
    client: httpx.AsyncClient, service: FakeHubService, headers: dict[str, str], body: bytes, detail: str
) -> None:
    assert detail in await refused(client, body, **headers)
    assert not service.notifications


@pytest.mark.parametrize(("path", "format_name"), [("/apple/messages", "fcmv1"), ("/none/messages", "template")])
async def test_a_format_without_credential_is_refused_by_name(
    client: httpx.AsyncClient, path: str, format_name: str
) -> None:
    detail = await refused(client, b'{"message":{}}', path, ServiceBusNotification_Format=format_name)
    assert f"no target applications for the format {format_name}" in detail


@pytest.mark.parametrize("query", ["direct", "direct=true", "direct&test"])
async def test_a_direct_send_without_a_device_never_becomes_a_broadcast(
    client: httpx.AsyncClient, service: FakeHubService, query: str
) -> None:
    assert "names its device" in await refused(client, b"{}", f"/h1/messages?{query}")
    assert not service.notifications


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ServiceBusNotification_DeviceHandle", "ab" * 32, "has the flag direct"),
        ("ServiceBusNotification_ScheduleTime", "2030-01-31T12:00:00Z", "goes to /h1/schedulednotifications"),
    ],
)
async def test_a_send_for_one_device_or_for_later_never_goes_to_all_now(
    client: httpx.AsyncClient, service: FakeHubService, name: str, value: str, words: str
) -> None:
    assert words in await refused(client, b"{}", **{name: value})
    assert not service.notifications


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ServiceBusNotification-Tags", ("boss", "all")),
        ("ServiceBusNotification-Tags", ("boss", "")),
        ("ServiceBusNotification-Format", ("apple", "template")),
        ("Idempotency-Key", ("1", "2")),
    ],
)
async def test_a_header_that_is_there_twice_is_refused(
    client: httpx.AsyncClient, service: FakeHubService, name: str, values: tuple[str, str]
) -> None:
    answer = await client.post("/h1/messages", content=b"{}", headers=[(name, value) for value in values])
    assert answer.status_code == 400
    assert f"The header {name} is there 2 times" in answer.text
    assert not service.notifications


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("api-version=2015-04", "2015-04"),
        ("API-Version=2016-07", "2016-07"),
        ("", "2020-06"),
        ("api-version=x%0a", "2020-06"),
    ],
)
async def test_the_location_has_the_version_that_was_asked_for(
    client: httpx.AsyncClient, query: str, version: str
) -> None:
    response = await client.post(f"/h1/messages?{query}", content=b"{}")
    assert response.headers["location"].endswith(f"?api-version={version}")


async def test_a_flag_that_is_false_is_off(client: httpx.AsyncClient) -> None:
    assert (await client.post("/h1/messages?test=false", content=b"{}")).status_code == 201


async def test_a_send_repeated_under_its_idempotency_key_is_one_send(
    client: httpx.AsyncClient, service: FakeHubService
) -> None:
    first = await sent(client, service, b"{}", Idempotency_Key="order-5")
    again = await sent(client, service, b"{}", Idempotency_Key="order-5")
    other = await sent(client, service, b"{}", Idempotency_Key="order-6")
    assert first is again
    assert other.id != first.id
    assert (await sent(client, service, b"{}")).id != (await sent(client, service, b"{}")).id


@pytest.mark.parametrize(("policy", "status"), [("send", 201), ("manage", 201), ("listen", 403)])
async def test_sending_needs_the_right_to_send(client: httpx.AsyncClient, policy: str, status: int) -> None:
    headers = {"Authorization": token(policy)}
    response = await client.post("/h1/messages", content=b"{}", headers=headers)
    assert response.status_code == status
    assert "retry-after" not in response.headers
    details = await client.get("/h1/messages/unknown", headers=headers)
    assert details.status_code == (404 if status == 201 else 403)


async def test_a_full_queue_asks_to_come_again(client: httpx.AsyncClient, service: FakeHubService) -> None:
    service.failure = CapacityError("The queue is full", retry_after=12.5)
    response = await client.post("/h1/messages", content=b"{}")
    assert (response.status_code, response.headers["retry-after"]) == (429, "13")


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 201), (64 * 1024 + 1, 413)])
async def test_a_body_may_have_64_kb(client: httpx.AsyncClient, size: int, status: int) -> None:
    body = b'{"m":"' + b"x" * (size - 8) + b'"}'
    assert (await client.post("/h1/messages", content=body)).status_code == status


@pytest.mark.parametrize("path", ["/h1/messages", "/h1/schedulednotifications"])
async def test_a_send_to_many_says_how_it_is_confirmed(
    client: httpx.AsyncClient, service: FakeHubService, path: str
) -> None:
    service.needs_confirmation = 12_000
    when = {"ServiceBusNotification_ScheduleTime": "2030-02-01T00:00:00"}
    later = {} if path == "/h1/messages" else when
    said = await refused(client, APS, path, ServiceBusNotification_Format="apple", **later)
    assert "send it with the header Pushbridge-Confirm: 12000" in said
    assert "<Code>400</Code>" in said
    said = await refused(client, APS, path, ServiceBusNotification_Format="apple", Pushbridge_Confirm="yes", **later)
    assert "is no number of registrations" in said
    assert service.notifications == {}
    await sent(client, service, APS, path, ServiceBusNotification_Format="apple", Pushbridge_Confirm="12000", **later)


def test_a_held_notification_is_one_that_waits_to_clients_that_know_no_such_state() -> None:
    details = NotificationDetails(
        notification_id="1", state=State.HELD, enqueued_at=datetime(2026, 3, 2, tzinfo=UTC), body="{}", counts={}
    )
    assert "<State>Enqueued</State>" in details_xml(details, location="sb://x", is_java=False)


async def test_details_can_be_read_under_the_location_of_the_send(client: httpx.AsyncClient) -> None:
    location = (await client.post("/h1/messages", content=APS)).headers["location"]
    response = await client.get(location)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/xml; charset=utf-8"
    assert f"<Location>{location.replace('https', 'sb')}</Location><State>Enqueued</State>" in response.text


DETAILS = NotificationDetails(
    notification_id="n1",
    state=State.CANCELLED,
    enqueued_at=datetime(2030, 1, 1, tzinfo=UTC),
    started_at=datetime(2030, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC),
    body="<toast/>\x01",
    tags="a && b",
    platforms=(Platform.APNS, Platform.FCM),
    counts={
        Platform.FCM: {OutcomeName.SUCCESS: 1, OutcomeName.EXPIRED_CHANNEL: 2},
        Platform.WNS: {},
        Platform.APNS: {OutcomeName.SUCCESS: 3},
    },
)


def test_details_are_compact_xml_in_the_contract_s_order_without_empty_members() -> None:
    assert details_xml(DETAILS, location="sb://ns.example/h1/messages/n1?api-version=2020-06", is_java=False) == (
        '<NotificationDetails xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><NotificationId>n1</NotificationId>'
        "<Location>sb://ns.example/h1/messages/n1?api-version=2020-06</Location><State>Cancelled</State>"
        "<EnqueueTime>2030-01-01T00:00:00.0000000Z</EnqueueTime><StartTime>2030-01-01T00:00:01.5000000Z</StartTime>"
        "<NotificationBody>&lt;toast/&gt;\ufffd</NotificationBody><Tags>a &amp;&amp; b</Tags>"
        "<TargetPlatforms>apple,fcmv1</TargetPlatforms>"
        "<ApnsOutcomeCounts><Outcome><Name>Success</Name><Count>3</Count></Outcome></ApnsOutcomeCounts>"
        "<FcmV1OutcomeCounts><Outcome><Name>Success</Name><Count>1</Count></Outcome>"
        "<Outcome><Name>ExpiredChannel</Name><Count>2</Count></Outcome></FcmV1OutcomeCounts></NotificationDetails>"
    )


def test_java_reads_its_own_spelling_of_cancelled() -> None:
    root = etree.fromstring(details_xml(DETAILS, location="sb://x", is_java=True))
    assert root.findtext("{*}State") == "Canceled"


async def test_the_trace_of_a_send_is_the_notification_s(client: httpx.AsyncClient, service: FakeHubService) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    fields = {"ServiceBusNotification_Format": "Apple", "traceparent": trace, "tracestate": "rojo=1"}
    notification = await sent(client, service, APS, **fields)
    assert (notification.trace, notification.tracestate) == (trace, "rojo=1")
    notification = await sent(client, service, APS, **(fields | {"traceparent": "00-x"}))
    assert (notification.trace, notification.tracestate) == ("", "")


async def test_a_send_may_say_that_it_is_sensitive(client: httpx.AsyncClient, service: FakeHubService) -> None:
    fields = {"ServiceBusNotification_Format": "Apple"}
    assert not (await sent(client, service, APS, **fields)).sensitive
    assert (await sent(client, service, APS, **fields, pushbridge_sensitive="true")).sensitive
