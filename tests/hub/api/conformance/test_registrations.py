"""Registrations as the wire contract's cases 22 to 61 have them, and what hostile bodies come to."""

import re
from urllib.parse import quote, unquote

import httpx
import pytest
from lxml import etree

from hub.notification import Platform
from hub.outcome import OutcomeName
from tests.fakes.browsers import AUTH, P256DH
from tests.fakes.senders import GONE
from tests.hub.api.conformance.conftest import TTL, Service, signed

SB = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
ATOM = "http://www.w3.org/2005/Atom"
NEVER = "9999-12-31T23:59:59.999Z"
JSON_BODY = '{"aps":{"alert":"$(m)"}}'
FCM_BODY = '{"message":{"notification":{"title":"$(m)"}}}'


def entry(kind: str, *members: str, content: str = "application/xml") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><entry xmlns="{ATOM}"><title/><content type="{content}">'
        f'<{kind} xmlns="{SB}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{"".join(members)}</{kind}>'
        "</content></entry>"
    )


def apple(token: str = "aabb", tags: str = "") -> str:
    return entry("AppleRegistrationDescription", f"<Tags>{tags}</Tags>", f"<DeviceToken>{token}</DeviceToken>")


def read(response: httpx.Response) -> list[tuple[str, str]]:
    """The members of the description in an entry, in order."""
    assert response.status_code == 200, response.text
    (description,) = etree.fromstring(response.content).findall(f"{{{ATOM}}}content/*")
    return [(etree.QName(child).localname, child.text or "") for child in description]


def member(response: httpx.Response, name: str) -> str:
    return dict(read(response))[name]


def listed(response: httpx.Response, name: str = "RegistrationId") -> list[str]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/atom+xml; type=feed; charset=utf-8"
    feed = etree.fromstring(response.content)
    return [element.text or "" for element in feed.iterfind(f".//{{{SB}}}{name}")]


async def create(client: httpx.AsyncClient, body: str, hub: str = "h1") -> str:
    return member(await client.post(f"/{hub}/registrations", content=body), "RegistrationId")


async def test_22_an_id_is_minted(client: httpx.AsyncClient) -> None:
    response = await client.post("/h1/registrationIDs/?api-version=2020-06")
    assert (response.status_code, response.content) == (201, b"")
    assert re.fullmatch(
        r"https://ns\.example/h1/registrationids/\d{1,19}-\d{1,19}-\d\?api-version=2020-06",
        response.headers["location"],
    )


async def test_23_24_a_registration_is_answered_as_the_sdks_read_it(client: httpx.AsyncClient) -> None:
    response = await client.post("/h1/registrations", content=apple(tags="news"))
    id = member(response, "RegistrationId")
    assert read(response) == [
        ("ETag", "1"),
        ("ExpirationTime", NEVER),
        ("RegistrationId", id),
        ("Tags", "news"),
        ("DeviceToken", "AABB"),
    ]
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["content-location"] == f"https://ns.example/h1/registrations/{id}?api-version=2020-06"
    assert response.headers["content-type"] == "application/atom+xml; type=entry; charset=utf-8"
    assert re.search(r">\s+<", response.text) is None
    assert "<AppleRegistrationDescription xmlns=" in response.text
    assert f'<entry a:etag="W/&quot;1&quot;" xmlns="{ATOM}" xmlns:a=' in response.text


@pytest.mark.parametrize(
    ("kind", "content", "content_type"),
    [
        (
            'RegistrationDescription xmlns:s="urn:x" i:type="s:AppleRegistrationDescription"',
            "application/xml",
            "application/atom+xml;type=entry;charset=utf-8",
        ),
        ("AppleRegistrationDescription", "text/xml", "application/xml"),
        ("AppleRegistrationDescription", "application/xml", "application/atom+xml"),
    ],
)
async def test_25_26_a_description_is_read_however_an_sdk_spells_it(
    client: httpx.AsyncClient, kind: str, content: str, content_type: str
) -> None:
    name = kind.partition(" ")[0]
    body = (
        f'<entry xmlns="{ATOM}"><content type="{content}"><{name} xmlns="{SB}"'
        f' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"{kind.removeprefix(name)}>'
        f'<RegistrationId i:nil="true"/><DeviceToken>aabb</DeviceToken><ETag i:nil="true"/></{name}></content></entry>'
    )
    answer = await client.post(
        "/h1/registrations?api-version=2013-04", content=body, headers={"Content-Type": content_type}
    )
    assert member(answer, "DeviceToken") == "AABB"


WNS_HEADERS = "<WnsHeaders><WnsHeader><Header>X-WNS-Type</Header><Value>wns/raw</Value></WnsHeader></WnsHeaders>"
KINDS = [
    ("Apple", "<DeviceToken>AA</DeviceToken>", ["DeviceToken"]),
    ("FcmV1", "<FcmV1RegistrationId>t</FcmV1RegistrationId>", ["FcmV1RegistrationId"]),
    ("Gcm", "<GcmRegistrationId>t</GcmRegistrationId>", ["GcmRegistrationId"]),
    ("Windows", "<ChannelUri>https://w.example/?a=1&amp;b=2</ChannelUri>", ["ChannelUri"]),
    ("Mpns", "<ChannelUri>http://m.example/c</ChannelUri>", ["ChannelUri"]),
    ("Adm", "<AdmRegistrationId>t</AdmRegistrationId>", ["AdmRegistrationId"]),
    (
        "Baidu",
        "<BaiduChannelId>c-1</BaiduChannelId><BaiduUserId>u</BaiduUserId>",
        ["BaiduUserId", "BaiduChannelId"],
    ),
    (
        "Browser",
        f"<Endpoint>https://b.example/x</Endpoint><P256DH>{P256DH}</P256DH><Auth>{AUTH}</Auth>",
        ["Endpoint", "P256DH", "Auth"],
    ),
    ("Xiaomi", "<XiaomiRegistrationId>t</XiaomiRegistrationId>", ["XiaomiRegistrationId"]),
    ("NokiaX", "<NokiaXRegistrationId>t</NokiaXRegistrationId>", ["NokiaXRegistrationId"]),
]
BODIES = {
    "Apple": JSON_BODY,
    "FcmV1": FCM_BODY,
    "Gcm": FCM_BODY,
    "Windows": "<toast><visual/></toast>",
    "Mpns": '<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>$(m)</wp:Text1></wp:Toast></wp:Notification>',
}
TEMPLATES = {
    "Apple": ["BodyTemplate", "Expiry", "TemplateName", "ApnsHeaders"],
    "Windows": ["BodyTemplate", "WnsHeaders", "TemplateName"],
    "Mpns": ["BodyTemplate", "MpnsHeaders", "TemplateName"],
}


@pytest.mark.parametrize(("name", "handles", "order"), KINDS, ids=[kind[0] for kind in KINDS])
async def test_27_to_32_each_kind_comes_back_in_the_order_of_the_contract(
    client: httpx.AsyncClient, name: str, handles: str, order: list[str]
) -> None:
    native = await client.post("/h1/registrations", content=entry(f"{name}RegistrationDescription", handles))
    assert [key for key, _ in read(native)] == ["ETag", "ExpirationTime", "RegistrationId", *order]
    given = dict(re.findall(r"<(\w+)>([^<]*)</", handles))
    assert {key: member(native, key) for key in order} == {
        key: text.replace("&amp;", "&") for key, text in given.items()
    }
    body = BODIES.get(name, '{"data":{"m":"$(m)"}}')
    template = await client.post(
        "/h1/registrations",
        content=entry(
            f"{name}TemplateRegistrationDescription",
            f"<TemplateName>greet</TemplateName><BodyTemplate><![CDATA[{body}]]></BodyTemplate>",
            handles,
        ),
    )
    members = TEMPLATES.get(name, ["BodyTemplate", "TemplateName"])
    assert [key for key, _ in read(template)] == ["ETag", "ExpirationTime", "RegistrationId", *order, *members]
    assert f"<BodyTemplate><![CDATA[{body}]]></BodyTemplate>" in template.text
    if name == "Windows":
        assert "<Header>X-WNS-Type</Header><Value>wns/toast</Value>" in template.text
    if name == "Mpns":
        assert "<Header>X-WindowsPhone-Target</Header><Value>toast</Value>" in template.text
        assert "<Header>X-NotificationClass</Header><Value>2</Value>" in template.text
    same = await client.get(f"/h1/registrations/{member(template, 'RegistrationId')}")
    assert name == "Gcm" or read(same) == read(template)


async def test_29_headers_of_a_template_are_kept(client: httpx.AsyncClient) -> None:
    handle, body = "<ChannelUri>https://w.example/</ChannelUri>", "<BodyTemplate>$(m)</BodyTemplate>"
    answer = await client.post(
        "/h1/registrations", content=entry("WindowsTemplateRegistrationDescription", handle, body, WNS_HEADERS)
    )
    assert WNS_HEADERS in answer.text


async def test_33_39_tags_and_push_variables_are_echoed(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/h1/registrations",
        content=entry(
            "AppleRegistrationDescription",
            "<Tags>a, b ,A,,$UserId:{u}</Tags><PushVariables>{&quot;v&quot;:&quot;1&quot;}</PushVariables>",
            "<DeviceToken>AABB</DeviceToken>",
        ),
    )
    assert [name for name, _ in read(answer)][3:] == ["Tags", "PushVariables", "DeviceToken"]
    assert (member(answer, "Tags"), member(answer, "PushVariables")) == ("a,b,$UserId:{u}", '{"v":"1"}')
    assert listed(await client.get("/h1/registrations"), "PushVariables") == ['{"v":"1"}']


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (apple(tags="bad tag!"), "bad tag!"),
        (apple(tags="x" * 121), "121 characters"),
        (apple(tags="$InstallationId:{i}"), "set by the hub alone"),
        (apple("xyz"), "hex digits"),
        (entry("AppleRegistrationDescription"), "lacks DeviceToken"),
        (entry("BaiduRegistrationDescription", "<BaiduUserId>u</BaiduUserId>"), "lacks BaiduChannelId"),
        (
            entry(
                "AdmTemplateRegistrationDescription",
                '<AdmRegistrationId>t</AdmRegistrationId><BodyTemplate>{"m":"$(bad-name)"}</BodyTemplate>',
            ),
            "bad-name",
        ),
        (entry("CarrierPigeonRegistrationDescription"), "Unknown description"),
        ("<entry", "no XML"),
        ("", "no XML"),
        ("<feed/>", "has to be an Atom entry"),
        ("<entry><content/></entry>", "has to be an Atom entry"),
    ],
)
async def test_34_to_38_what_cannot_be_registered_is_a_400_with_the_reason(
    client: httpx.AsyncClient, body: str, detail: str
) -> None:
    response = await client.post("/h1/registrations", content=body)
    assert response.status_code == 400
    assert response.text.startswith("<Error><Code>400</Code><Detail>")
    assert detail in response.text
    assert listed(await client.get("/h1/registrations")) == []


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><entry xmlns="http://www.w3.org/2005/Atom"><content>'
    "<AppleRegistrationDescription><DeviceToken>&c;</DeviceToken></AppleRegistrationDescription></content></entry>"
)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (BOMB.encode(), 400),
        (BOMB.encode("utf-16"), 400),
        (BOMB.replace('b "x"', 'b SYSTEM "file:///etc/hostname"').encode(), 400),
        (b"<entry>" + b"<a>" * 20_000, 400),
        (apple("ab" * 50_000).encode(), 413),
        (b"x" * 20_000_000, 413),
    ],
    ids=["entities", "another encoding", "external", "deep", "long", "20 MB"],
)
async def test_a_body_that_means_harm_is_refused(client: httpx.AsyncClient, body: bytes, status: int) -> None:
    response = await client.post("/h1/registrations", content=body)
    assert (response.status_code, f"<Code>{status}</Code>" in response.text) == (status, True)


async def test_xml_that_an_sdk_breaks_is_mended(client: httpx.AsyncClient) -> None:
    broken = entry(
        "WindowsTemplateRegistrationDescription",
        "<ChannelUri>https://w.example/?a=1&b=2</ChannelUri></WnsHeaders>",
        "<BodyTemplate><![CDATA[<toast/>]]></BodyTemplate>",
    )
    answer = await client.post("/h1/registrations", content=broken)
    assert member(answer, "ChannelUri") == "https://w.example/?a=1&b=2"


async def test_40_to_44_an_etag_guards_an_update(client: httpx.AsyncClient) -> None:
    url = f"/h1/registrations/{(await client.post('/h1/registrationIDs')).headers['location'].split('/')[5].split('?')[0]}"
    assert member(await client.put(url, content=apple()), "ETag") == "1"
    assert member(await client.put(url, content=apple()), "ETag") == "2"
    assert member(await client.put("/h1/registrations/123-234-1", content=apple()), "ETag") == "1"
    again = await client.put(url, content=apple(), headers={"If-Match": '"2"'})
    assert (member(again, "ETag"), again.headers["etag"]) == ("3", 'W/"3"')
    stale = await client.put(url, content=apple(), headers={"If-Match": '"2"'})
    assert (stale.status_code, "<Code>412</Code>" in stale.text) == (412, True)
    assert member(await client.put(url, content=apple(), headers={"If-Match": 'W/"3"'}), "ETag") == "4"
    assert member(await client.put(url, content=apple(), headers={"If-Match": "*"}), "ETag") == "5"
    missing = await client.put("/h1/registrations/9-9-9", content=apple(), headers={"If-Match": "*"})
    assert missing.status_code == 404
    assert (await client.put(url, content=apple(), headers={"If-Match": "now"})).status_code == 400
    assert (await client.put("/h1/registrations/a.b", content=apple())).status_code == 400


async def test_45_to_47_a_registration_is_read_and_deleted(client: httpx.AsyncClient) -> None:
    url = f"/h1/registrations/{await create(client, apple())}"
    assert member(await client.get(url), "DeviceToken") == "AABB"
    assert (await client.delete(url, headers={"If-Match": '"9"'})).status_code == 412
    deleted = await client.delete(url, headers={"If-Match": "*"})
    assert (deleted.status_code, deleted.content, deleted.headers["content-length"]) == (200, b"", "0")
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url, headers={"If-Match": "*"})).status_code == 404
    assert (await client.delete(f"/h1/registrations/{await create(client, apple())}")).status_code == 200


async def test_48_the_id_of_a_dead_handle_is_gone(service: Service, client: httpx.AsyncClient) -> None:
    id = await create(client, apple())
    service.senders[Platform.APNS].answer = GONE
    sent = await client.post("/h1/messages", content="{}", headers={"ServiceBusNotification-Format": "apple"})
    assert sent.status_code == 201
    await service.observer.until_ended(1)
    gone = await client.put(f"/h1/registrations/{id}", content=apple())
    assert (gone.status_code, "<Code>410</Code>" in gone.text) == (410, True)
    assert (await client.put("/h1/registrations/1-2-1", content=apple())).status_code == 200


async def test_49_to_52_a_list_is_read_in_parts(client: httpx.AsyncClient) -> None:
    empty = await client.get("/h1/registrations")
    assert listed(empty) == []
    assert "x-ms-continuationtoken" not in empty.headers
    ids = [await create(client, apple()) for _ in range(3)]
    first = await client.get("/h1/Registrations/?%24top=2&api-version=2020-06&test")
    token = first.headers["x-ms-continuationtoken"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert listed(first) == ids[:2]
    (following,) = re.findall(r'<link rel="next" href="([^"]*)"', first.text)
    for query in (f"$top=2&ContinuationToken={token}", f"continuationtoken={quote(quote(token))}"):
        second = await client.get(f"/h1/registrations?{query}")
        assert listed(second) == ids[2:]
        assert "x-ms-continuationtoken" not in second.headers
        assert 'rel="next"' not in second.text
    assert listed(await client.get(following.replace("&amp;", "&"))) == ids[2:]
    assert listed(await client.get("/h1/registrations?$top=500")) == ids
    for wrong in ("$top=0", "$top=x", "continuationtoken=x"):
        assert (await client.get(f"/h1/registrations?{wrong}")).status_code == 400


async def test_53_to_58_a_list_is_filtered_by_push_channel(client: httpx.AsyncClient) -> None:
    endpoint, channel = "https://b.example/x?y=1", "https://w.example/?a=1"
    bodies = {
        "apple": apple(),
        "browser": entry("BrowserRegistrationDescription", KINDS[7][1].replace("https://b.example/x", endpoint)),
        "baidu": entry(
            "BaiduRegistrationDescription", "<BaiduUserId>u</BaiduUserId><BaiduChannelId>c</BaiduChannelId>"
        ),
        "wns": entry("WindowsRegistrationDescription", f"<ChannelUri>{channel}</ChannelUri>"),
        "fcm": entry("GcmRegistrationDescription", "<GcmRegistrationId>it's</GcmRegistrationId>"),
    }
    ids = {await create(client, body): name for name, body in bodies.items()}
    for text, found in {
        "ChannelUri eq 'AABB'": "apple",
        "deviceToken+eq+'aabb'": "apple",
        f"ChannelUri eq '{quote(quote(channel, safe=''))}'": "wns",
        f"ChannelUri eq '{quote(channel, safe='')}'": "wns",
        f"Endpoint eq '{quote(quote(endpoint, safe=''))}' and P256DH eq '{P256DH}' and Auth eq '{AUTH}'": "browser",
        "BaiduChannelId eq c' and BaiduUserId eq 'u'": "baidu",
        "BaiduUserId-BaiduChannelId eq 'u-c'": "baidu",
        "ChannelUri eq 'u-c'": "baidu",
        "FcmV1RegistrationId eq 'it''s'": "fcm",
        "GcmRegistrationId eq 'it''s'": "fcm",
        "ChannelUri eq 'it''s'": "fcm",
        "DeviceToken eq 'CCDD'": None,
        "DeviceToken eq 'no hex'": None,
    }.items():
        answer = await client.get(f"/h1/registrations?$filter={text}&$top=100")
        assert [ids[id] for id in listed(answer)] == ([found] if found else []), text
    for wrong in ("startswith(x,'y')", "Colour eq 'red'", "Auth eq 'a'", "DeviceToken eq 'a' or Auth eq 'b'", "x eq y"):
        assert (await client.get(f"/h1/registrations?$filter={wrong}")).status_code == 400, wrong


async def test_59_60_a_list_is_read_by_tag(service: Service, client: httpx.AsyncClient) -> None:
    id = await create(client, apple(tags="news"))
    template = {"body": JSON_BODY}
    await service.put("i1", tags=["Sport"], userId="u1", templates={"greet me": template})
    assert listed(await client.get("/H1/tags/NEWS/Registrations")) == [id]
    derived = await client.get("/h1/tags/$InstallationId:%7Bi1%7D/registrations")
    assert listed(derived, "Tags") == [
        "$InstallationId:{i1},$UserId:{u1},Sport",
        "$InstallationId:{i1},$UserId:{u1},Sport,greet me",
    ]
    assert listed(derived, "TemplateName") == ["greet me"]
    (one,) = listed(await client.get("/h1/tags/greet%20me/registrations"))
    assert member(await client.get(f"/h1/registrations/{one}"), "TemplateName") == "greet me"
    refused = await client.delete(f"/h1/registrations/{one}")
    assert (refused.status_code, "derives from an installation" in refused.text) == (400, True)


async def test_61_a_registration_ends_with_its_time(service: Service, client: httpx.AsyncClient) -> None:
    id = await create(client, apple(), "short")
    got = await client.get(f"/short/registrations/{id}")
    assert re.fullmatch(r"2027-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", member(got, "ExpirationTime"))
    service.clock.advance(TTL.total_seconds())
    later = {"Authorization": signed("full", service.clock)}
    assert (await client.get(f"/short/registrations/{id}", headers=later)).status_code == 404
    assert listed(await client.get("/short/registrations", headers=later)) == []
    assert (await client.put(f"/short/registrations/{id}", content=apple(), headers=later)).status_code == 410


@pytest.mark.parametrize(
    ("policy", "method", "path", "status"),
    [
        ("listen", "POST", "/h1/registrationids", 201),
        ("listen", "POST", "/h1/registrations", 200),
        ("listen", "PUT", "/h1/registrations/1-1-1", 200),
        ("listen", "GET", "/h1/registrations?$filter=DeviceToken eq 'AABB'", 200),
        ("listen", "GET", "/h1/registrations", 403),
        ("listen", "GET", "/h1/tags/t/registrations", 403),
        ("send", "GET", "/h1/registrations/1-1-1", 403),
        ("send", "DELETE", "/h1/registrations/1-1-1", 403),
        ("send", "POST", "/h1/registrationids", 403),
    ],
)
async def test_18_each_operation_on_registrations_needs_its_right(
    service: Service, policy: str, method: str, path: str, status: int
) -> None:
    headers = {"Authorization": signed(policy, service.clock)}
    answer = await service.client.request(method, path, content=apple(), headers=headers)
    assert answer.status_code == status
    assert "retry-after" not in answer.headers


async def test_a_template_for_a_platform_without_a_sender_ends_as_no_credential(
    service: Service, client: httpx.AsyncClient
) -> None:
    body = '<BodyTemplate>{"data":{"m":"$(m)"}}</BodyTemplate>'
    handle = "<NokiaXRegistrationId>t</NokiaXRegistrationId>"
    await create(client, entry("NokiaXTemplateRegistrationDescription", handle, body))
    sent = await client.post("/h1/messages", content='{"m":"hi"}')
    await service.observer.until_ended(1)
    assert service.observer.outcomes == {(Platform("nokiax"), OutcomeName.INVALID_CREDENTIALS): 1}
    details = await client.get(unquote(sent.headers["location"]))
    assert "<TargetPlatforms>apple,fcmv1,windows,browser,adm," in details.text
