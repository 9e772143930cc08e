"""The strip of health in a real browser: what is in trouble is said at once, and sends of the hub API are shown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.app import Daemon
from bridge.check import check
from bridge.console.routes import console
from bridge.reload import Reloader
from hub.errors import StoreError
from hub.notification import NativeContent, Platform
from hub.store.base import AcceptanceResult
from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.bridge.chromium import Page, chromium
from tests.bridge.examples import section
from tests.bridge.test_app import HUB_KEY, Bench, configuration
from tests.bridge.test_console_page import Proxy
from tests.hub.examples import installation, notification
from tests.ports import free_ports

STATE = "document.querySelector('#connection').textContent"
KINDS = "[...document.querySelectorAll('#kinds > li')].map((one) => one.textContent.trim())"
TROUBLES = "[...document.querySelectorAll('#troubles > li')].map((one) => one.textContent.replace(/\\s+/g, ' ').trim())"
IS_GREEN = "document.querySelectorAll('#kinds > [data-tone=good]').length"


class Place:
    """A daemon with one hub for FCM, its files, and whatever a test does to them."""

    def __init__(self, directory: Path, services: PushServices) -> None:
        self.directory = directory
        self.services = services
        self.file = directory / "c.yaml"
        self.file.write_text("\n".join(configuration(services)))
        settings, problems = check(self.file, {})
        assert settings is not None, problems
        self.daemon = Daemon(
            settings,
            console=console,
            reload=lambda daemon: Reloader(self.file, daemon, config_hash="", told=daemon.reloaded),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        url = "http://{}:{}"
        async with self.daemon.running():
            address = url.format(*self.daemon.admin.address)
            async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
                yield Bench(self.daemon, client)

    async def reload(self) -> None:
        assert self.daemon.reloader is not None
        await self.daemon.reloader.reload()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "sandbox").mkdir()
    async with PushServices(tmp_path / "sandbox") as services:
        yield Place(tmp_path, services)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with chromium(tmp_path / "profile") as page:
        yield page


async def broker_down(place: Place, bench: Bench) -> None:
    (port,) = free_ports(1)
    queue = {"amqp": {"url": f"amqp://127.0.0.1:{port}", "queue": {"name": "orders"}}}
    mapped = {**queue, "map": {"id": "{{ data.id }}", "type": "order"}}
    cloud = {"http": {"path": "/in/cloud", "format": "cloudevents"}}
    place.file.write_text(
        "\n".join([*configuration(place.services)[:3], section("sources", {"orders": mapped, "cloud": cloud})])
    )
    await place.reload()


async def push_service_down(place: Place, bench: Bench) -> None:
    await place.services.__aexit__(None, None, None)
    phones = [installation(f"phone-{number}", "all", templates=False) for number in range(30)]
    await place.daemon.hub.put_installations("app", phones)
    await place.daemon.hub.send(notification(hub="app", content=NativeContent(platform=Platform.FCM, payload=b"{}")))


async def store_fails(place: Place, bench: Bench) -> None:
    async def accept(*arguments: Any, **named: Any) -> AcceptanceResult:
        raise StoreError("disk I/O error")

    place.daemon.store.accept = accept  # type: ignore[method-assign]
    posting = asyncio.create_task(bench.post("Eve joined sales"))
    posting.add_done_callback(lambda task: task.cancelled() or task.exception())


async def reload_refused(place: Place, bench: Bench) -> None:
    place.file.write_text(place.file.read_text().replace("push:", "puhs:"))
    await place.reload()


async def service_refuses_us(place: Place, bench: Bench) -> None:
    place.daemon.hub.bulkheads["app", Platform.FCM].doubt.reason = "SENDER_ID_MISMATCH for nearly every phone"


ROWS: dict[str, tuple[Callable[[Place, Bench], Awaitable[None]], str, tuple[str, ...]]] = {
    # what happens, the strip's words, words of the line that names the cause
    "a broker is down": (broker_down, "Sources 1 of 2 down: orders", ("Source orders", "not connected", "refused")),
    "a push service is down": (
        push_service_down,
        "Push services 1 of 1 in trouble: app/FCM",
        ("Push service app/FCM", "breaker open", "since", "next try"),
    ),
    "a push service refuses us": (
        service_refuses_us,
        "Push services 1 of 1 in trouble: app/FCM",
        ("Push service app/FCM", "refused", "SENDER_ID_MISMATCH"),
    ),
    "the store fails": (store_fails, "Store failing", ("Store", "accept: disk I/O error", "since")),
    "a reload is refused": (
        reload_refused,
        "Configuration refused",
        ("Configuration", "mistakes, which the log names", "since", "puhs: unknown key"),
    ),
}


@pytest.mark.parametrize("happens, said, told", ROWS.values(), ids=ROWS)
async def test_what_is_in_trouble_is_said_at_once_with_cause_and_time(
    page: Page,
    place: Place,
    happens: Callable[[Place, Bench], Awaitable[None]],
    said: str,
    told: tuple[str, ...],
) -> None:
    async with place.running() as bench:
        await page.open(str(bench.client.base_url))
        await page.wait_for(f"{STATE} === 'live'")
        assert await page.evaluate(TROUBLES) == []
        await happens(place, bench)
        await page.wait_for(f"{KINDS}.includes({said!r})")
        assert await page.evaluate(STATE) == "1 in trouble"
        assert await page.evaluate("document.title") == "1 in trouble – pushbridge"
        (line,) = await page.evaluate(TROUBLES)
        for words in told:
            assert words in line
        announced = await page.evaluate("document.querySelector('[role=status]#announcement').textContent")
        assert announced == said.replace(" ", ": ", 1).replace("Push: services", "Push services:") + "."


async def test_what_is_mended_is_well_again_without_a_reload(page: Page, place: Place) -> None:
    async with place.running() as bench:
        before = place.file.read_text()
        await reload_refused(place, bench)
        await page.open(str(bench.client.base_url))
        await page.wait_for(f"{STATE} === '1 in trouble'")
        place.file.write_text(before)
        await page.wait_for(f"{STATE} === 'live'")
        assert await page.evaluate(TROUBLES) == []


async def test_without_a_connection_nothing_is_green_and_the_page_says_since_when(page: Page, place: Place) -> None:
    async with place.running() as bench, Proxy(bench.client.base_url.port) as proxy:
        await page.open(f"http://127.0.0.1:{proxy.port}/")
        await page.wait_for(f"{STATE} === 'live'")
        assert await page.evaluate(IS_GREEN) == 4
        proxy.is_backend_away = True
        await proxy.hang_up()
        await page.wait_for(f"{STATE} === 'reconnecting'")
        assert await page.evaluate(IS_GREEN) == 0
        (line,) = await page.evaluate(TROUBLES)
        assert line.startswith(
            "This page no connection the daemon does not answer; what stands here is from before since"
        )
        proxy.is_backend_away = False
        await page.wait_for(f"{STATE} === 'live'")
        assert await page.evaluate(IS_GREEN) == 4


async def test_a_connection_that_leads_nowhere_is_given_up(page: Page, place: Place) -> None:
    async with place.running() as bench, Proxy(bench.client.base_url.port) as proxy:
        await page.open(f"http://127.0.0.1:{proxy.port}/")
        await page.wait_for(f"{STATE} === 'live'")
        proxy.stall()
        await page.wait_for(f"{STATE} === 'reconnecting'")
        proxy.flow()
        await page.wait_for(f"{STATE} === 'live'")


PUT_TOGETHER = '{"title": "hello"}'
SENDS = {
    # headers of the send, body, and what the page shows: type, expression, audience, pushed, outcome
    "template to a tag": (
        {"ServiceBusNotification-Format": "template", "ServiceBusNotification-Tags": "team:hr"},
        PUT_TOGETHER,
        ["template send", "team:hr", "1", "FCM 1", "1 Success"],
    ),
    "native to an expression": (
        {"ServiceBusNotification-Format": "fcmv1", "ServiceBusNotification-Tags": "team:hr && !left"},
        '{"message": {"notification": {"title": "hello"}}}',
        ["native fcmv1 send", "team:hr && !left", "1", "FCM 1", "1 Success"],
    ),
    "direct to one phone": (
        {"ServiceBusNotification-Format": "template", "ServiceBusNotification-Tags": "$InstallationId:{anna}"},
        PUT_TOGETHER,
        ["template send", "$InstallationId:{anna}", "1", "FCM 1", "1 Success"],
    ),
    "a broadcast": (
        {"ServiceBusNotification-Format": "template"},
        PUT_TOGETHER,
        ["template send", "everyone", "1", "FCM 1", "1 Success"],
    ),
    "for nobody": (
        {"ServiceBusNotification-Format": "template", "ServiceBusNotification-Tags": "team:it"},
        PUT_TOGETHER,
        ["template send", "team:it", "nobody", "", "NoTargetFound"],
    ),
}


@pytest.mark.parametrize("headers, body, shown", SENDS.values(), ids=SENDS)
async def test_a_send_of_the_hub_api_is_shown_from_receipt_to_outcome(
    page: Page, place: Place, headers: dict[str, str], body: str, shown: list[str]
) -> None:
    anna = place.services.add_phone("anna", "fcmv1")
    async with place.running() as bench:
        await bench.register(anna, "team:hr")
        assert place.daemon.api is not None
        url = "http://{}:{}/app".format(*place.daemon.api.address)
        expires_at = datetime.now(UTC) + timedelta(minutes=5)
        token = shared_access_signature(url, key_name="Full", key=HUB_KEY, expires_at=expires_at)
        await page.open(str(bench.client.base_url))
        await page.wait_for(f"{STATE} === 'live'")
        for _ in range(2):  # the second is known by its key
            answer = await bench.client.post(
                f"{url}/messages/",
                content=body,
                headers={"authorization": token, "content-type": "application/json", "idempotency-key": "1", **headers},
            )
            assert answer.status_code == 201, answer.text
        notification_id = answer.headers["location"].rpartition("/")[2].split("?")[0][:32]

        def text(part: str, row: str = "last-child") -> str:
            return f"(document.querySelector('#trail > li:{row} [data-part={part}]')?.textContent ?? '')"

        await page.wait_for(f"{text('outcome')} === {shown[-1]!r}")
        parts = ("type", "expression", "audience", "pushed", "outcome")
        assert [await page.evaluate(text(part)) for part in parts] == shown
        assert await page.evaluate(text("source")) == "hub API"
        assert await page.evaluate(text("id")) == notification_id
        assert await page.evaluate(text("hub")) == "hub app"
        await page.wait_for(f"{text('word', 'first-child')} === 'seen before'")
        await page.evaluate("document.querySelector('[data-end=send]').click()")
        assert await page.evaluate("document.querySelectorAll('#trail > li:not([hidden])').length") == 2


async def test_the_list_stands_still_on_request_and_health_goes_on(page: Page, place: Place) -> None:
    async with place.running() as bench:
        await page.open(str(bench.client.base_url))
        await page.wait_for(f"{STATE} === 'live'")
        await page.evaluate("document.querySelector('#pause').click()")
        await bench.post("Eve joined sales")
        await page.wait_for("document.querySelector('#pause').textContent === 'Resume, 1 new'")
        assert await page.evaluate("document.querySelectorAll('#trail > li').length") == 0
        await service_refuses_us(place, bench)
        await page.wait_for(f"{STATE} === '1 in trouble'")
        await page.evaluate("document.querySelector('#pause').click()")
        await page.wait_for("document.querySelectorAll('#trail > li').length === 1")
        assert await page.evaluate("document.querySelector('#pause').textContent") == "Pause"
