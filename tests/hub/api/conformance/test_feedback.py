"""Feedback of push services, as the wire contract's case 127 and its section 10.3 have it."""

import httpx
import pytest
from lxml import etree

from hub.notification import Platform
from tests.fakes.senders import GONE
from tests.hub.api.conformance.conftest import Service, signed


async def test_127_the_url_leads_to_what_is_dead_and_needs_no_header(
    service: Service, client: httpx.AsyncClient
) -> None:
    url = (await client.get("/h1/feedbackcontainer/")).text
    assert url.startswith("https://ns.example/h1/feedback?api-version=2020-06&sr=")
    client.headers.pop("Authorization")
    empty = await client.get(url)
    assert (empty.status_code, empty.text) == (200, "")
    client.headers["Authorization"] = signed("full", service.clock)
    await service.put("i1", tags=["t"])
    await service.put("i2", pushChannel="CCDD")
    service.senders[Platform.APNS].answer = GONE
    for channel in ("AABB", "EEFF"):  # the second one is not registered
        headers = {"ServiceBusNotification-Format": "apple", "ServiceBusNotification-DeviceHandle": channel}
        await client.post("/h1/messages?direct", content="{}", headers=headers)
    await service.observer.until_ended(2)
    client.headers.pop("Authorization")
    (line,) = (await client.get(url)).text.splitlines()
    feedback = etree.fromstring(line)
    members = {etree.QName(child).localname: child.text for child in feedback}
    assert list(members) == [
        "FeedbackTime",
        "NotificationSystemError",
        "Platform",
        "PnsHandle",
        "RegistrationId",
        "InstallationId",
    ]
    assert [members[name] for name in ("NotificationSystemError", "Platform", "PnsHandle", "InstallationId")] == [
        "ExpiredChannel",
        "apple",
        "AABB",
        "i1",
    ]


async def test_feedback_is_listed_in_parts(service: Service) -> None:
    store = service.hub.store
    for number in range(3):
        await service.put(f"i{number}", pushChannel=f"{number:04X}", tags=["t"])
    service.senders[Platform.APNS].answer = GONE
    headers = {"ServiceBusNotification-Format": "apple"}
    await service.client.post("/h1/messages", content="{}", headers=headers)
    await service.observer.until_ended(1)
    first = await store.dead_channels("h1", limit=2)
    second = await store.dead_channels("h1", after=first.next, limit=2)
    found = [each.registration.push_channel for each in (*first.items, *second.items)]
    assert (found, second.next) == (["0000", "0001", "0002"], "")


@pytest.mark.parametrize("path", ["/h1/feedbackcontainer", "/h1/feedback"])
async def test_feedback_needs_the_right_manage(service: Service, client: httpx.AsyncClient, path: str) -> None:
    for policy in ("listen", "send"):
        answer = await client.get(path, headers={"Authorization": signed(policy, service.clock)})
        assert answer.status_code == 403


async def test_a_link_is_good_for_what_it_names_for_an_hour(service: Service, client: httpx.AsyncClient) -> None:
    url = (await client.get("/h1/feedbackcontainer")).text
    client.headers.pop("Authorization")
    assert (await client.get(url.replace("/h1/feedback", "/short/feedback"))).status_code == 401
    assert (await client.get(url.replace("/h1/feedback", "/h1/registrations"))).status_code == 401
    assert (await client.get("/h1/feedback")).status_code == 401
    service.clock.advance(3600 + 301)
    assert (await client.get(url)).status_code == 401
