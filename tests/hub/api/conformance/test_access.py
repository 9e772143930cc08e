"""Authentication and routing: cases 1 to 21 of the wire contract through the whole API, and what keeps hubs apart."""

import base64
import re
from urllib.parse import quote

import httpx

from tests.hub.api.conformance.conftest import H2_KEY, Service, signed
from tests.hub.api.signing import KEY, OTHER_KEY, sign

LISTED = "/h1/registrations/?api-version=2020-06&$filter=deviceToken%20eq%20%27AABB%27"
URI = "https://ns.example/h1/registrations/?api-version=2020-06&$filter=devicetoken eq 'aabb'"


def spelled(
    service: Service,
    sr: str,
    *,
    name: str = "full",
    key: bytes = KEY.encode(),
    order: str = "sr sig se skn",
    seconds: int = 3600,
    signed_as: str | None = None,
    safe: str = "",
) -> dict[str, str]:
    """A header with `sr` as it stands; `signed_as` where another text is signed."""
    expiry = int(service.clock()) + seconds
    sig = quote(sign(key, f"{sr if signed_as is None else signed_as}\n{expiry}"), safe=safe)
    fields = {"sr": sr, "sig": sig, "se": str(expiry), "skn": name}
    return {"Authorization": "SharedAccessSignature " + "&".join(f"{each}={fields[each]}" for each in order.split())}


def lower(text: str) -> str:
    return quote(text, safe="").lower()


ROOT = "https%3A%2F%2Fns.example%2F"


async def answer_to(service: Service, headers: dict[str, str], path: str = LISTED) -> httpx.Response:
    return await service.client.get(path, headers=headers)


async def test_1_to_3_10_to_12_a_token_that_does_not_hold_is_a_401_with_its_kind(service: Service) -> None:
    for headers, kind in (
        ({"Authorization": ""}, "MissingToken"),
        (spelled(service, ROOT, key=b"wrong"), "InvalidSignature"),
        (spelled(service, ROOT, seconds=-3600), "ExpiredToken"),
        (spelled(service, ROOT, signed_as="https://ns.example/"), "InvalidSignature"),
        (spelled(service, ROOT, key=base64.b64decode("c2VjcmV0")), "InvalidSignature"),
        (spelled(service, lower("https://ns.example/h2")), "InvalidAudience"),
    ):
        answer = await answer_to(service, headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/xml; charset=utf-8"
        assert answer.text.startswith(f"<Error><Code>401</Code><Detail>{kind}: ")


async def test_4_to_9_13_14_the_token_of_every_sdk_is_taken(service: Service) -> None:
    for name, headers in {
        "JavaScript": spelled(service, ROOT),
        ".NET": spelled(service, "http%3a%2f%2fns.example%2fh1%2fregistrations%2f"),
        "Java": spelled(service, lower(URI)),
        "Python 1": spelled(service, lower("https://ns.example/h1"), order="sig se skn sr", safe="/"),
        "iOS": spelled(service, lower(URI.replace("https", "http"))),
        "Python 2": spelled(service, "sb%3A%2F%2Fns.example%2F"),
        "encoded name": spelled(service, ROOT, name="Full%20Key"),
        "raw name": spelled(service, ROOT, name="Full Key"),
        "secondary key": spelled(service, ROOT, key=OTHER_KEY.encode()),
    }.items():
        assert (await answer_to(service, headers)).status_code == 200, name
    port = spelled(service, "http%3a%2f%2fns.example%2fh1%2fregistrations%2f")
    assert (await answer_to(service, port, f"https://ns.example:8443{LISTED}")).status_code == 200


async def test_15_to_17_a_token_may_do_what_its_policy_says(service: Service, client: httpx.AsyncClient) -> None:
    body = {"platform": "apns", "pushChannel": "aabb"}
    for policy, method, path, status in (
        ("listen", "POST", "/h1/messages", 403),
        ("send", "PUT", "/h1/installations/i1", 403),
        ("listen", "PUT", "/h1/installations/i1", 200),
        ("listen", "GET", "/h1/installations/i1", 200),
    ):
        answer = await client.request(method, path, json=body, headers={"Authorization": signed(policy, service.clock)})
        assert (answer.status_code, "retry-after" in answer.headers) == (status, False)


async def test_19_a_hub_that_is_not_there_is_a_404(service: Service, client: httpx.AsyncClient) -> None:
    answer = await client.get("/nohub/registrations", headers={"Authorization": signed("root", service.clock)})
    assert answer.status_code == 404
    assert "<Detail>No service is hosted at the specified address.TrackingId:" in answer.text


async def test_20_21_answers_can_be_traced_and_paths_are_read_in_any_case(
    service: Service, client: httpx.AsyncClient
) -> None:
    for path in ("/h1/registrations", "/H1/Registrations/"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert re.fullmatch("[0-9a-f-]{36}", answer.headers["trackingid"])
        assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-ms-correlation-request-id"])


REQUESTS = [
    ("GET", "/registrations"),
    ("POST", "/registrations"),
    ("POST", "/registrationIDs"),
    ("PUT", "/registrations/1-1-1"),
    ("GET", "/registrations/1-1-1"),
    ("DELETE", "/registrations/1-1-1"),
    ("GET", "/tags/t/registrations"),
    ("PUT", "/installations/i1"),
    ("GET", "/installations/i1"),
    ("PATCH", "/installations/i1"),
    ("DELETE", "/installations/i1"),
    ("POST", "/messages"),
    ("POST", "/messages?direct"),
    ("POST", "/messages?test"),
    ("POST", "/messages/$batch?direct"),
    ("GET", "/messages/0"),
    ("POST", "/schedulednotifications"),
    ("DELETE", "/schedulednotifications/0"),
    ("GET", "/feedbackcontainer"),
    ("GET", "/feedback"),
    ("POST", "/jobs"),
    ("GET", "/jobs"),
    ("GET", "/jobs/0"),
]
SENDS = {"/messages", "/messages?direct", "/messages?test", "/messages/$batch?direct", "/messages/0"}


async def test_the_key_of_one_hub_does_nothing_in_another(service: Service) -> None:
    for method, path in REQUESTS:
        for hub, key in (("h2", KEY), ("h2", OTHER_KEY), ("h1", H2_KEY), ("short", H2_KEY)):
            headers = spelled(service, ROOT, key=key.encode())
            answer = await service.client.request(method, f"/{hub}{path}", headers=headers)
            assert (answer.status_code, "InvalidSignature" in answer.text) == (401, True), (method, hub, path)


async def test_a_policy_with_send_alone_sends_and_does_nothing_else(service: Service) -> None:
    headers = {"Authorization": signed("send", service.clock)}
    for method, path in REQUESTS:
        answer = await service.client.request(method, f"/h1{path}", headers=headers)
        may = path in SENDS or path.startswith("/schedulednotifications")
        assert (answer.status_code != 403) is may, (method, path)


async def test_what_is_sent_in_one_hub_reaches_no_phone_of_another(service: Service, client: httpx.AsyncClient) -> None:
    await service.put("i1", tags=["t"])
    other = spelled(service, ROOT, key=H2_KEY.encode())
    body = {"platform": "apns", "pushChannel": "CCDD", "tags": ["t"]}
    assert (await client.put("/h2/installations/i1", json=body, headers=other)).status_code == 200
    sent = await client.post(
        "/h1/messages",
        content="{}",
        headers={"ServiceBusNotification-Format": "apple", "ServiceBusNotification-Tags": "t"},
    )
    assert sent.status_code == 201, sent.text
    await service.observer.until_ended(1)
    (sender,) = [each for each in service.senders.values() if each.pushes]
    assert sender.push_channels == ["AABB"]
    id = sent.headers["location"].split("/")[5].split("?")[0]
    assert (await client.get(f"/h2/messages/{id}", headers=other)).status_code == 404
    assert (await client.get("/h1/installations/i1")).json()["pushChannel"] == "AABB"
