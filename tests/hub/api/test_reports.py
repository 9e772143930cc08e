"""Reports of installations over the wire, by a key with Listen."""

from typing import Any

import httpx
import pytest

from hub.errors import CapacityError
from hub.phone_report import MOST_REPORTS, PhoneEvent, PhoneReport
from tests.fakes.hub_service import FakeHubService
from tests.hub.api.signing import token

PUSH = "0123456789abcdef0123456789abcdef"
OPENED = {"push": PUSH, "event": "opened"}
DOCUMENT = {"installationId": "i1", "platform": "apns", "pushChannel": "aabb"}


async def post(client: httpx.AsyncClient, *reports: Any, rule: str = "listen", **more: Any) -> httpx.Response:
    body = {"installationId": "i1", "reports": list(reports), **more}
    return await client.post("/h1/reports", json=body, headers={"Authorization": token(rule)})


async def test_reports_are_taken_with_a_key_that_listens(client: httpx.AsyncClient, service: FakeHubService) -> None:
    await client.put("/h1/installations/i1", json=DOCUMENT)
    acted = {"push": PUSH.upper(), "event": "acted", "action": "pay"}
    answer = await post(client, OPENED, acted)
    assert (answer.status_code, answer.json()) == (200, {"reports": [{"outcome": "accepted"}] * 2})
    assert service.reported == [
        (
            "h1",
            "i1",
            [
                PhoneReport(notification_id=PUSH, event=PhoneEvent.OPENED),
                PhoneReport(notification_id=PUSH, event=PhoneEvent.ACTED, action="pay"),
            ],
        )
    ]
    assert (await post(client, OPENED, rule="send")).status_code == 403
    assert (await client.post("/h1/reports", json={}, headers={"Authorization": ""})).status_code == 401
    assert (await post(client, OPENED, installationId="i2")).status_code == 404
    service.failure = CapacityError("too often", retry_after=2.0)
    refused = await post(client, OPENED)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ([], f"reports: a list of 1 to {MOST_REPORTS} reports"),
        ([OPENED] * (MOST_REPORTS + 1), f"reports: a list of 1 to {MOST_REPORTS} reports"),
        (["opened"], "reports[0]: an object is needed"),
        ([OPENED, {"event": "opened"}], "reports[1].push: the 32 hex digits"),
        ([{"push": PUSH[1:], "event": "opened"}], "reports[0].push"),
        ([{"push": PUSH, "event": "seen"}], "reports[0].event: one of received, opened, acted"),
        ([{"push": PUSH, "event": ["opened"]}], "reports[0].event"),
        ([{"push": PUSH, "event": "acted"}], "reports[0].action: 1 to 64 letters"),
        ([{"push": PUSH, "event": "acted", "action": "a" * 65}], "reports[0].action"),
        ([{"push": PUSH, "event": "acted", "action": "pay now"}], "reports[0].action"),
        ([{**OPENED, "action": "pay"}], "reports[0].action: only the event acted"),
        ([{**OPENED, "at": "2026-01-01T00:00:00Z"}], "reports[0]: &apos;at&apos; is no member"),
    ],
)
async def test_a_report_that_cannot_be_is_refused_with_its_place(
    client: httpx.AsyncClient, service: FakeHubService, reports: list[Any], said: str
) -> None:
    await client.put("/h1/installations/i1", json=DOCUMENT)
    answer = await post(client, *reports)
    assert answer.status_code == 400
    assert said in answer.text.replace("&#x27;", "&apos;").replace("'", "&apos;")
    assert service.reported == []


async def test_other_members_missing_ids_and_long_bodies_are_refused(
    client: httpx.AsyncClient, service: FakeHubService
) -> None:
    await client.put("/h1/installations/i1", json=DOCUMENT)
    assert "is no member; there is" in (await post(client, OPENED, time=1)).text
    assert "installationId: a text is needed" in (await post(client, OPENED, installationId=1)).text
    assert (await post(client, OPENED, padding="x" * 20_000)).status_code == 413
    assert service.reported == []
