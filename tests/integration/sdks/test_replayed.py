"""Requests of clients that cannot run here, written out as their sources and recordings have them, in the contract's words.

Sections and tags are those of the wire contract: [IOS] and [AND] are the sources of the device SDKs, [NET] those of .NET
4.2.0, [REC] traffic recorded with it, [JAVA] the sources of 1.1.0. What each got right is in docs/compatibility.md.
"""

from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from tests.fakes.clock import FakeClock
from tests.hub.api.conformance.conftest import hub_at_work, signed
from tests.integration.sdks.page import Called, write

SB = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
ATOM = "http://www.w3.org/2005/Atom"
ENTRY = "application/atom+xml;type=entry;charset=utf-8"
APS = '{"aps":{"alert":"hi"}}'
NOW_PLUS_90_DAYS = "2027-04-15T08:00+0000"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request: what it is for, where it is written down, its bytes, and the status that the client takes for success."""

    what: str
    source: str
    method: str
    path: str
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def entry(inner: str, *, content: str = "application/xml") -> str:
    return f'<entry xmlns="{ATOM}"><content type="{content}">{inner}</content></entry>'


def described(kind: str, inner: str) -> str:
    return f'<{kind} xmlns:i="{XSI}" xmlns="{SB}">{inner}</{kind}>'


IOS = [
    Sent(
        what="create a registration id",
        source="[IOS] 2013-04, section 2.2",
        method="POST",
        path="/h1/registrationids/?api-version=2013-04",
        headers={"Content-Type": "application/xml"},
        status=201,
    ),
    Sent(
        what="upsert a registration",
        source="[IOS] section 5.1, content of type text/xml",
        method="PUT",
        path="/h1/Registrations/1-2-3?api-version=2013-04",
        body=entry(
            described("AppleRegistrationDescription", "<Tags>news</Tags><DeviceToken>AABB</DeviceToken>"),
            content="text/xml",
        ),
        headers={"Content-Type": "application/xml"},
    ),
    Sent(
        what="list its registrations",
        source="[IOS] section 5.6",
        method="GET",
        path="/h1/Registrations/?$filter=deviceToken+eq+'AABB'&api-version=2013-04",
    ),
    Sent(
        what="put an installation",
        source="[IOS] section 6.1, an expiration without seconds",
        method="PUT",
        path="/h1/installations/i-1?api-version=2020-06",
        body=(
            '{"installationId":"i-1","platform":"apns","pushChannel":"aabb","tags":["news"],'
            f'"expirationTime":"{NOW_PLUS_90_DAYS}","templates":{{"t":{{"body":"{{\\"aps\\":{{\\"alert\\":\\"$(m)\\"}}}}"}}}}}}'
        ),
        headers={"Content-Type": "application/json"},
    ),
    Sent(
        what="delete a registration",
        source="[IOS] section 5.2",
        method="DELETE",
        path="/h1/Registrations/1-2-3?api-version=2013-04",
        headers={"If-Match": "*"},
    ),
]
ANDROID = [
    Sent(
        what="create a registration id",
        source="[AND] legacy, 2014-09",
        method="POST",
        path="/h1/registrationids/?api-version=2014-09",
        headers={"Content-Type": "application/atom+xml"},
        status=201,
    ),
    Sent(
        what="upsert a registration for FCM v1",
        source="[AND] section 5.1, a bare content type",
        method="PUT",
        path="/h1/registrations/2-2-3?api-version=2014-09",
        body=entry(
            described(
                "FcmV1RegistrationDescription", "<Tags>news</Tags><FcmV1RegistrationId>token</FcmV1RegistrationId>"
            )
        ),
        headers={"Content-Type": "application/atom+xml"},
    ),
    Sent(
        what="list its registrations",
        source="[AND] section 5.6",
        method="GET",
        path="/h1/registrations/?$filter=FcmV1RegistrationId%20eq%20'token'&api-version=2014-09",
    ),
    Sent(
        what="put an installation",
        source="[AND] 2020-06, section 6.2",
        method="PUT",
        path="/h1/installations/a-1?api-version=2020-06",
        body=(
            '{"installationId":"a-1","platform":"FCMV1","pushChannel":"token",'
            f'"expirationTime":"{NOW_PLUS_90_DAYS}","tags":[]}}'
        ),
        headers={"Content-Type": "application/json", "x-ms-version": "2020-06"},
    ),
]
UWP = [
    Sent(
        what="create a registration",
        source="[NET] section 5.4, the managed client for Windows",
        method="POST",
        path="/h1/registrations?api-version=2015-04",
        body=entry(
            described(
                "WindowsRegistrationDescription",
                "<Tags>news</Tags><ChannelUri>https://db5.notify.windows.com/?token=a%2bb&amp;x=1</ChannelUri>",
            )
        ),
        headers={"Content-Type": ENTRY},
    ),
    Sent(
        what="create a template registration",
        source="[NET] section 5.4, WnsHeaders",
        method="POST",
        path="/h1/registrations?api-version=2015-04",
        body=entry(
            described(
                "WindowsTemplateRegistrationDescription",
                "<Tags>news</Tags><ChannelUri>https://db5.notify.windows.com/?token=a</ChannelUri>"
                "<BodyTemplate><![CDATA[<toast><text>$(m)</text></toast>]]></BodyTemplate><WnsHeaders><WnsHeader>"
                "<Header>X-WNS-Type</Header><Value>wns/toast</Value></WnsHeader></WnsHeaders>"
                "<TemplateName>t</TemplateName>",
            )
        ),
        headers={"Content-Type": ENTRY},
    ),
]
DOTNET = [
    Sent(
        what="CreateRegistrationAsync",
        source="[NET] section 5.1, a root that names its kind in i:type, members that are nil",
        method="POST",
        path="/h1/registrations?api-version=2020-06",
        body=(
            f'<entry xmlns="{ATOM}"><content type="application/xml"><RegistrationDescription'
            f' i:type="AppleRegistrationDescription" xmlns="{SB}" xmlns:i="{XSI}"><ETag i:nil="true"/>'
            '<RegistrationId i:nil="true"/><Tags>news</Tags><DeviceToken>AABB</DeviceToken>'
            "</RegistrationDescription></content></entry>"
        ),
        headers={"Content-Type": ENTRY, "TrackingId": "0e1ae6c3-4c2d-4a3c-9a04-1a1b6cbb0f9f"},
    ),
    Sent(
        what="CreateOrUpdateRegistrationAsync",
        source="[REC] section 5.2, an id of its own",
        method="PUT",
        path="/h1/registrations/123-234-1?api-version=2020-06",
        body=entry(described("AppleRegistrationDescription", "<DeviceToken>AABB</DeviceToken>")),
        headers={"Content-Type": ENTRY},
    ),
    Sent(
        what="CreateOrUpdateInstallationAsync",
        source="[NET] section 6.1, nulls",
        method="PUT",
        path="/h1/installations/n-1?api-version=2020-06",
        body=(
            '{"installationId":"n-1","userId":null,"pushChannel":"AABB","pushChannelExpired":null,"platform":"apns",'
            '"expirationTime":null,"tags":["t"],"templates":null}'
        ),
        headers={"Content-Type": "application/json"},
    ),
    Sent(
        what="PatchInstallationAsync",
        source="[NET] section 6.6",
        method="PATCH",
        path="/h1/installations/n-1?api-version=2020-06",
        body='[{"op":"add","path":"/tags","value":"u"},{"op":"remove","path":"/tags/t"}]',
        headers={"Content-Type": "application/json-patch+json"},
    ),
    Sent(
        what="SendNotificationAsync",
        source="[REC] section 7.1, an Apple expiry",
        method="POST",
        path="/h1/messages?api-version=2020-06",
        body=APS,
        headers={
            "Content-Type": "application/json",
            "ServiceBusNotification-Format": "apple",
            "ServiceBusNotification-Tags": "t || u",
            "ServiceBusNotification-Apns-Expiry": "01/31/2030 16:05:06",
        },
        status=201,
    ),
    Sent(
        what="SendDirectNotificationAsync to many",
        source="[REC] section 7.4, a boundary in quotes",
        method="POST",
        path="/h1/messages/$batch?direct&api-version=2020-06",
        body=(
            "--nh-batch-multipart-boundary\r\nContent-Type: application/json\r\n"
            f"Content-Disposition: inline; name=notification\r\n\r\n{APS}\r\n--nh-batch-multipart-boundary\r\n"
            'Content-Type: application/json\r\nContent-Disposition: inline; name=devices\r\n\r\n["AABB","CCDD"]\r\n'
            "--nh-batch-multipart-boundary--\r\n"
        ),
        headers={
            "Content-Type": 'multipart/mixed; boundary="nh-batch-multipart-boundary"',
            "ServiceBusNotification-Format": "apple",
        },
        status=201,
    ),
    Sent(
        what="GetRegistrationsByChannelAsync",
        source="[NET] section 5.6, ChannelUri for each platform",
        method="GET",
        path="/h1/registrations?$filter=ChannelUri%20eq%20'AABB'&$top=100&api-version=2020-06&test",
    ),
    Sent(
        what="DeleteInstallationAsync",
        source="[NET] section 4.4",
        method="DELETE",
        path="/h1/installations/n-1?api-version=2020-06",
        status=204,
    ),
]
JAVA = [
    Sent(
        what="upsertRegistration, a template of Windows",
        source="[JAVA] section 5.1, an end of WnsHeaders that never began, a bare ampersand",
        method="PUT",
        path="/h1/registrations/4-2-3?api-version=2020-06",
        body=entry(
            described(
                "WindowsTemplateRegistrationDescription",
                "<ChannelUri>https://db5.notify.windows.com/?token=b&x=1</ChannelUri>"
                "<BodyTemplate><![CDATA[<toast><text>$(m)</text></toast>]]></BodyTemplate></WnsHeaders>",
            )
        ),
        headers={"Content-Type": "application/atom+xml"},
    ),
    Sent(
        what="createRegistration for FCM v1",
        source="[JAVA] section 5.4",
        method="POST",
        path="/h1/registrations?api-version=2020-06",
        body=entry(described("FcmV1RegistrationDescription", "<FcmV1RegistrationId>t2</FcmV1RegistrationId>")),
        headers={"Content-Type": "application/atom+xml"},
    ),
    Sent(
        what="sendNotification, Apple with headers",
        source="[JAVA] section 7.1, the format is dropped",
        method="POST",
        path="/h1/messages?api-version=2020-06",
        body=APS,
        headers={"Content-Type": "application/json;charset=utf-8", "apns-priority": "5", "apns-push-type": "alert"},
        status=201,
    ),
    Sent(
        what="sendNotification to a browser's format",
        source="[JAVA] section 7.1",
        method="POST",
        path="/h1/messages?api-version=2020-06",
        body=orjson.dumps({"title": "hi"}).decode(),
        headers={"Content-Type": "application/json;charset=utf-8", "ServiceBusNotification-Format": "browser"},
        status=201,
    ),
]
CLIENTS = {
    ("iOS, replayed", "legacy and 3.x"): IOS,
    ("Android, replayed", "legacy and 1.x"): ANDROID,
    ("UWP, replayed", "Microsoft.Azure.NotificationHubs.Client"): UWP,
    (".NET, replayed", "4.2.0"): DOTNET,
    ("Java, replayed", "1.1.0"): JAVA,
}


async def test_requests_of_other_clients_are_answered_as_they_expect(tmp_path: Path) -> None:
    clock = FakeClock()
    current = []
    for (name, version), requests in CLIENTS.items():
        path = tmp_path / name.partition(",")[0]
        path.mkdir()
        async with (
            hub_at_work(path / "hub.db", clock) as at_work,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(at_work.app),
                base_url="https://ns.example",
                headers={"Authorization": signed("full", clock)},
            ) as client,
        ):
            for sent in requests:
                answer = await client.request(sent.method, sent.path, content=sent.body, headers=sent.headers)
                assert answer.status_code == sent.status, (name, sent.what, answer.text)
        called = [Called(each.what, "", each.source) for each in requests]
        current.append(write(name, version, called))
    assert all(current), "docs/compatibility.md was not current: look at it, and commit it"
