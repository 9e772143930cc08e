"""The template language: cases 109 to 123 of the wire contract, from a registration to what the push service gets."""

from typing import Any

import httpx
import orjson
from lxml import etree

from hub.notification import Platform
from tests.hub.api.conformance.conftest import Service

APNS, FCM, WNS = Platform.APNS, Platform.FCM, Platform.WNS


async def filled(service: Service, body: str, properties: dict[str, Any], **document: Any) -> bytes:
    """The payload that the phone with this template gets."""
    platform = {"apns": APNS, "fcmv1": FCM, "wns": WNS}[document.get("platform", "apns")]
    headers = document.pop("headers", {})
    await service.put("i1", **document, templates={"t": {"body": body, "headers": headers}})
    sender = service.senders[platform]
    before = len(sender.pushes)
    sent = await service.client.post(
        "/h1/messages", content=orjson.dumps(properties), headers={"ServiceBusNotification-Format": "template"}
    )
    assert sent.status_code == 201, sent.text
    return (await sender.received(before + 1))[before].payload


async def alert(service: Service, expression: str, **properties: Any) -> Any:
    body = orjson.dumps({"aps": {"alert": expression}}).decode()
    return orjson.loads(await filled(service, body, properties))["aps"]["alert"]


async def test_109_to_116_119_an_expression_becomes_its_value(service: Service) -> None:
    for expression, properties, value in (
        ("$(m)", {"M": "hi"}, "hi"),
        ("$(m)", {}, ""),
        ("Hello $(m)", {"m": "hi"}, "Hello $(m)"),
        ("{'Hello ' + $(m)}", {"m": "hi"}, "Hello hi"),
        ("$(m, 3)", {"m": "abcdef"}, "abc"),
        (".(m, 5)", {"m": "abcdef"}, "ab..."),
        (".(m, 10)", {"m": "abcdef"}, "abcdef"),
        ("$(m, 0)", {"m": "abcdef"}, ""),
        ("%(m)", {"m": "a b&c"}, "a%20b%26c"),
        ("#(n)", {"n": "5"}, 5),
        ("#(n)", {"n": "x"}, "x"),
        ("{'it''s ' + $(m)}", {"m": "hi"}, "it's hi"),
        ("$(m:{none})", {}, "none"),
        (" $(m)", {"m": "hi"}, " $(m)"),
    ):
        assert await alert(service, expression, **properties) == value, expression


async def test_117_a_value_breaks_neither_json_nor_xml(service: Service) -> None:
    assert await alert(service, "$(m)", m='a"\n<&') == 'a"\n<&'
    channel = "https://db5.notify.windows.com/?token=1"
    xml = await filled(service, "<toast><text>$(m)</text></toast>", {"m": 'a"<&'}, platform="wns", pushChannel=channel)
    assert etree.fromstring(xml).findtext("text") == 'a"<&'


async def test_118_what_begins_like_an_expression_and_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for value in ("$5 off", "{name}", "#tag", ".(m)", "%(m,3)", "{#(n) + 'x'}", "$body", "$(bad-name)", "{''}", "$(m"):
        body = orjson.dumps({"aps": {"alert": value}}).decode()
        document = {"platform": "apns", "pushChannel": "AABB", "templates": {"t": {"body": body}}}
        answer = await client.put("/h1/installations/i1", json=document)
        assert (answer.status_code, "<Code>400</Code>" in answer.text) == (400, True), value


async def test_120_an_expression_in_a_header_is_filled(service: Service) -> None:
    await filled(
        service,
        '<badge value="$(n)"/>',
        {"n": "1", "type": "wns/badge"},
        platform="wns",
        pushChannel="https://db5.notify.windows.com/?token=1",
        headers={"X-WNS-Type": "$(type)"},
    )
    (push,) = service.senders[WNS].pushes
    assert {name.lower(): value for name, value in push.headers.items()}["x-wns-type"] == "wns/badge"


async def test_121_a_property_comes_before_a_push_variable(service: Service) -> None:
    for properties, text in (({}, "Hi Ann"), ({"name": "Bob"}, "Hi Bob")):
        body = '{"aps":{"alert":"{\'Hi \' + $(name)}"}}'
        payload = await filled(service, body, properties, pushVariables={"name": "Ann"})
        assert orjson.loads(payload)["aps"]["alert"] == text


async def test_122_an_fcm_template_needs_no_token(service: Service) -> None:
    body = '{"message":{"notification":{"title":"$(t)"}}}'
    payload = await filled(service, body, {"t": "hi"}, platform="fcmv1", pushChannel="the-token")
    assert orjson.loads(payload)["message"]["notification"] == {"title": "hi"}
    assert service.senders[FCM].push_channels == ["the-token"]


async def test_123_templates_and_native_rows_are_apart(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("native")
    await service.put("both", pushChannel="CCDD", templates={"t": {"body": '{"aps":{"alert":"$(m)"}}'}})
    for format, body in (("template", '{"m":"hi"}'), ("apple", '{"aps":{"alert":"native"}}')):
        await client.post("/h1/messages", content=body, headers={"ServiceBusNotification-Format": format})
    pushes = await service.senders[APNS].received(3)
    assert sorted((push.push_channel, orjson.loads(push.payload)["aps"]["alert"]) for push in pushes) == [
        ("AABB", "native"),
        ("CCDD", "hi"),
        ("CCDD", "native"),
    ]
