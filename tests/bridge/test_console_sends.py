"""Sends of the hub API, and what becomes of notifications, as the list of recent events in a real browser shows them."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.admin.console.routes import console
from bridge.admin.health import Part
from bridge.app import Daemon
from hub.facts import AudienceFound, NotificationUnreached, PushesDeferred, PushesEnded, RemoteAnswered, SendAccepted
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, Unreached
from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.bridge.chromium import Page, chromium
from tests.bridge.examples import read, take
from tests.bridge.test_app import HUB_KEY, configuration
from tests.bridge.test_app import running as running_bench
from tests.bridge.test_console import running
from tests.hub.examples import notification

pytestmark = pytest.mark.browser

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TITLE = '{"title": "hello"}'
NATIVE = '{"message": {"notification": {"title": "hello"}}}'


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with chromium(tmp_path / "profile") as page:
        yield page


def text(part: str) -> str:
    return f"(document.querySelector('#recent-events > li [data-part={part}]')?.textContent.trim() ?? '')"


SENDS = {
    # format, tags, body; type, expression, audience, pushed, outcome
    "template to a tag": (("template", "team:hr", TITLE), ("template", "team:hr", "1", "FCM 1", "1 Success")),
    "native to an expression": (
        ("fcmv1", "team:hr && !left", NATIVE),
        ("native fcmv1", "team:hr && !left", "1", "FCM 1", "1 Success"),
    ),
    "to one phone": (
        ("template", "$InstallationId:{anna}", TITLE),
        ("template", "$InstallationId:{anna}", "1", "FCM 1", "1 Success"),
    ),
    "a broadcast": (("template", "", TITLE), ("template", "everyone", "1", "FCM 1", "1 Success")),
    "for nobody": (("template", "team:it", TITLE), ("template", "team:it", "nobody", "", "NoTargetFound")),
}


@pytest.mark.parametrize(("send", "shown"), SENDS.values(), ids=SENDS)
async def test_a_send_of_the_hub_api_is_shown_once_from_receipt_to_outcome(
    page: Page, tmp_path: Path, send: tuple[str, str, str], shown: tuple[str, ...]
) -> None:
    (tmp_path / "sandbox").mkdir()
    format_name, tags, body = send
    async with (
        PushServices(tmp_path / "sandbox") as services,
        running_bench(Daemon(read(tmp_path, *configuration(services)), console=console)) as bench,
    ):
        await bench.register(services.add_phone("anna", "fcmv1"), "team:hr")
        assert bench.daemon.api is not None
        url = "http://{}:{}/app".format(*bench.daemon.api.address)
        expires_at = datetime.now(UTC) + timedelta(minutes=5)
        headers = {
            "authorization": shared_access_signature(url, key_name="Full", key=HUB_KEY, expires_at=expires_at),
            "content-type": "application/json",
            "idempotency-key": "1",
            "ServiceBusNotification-Format": format_name,
        }
        await page.open(str(bench.client.base_url))
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        for _ in range(2):  # the second is known by its key
            answer = await bench.client.post(
                f"{url}/messages/",
                content=body,
                headers=headers | ({"ServiceBusNotification-Tags": tags} if tags else {}),
            )
            assert answer.status_code == 201, answer.text
        await page.wait_for(f"{text('outcome')} === {shown[-1]!r}")
        parts = ("type", "expression", "audience", "pushed", "outcome")
        assert tuple([await page.evaluate(text(part)) for part in parts]) == shown
        assert (await page.evaluate(text("source")), await page.evaluate(text("hub"))) == ("hub API", "hub app")
        assert await page.evaluate(text("id")) == answer.headers["location"].rpartition("/")[2][:32]
        assert await page.evaluate("document.querySelectorAll('#recent-events > li').length") == 1


def pushes_fail(daemon: Daemon, sent: Notification) -> None:
    take(daemon.recent_events, AudienceFound(notification=sent, counts={Platform.APNS: 3}))
    take(
        daemon.recent_events,
        PushesEnded(
            notification=sent,
            platform=Platform.APNS,
            outcomes={OutcomeName.WRONG_TOKEN: 3},
            reason="DeviceTokenNotForTopic",
            seconds=0.1,
        ),
    )


def pushes_wait(daemon: Daemon, sent: Notification) -> None:
    take(daemon.recent_events, AudienceFound(notification=sent, counts={Platform.APNS: 3}))
    take(
        daemon.recent_events,
        PushesDeferred(notification=sent, platform=Platform.APNS, reason="ServiceUnavailable", due_at=NOW.timestamp()),
    )


def two_services_wait(daemon: Daemon, sent: Notification) -> None:
    take(daemon.recent_events, AudienceFound(notification=sent, counts={Platform.APNS: 3, Platform.WNS: 1}))
    take(
        daemon.recent_events,
        PushesDeferred(notification=sent, platform=Platform.WNS, reason="HTTP 500", due_at=NOW.timestamp()),
    )
    take(
        daemon.recent_events,
        PushesDeferred(notification=sent, platform=Platform.APNS, reason="BadTopic", due_at=NOW.timestamp()),
    )


def nobody_is_reached(daemon: Daemon, sent: Notification) -> None:
    take(daemon.recent_events, AudienceFound(notification=sent, counts={}))
    take(daemon.recent_events, NotificationUnreached(notification=sent, why=Unreached.NO_TEMPLATE))


def waits_for_a_hub_elsewhere(daemon: Daemon, sent: Notification) -> None:
    take(
        daemon.recent_events,
        PushesDeferred(notification=sent, platform=None, reason="503 from elsewhere", due_at=NOW.timestamp()),
    )


def refused_by_a_hub_elsewhere(daemon: Daemon, sent: Notification) -> None:
    take(
        daemon.recent_events,
        RemoteAnswered(
            notification=sent, outcome=OutcomeName.INVALID_NOTIFICATION_FORMAT, reason="400: no template", due_at=None
        ),
    )


def taken_by_a_hub_elsewhere(daemon: Daemon, sent: Notification) -> None:
    take(daemon.recent_events, RemoteAnswered(notification=sent, outcome=OutcomeName.SUCCESS, reason="", due_at=None))


WAYS: list[tuple[Callable[[Daemon, Notification], None], str, str, str, str]] = [
    # what happens; the row's tone, audience, outcome, and what the reason says
    (pushes_fail, "bad", "3", "3 WrongToken", "DeviceTokenNotForTopic"),
    (pushes_wait, "waiting", "3", "APNs waits", "ServiceUnavailable; next try "),
    (two_services_wait, "waiting", "4", "WNS waitsAPNs waits", "WNS: HTTP 500, next try "),
    (nobody_is_reached, "quiet", "nobody", "NoTargetFound", "these phones have registered no template"),
    (waits_for_a_hub_elsewhere, "waiting", "remote", "hub waits", "503 from elsewhere; next try "),
    (refused_by_a_hub_elsewhere, "bad", "remote", "1 InvalidNotificationFormat", "400: no template"),
    (taken_by_a_hub_elsewhere, "good", "remote", "1 Success", ""),
]


@pytest.mark.parametrize(
    ("happens", "tone", "audience", "outcome", "reason"), WAYS, ids=[way[0].__name__ for way in WAYS]
)
async def test_what_became_of_a_notification_is_shown_with_its_reason(
    page: Page,
    tmp_path: Path,
    happens: Callable[[Daemon, Notification], None],
    tone: str,
    audience: str,
    outcome: str,
    reason: str,
) -> None:
    sent = notification("vip")
    async with running(tmp_path) as (daemon, client):
        take(daemon.recent_events, SendAccepted(notification=sent))
        happens(daemon, sent)
        await page.open(str(client.base_url))
        await page.wait_for(f"{text('outcome')} === {outcome!r}")
        assert await page.evaluate(text("audience")) == audience
        assert (await page.evaluate(text("reason"))).startswith(reason)
        assert bool(await page.evaluate(text("reason"))) is bool(reason)
        assert await page.evaluate("document.querySelector('#recent-events > li').dataset.tone") == tone


async def test_the_list_stands_still_on_request_and_health_goes_on(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [Part(kind="store")]
    async with running(tmp_path) as (daemon, client):
        monkeypatch.setattr(daemon, "health", lambda: parts)
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        await page.evaluate("document.querySelector('#pause').click()")
        take(daemon.recent_events, SendAccepted(notification=notification()))
        await page.wait_for("document.querySelector('#pause').textContent === 'Resume, 1 new'")
        assert await page.evaluate("document.querySelectorAll('#recent-events > li').length") == 0
        parts = [Part(kind="store", ok=False, state="failing")]
        await page.wait_for("document.querySelector('#connection').textContent === '1 in trouble'")
        await page.evaluate("document.querySelector('#pause').click()")
        await page.wait_for("document.querySelectorAll('#recent-events > li').length === 1")
        assert await page.evaluate("document.querySelector('#pause').textContent") == "Pause"
