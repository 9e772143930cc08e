"""The page in a real browser."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from bridge.admin.health import Part
from hub.errors import StoreError
from hub.notification import Platform
from tests.bridge.chromium import Page, chromium
from tests.bridge.demo_process import running_demo
from tests.bridge.test_console import HOSTILE, post, running
from tests.brokers.relay import Relay
from tests.ports import free_ports

pytestmark = pytest.mark.browser


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with chromium(tmp_path / "profile") as page:
        yield page


def texts(selector: str) -> str:
    """An expression for the texts of all elements that fit."""
    return f"[...document.querySelectorAll({selector!r})].map((element) => element.textContent)"


async def test_the_demo_shows_its_phones_and_the_way_of_each_event(page: Page, tmp_path: Path) -> None:
    async with running_demo(temporary=tmp_path / "t") as demo:
        await page.open(demo.page_url)
        first = "document.querySelector('#recent-events > li:last-child [data-part=outcome]')"
        await page.wait_for(f"{first}?.textContent === '4 Success'")
        # seven from HTTP, four from Service Bus
        await page.wait_for("document.querySelectorAll('.banner').length >= 11")
        phones = await page.evaluate(texts(".device figcaption strong"))
        assert sorted(phones) == [
            *("Anna's PC", "Anna's iPhone", "Ben's Android", "Ben's browser", "Maria's Android", "Maria's PC")
        ]
        iphone = '[aria-label="Notifications on Anna\'s iPhone"] .title'
        assert set(await page.evaluate(texts(iphone))) == {"Welcome", "Card debit CHF 720.55", "HR"}
        for toasts in ("Anna's PC", "Ben's browser"):
            title = f'[aria-label="Notifications on {toasts}"] .title'
            assert "HR" in await page.evaluate(texts(title))
        way = await page.evaluate(texts("#recent-events > li:last-child [data-part]:not([data-part=time])"))
        assert [text for text in way if text] == [
            *("hr", "12345/joined", "hr.employee.joined"),
            "".join(await page.evaluate(texts("#recent-events > li:last-child .way"))),
            *("employee-joined", "hub demo", "team:hr", "4"),
            *await page.evaluate(texts("#recent-events > li:last-child [data-part=pushed]")),
            "4 Success",
        ]
        assert await page.evaluate("document.querySelector('#connection').textContent") == "live"


async def test_a_notification_appears_without_a_reload(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#connection').dataset.state === 'live'")
        assert await page.evaluate("document.querySelector('#phones').hidden") is True
        assert await page.evaluate("document.querySelector('#empty').hidden") is False
        await post(client, "Anna joined")
        await page.wait_for("document.querySelector('#recent-events .id')?.textContent === 'Anna'")
        assert await page.evaluate("document.querySelector('#empty').hidden") is True


async def test_a_page_that_a_proxy_told_to_go_away_comes_back_by_itself(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client), Proxy(client.base_url.port) as proxy:
        await page.open(f"http://127.0.0.1:{proxy.port}/")
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        proxy.is_backend_away = True
        await proxy.hang_up()
        await page.wait_for("document.querySelector('#connection').textContent === 'connection lost'")
        lost = await page.evaluate("document.querySelector('#lost').textContent")
        assert lost.startswith("No word from the daemon since ")
        assert await page.evaluate("document.querySelector('#news').textContent") == lost
        assert await page.evaluate("document.title") == "(!) pushbridge"
        await proxy.refused.wait()
        proxy.is_backend_away = False
        await post(client, "Anna joined")
        await page.wait_for("document.querySelector('#recent-events .id')?.textContent === 'Anna'")
        assert await page.evaluate("document.querySelector('#connection').textContent") == "live"
        assert await page.evaluate("document.querySelector('#lost').hidden") is True


async def test_a_daemon_that_hangs_and_keeps_the_connection_is_noticed(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client), Relay(client.base_url.port or 0) as relay:
        await page.open(f"http://127.0.0.1:{relay.port}/")
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        await asyncio.sleep(7)  # longer than a page waits: a quiet daemon is no silent one
        assert await page.evaluate("document.querySelector('#connection').textContent") == "live"
        relay.stall()
        await page.wait_for("document.querySelector('#connection').textContent === 'connection lost'", seconds=20)
        relay.flow()
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")  # it connected again


SINCE, UNTIL = 1.7e9, 9e9
MOMENTS = {"SINCE": SINCE, "UNTIL": UNTIL}
STORE = Part(kind="store", required=True)
SOURCE = Part(kind="source", name="orders")
OPEN = Part(
    kind="push service", name="shop/apns", ok=False, state="breaker open", detail="InvalidProviderToken", until=UNTIL
)
DOWN = replace(SOURCE, ok=False, state="degraded", detail="login refused", since=SINCE)
REFUSED = Part(
    kind="configuration", ok=False, state="refused", detail="2 mistakes", since=SINCE, mistake="c.yaml:5:2: no"
)
TROUBLES: list[tuple[list[Part], str, str]] = [
    ([STORE, DOWN], "Sources 1 of 1 down: orders", "orders: needs an operator: login refused, since SINCE"),
    ([replace(DOWN, name=f"s{n}") for n in range(5)], "Sources 5 of 5 down: s0, s1, s2 and 2 more", "and 2 more"),
    (
        [replace(SOURCE, ok=False, state="connecting", detail="refused")],
        "Sources 1 of 1 down: orders",
        "connecting: refused",
    ),
    (
        [OPEN, STORE],
        "Push services 1 of 1 in trouble: APNs of shop",
        "breaker open, nothing is sent: InvalidProviderToken",
    ),
    ([OPEN], "Push services 1 of 1 in trouble: APNs of shop", "until UNTIL"),
    ([replace(OPEN, until=1.0)], "Push services 1 of 1 in trouble: APNs of shop", "a few are tried now"),
    (
        [replace(OPEN, name="a/b/wns", state="refused")],
        "Push services 1 of 1 in trouble: WNS of a/b",
        "refused: Invalid",
    ),
    (
        [Part(kind="remote hub", name="far", ok=False, state="failing", detail="401")],
        "Remote hubs 1 of 1 in trouble: far",
        "401",
    ),
    (
        [replace(STORE, ok=False, state="failing", detail="disk full", since=SINCE)],
        "Store failing",
        "disk full, since SINCE",
    ),
    (
        [REFUSED],
        "Configuration last reload failed",
        "the one before stays in force: 2 mistakes: c.yaml:5:2: no, since SINCE",
    ),
    (
        [Part(kind="relay", name="hr", ok=False, state="failing")],
        "Dead-letter relays 1 of 1 in trouble: hr",
        "hr: failing",
    ),
    ([Part(kind="new kind", name="x", ok=False, state="failing")], "new kind 1 of 1 in trouble: x", "x: failing"),
    ([Part(kind="listener", name="api", ok=False, state="full")], "Listeners 1 of 1 in trouble: api", "api: full"),
    ([Part(kind="process", ok=False, state="stopping")], "Process stopping", "stopping"),
]


@pytest.mark.parametrize(("parts", "headline", "cause"), TROUBLES, ids=[headline for _, headline, _ in TROUBLES])
async def test_the_page_says_what_is_in_trouble_and_why_without_a_reload(
    parts: list[Part], headline: str, cause: str, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [STORE, SOURCE]
    async with running(tmp_path) as (daemon, client):
        monkeypatch.setattr(daemon, "health", lambda: told)
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        assert await page.evaluate(texts("#parts .causes > li")) == []
        told = parts
        await page.wait_for("document.querySelector('#connection').dataset.state === 'trouble'", seconds=10)
        moments = {
            name: await page.evaluate(f"new Date({at} * 1000).toLocaleDateString()") for name, at in MOMENTS.items()
        }
        for name, day in moments.items():
            cause = cause.replace(name, day)
        (strip,) = await page.evaluate(
            texts("#parts > [data-tone=bad] :is(summary, p), #parts > [data-tone=waiting] summary")
        )
        assert strip.strip() == headline
        assert cause in " | ".join(await page.evaluate(texts("#parts .causes > li")))
        news = await page.evaluate("document.querySelector('#news').textContent")  # what a screen reader says
        assert news.replace(": ", " ", 1) == headline
        count = sum(not part.ok for part in parts)
        assert await page.evaluate("document.querySelector('#connection').textContent") == f"{count} in trouble"
        told = [STORE, SOURCE]
        await page.wait_for("document.querySelector('#connection').textContent === 'live'", seconds=10)
        assert await page.evaluate(texts("#parts .causes > li")) == []


async def test_brokers_push_services_store_and_configuration_that_fail_are_all_on_the_page(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = f"""
  away:
    rabbitmq: {{ url: "amqp://127.0.0.1:{free_ports(1)[0]}", queue: {{ name: orders }} }}
hub_api: {{ listen: "127.0.0.1:0" }}
hubs:
  shop:
    access_policies: [ {{ name: Full, rights: [Send], key: canary-hub-key }} ]
    platforms: {{ wns: {{ tenant: t, client_id: c, client_secret: canary-secret }} }}
"""
    async with running(tmp_path, more=more) as (daemon, client):
        await page.open(str(client.base_url))
        await page.wait_for(
            "document.querySelector('[data-kind=source] [data-part=headline]')?.textContent.includes('away')"
        )
        assert await page.evaluate("document.querySelector('#connection').textContent") == "1 in trouble"

        async def fail(*_: object, **__: object) -> None:
            raise StoreError("database or disk is full")

        monkeypatch.setattr(daemon.store, "backlog", fail)  # counted each second, so it goes on failing
        bulkhead = daemon.hub.bulkheads["shop", Platform.WNS]
        bulkhead.closed_until, bulkhead.trouble = time.time() + 60, "InvalidProviderToken"
        (tmp_path / "c.yaml").write_text("nonsense: 1")
        await client.post("/-/reload")
        await page.wait_for("document.querySelector('#connection').textContent === '4 in trouble'", seconds=20)
        causes = await page.evaluate(texts("#parts .causes > li"))
        for expected in ("away: ", "disk is full", "WNS of shop: breaker open", "nonsense"):
            assert [cause for cause in causes if expected in cause], expected


async def test_a_list_that_somebody_opened_stays_open_and_is_reached_by_keyboard(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Part(kind="source", name=f"s{number}") for number in range(50)]
    parts = sources
    async with running(tmp_path) as (daemon, client):
        monkeypatch.setattr(daemon, "health", lambda: parts)
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#parts summary')?.textContent.includes('50 ok')")
        await page.evaluate("document.querySelector('#parts summary').focus()")
        await page.press("Enter")
        await page.wait_for("document.querySelector('#parts details').open")
        parts = [replace(DOWN, name="s7"), *sources[8:]]
        await page.wait_for(
            "document.querySelector('#parts summary').textContent.includes('1 of 43 down: s7')", seconds=10
        )
        assert await page.evaluate("document.querySelector('#parts details').open") is True
        assert await page.evaluate("document.activeElement === document.querySelector('#parts summary')") is True
        listed = await page.evaluate(texts("#parts .all > li"))
        assert (len(listed), listed[0].startswith("s7: needs an operator"), listed[1]) == (43, True, "s8: ok")


async def test_what_scrolls_sideways_can_be_reached_by_keyboard(page: Page, tmp_path: Path) -> None:
    async with running_demo(temporary=tmp_path / "t") as demo:
        await page.open(demo.page_url, size=(390, 800))
        await page.wait_for("document.querySelector('#devices').tabIndex === 0")
        await page.open(demo.page_url, size=(1600, 900))
        await page.wait_for("document.querySelectorAll('.device').length === 6")
        assert await page.evaluate("document.querySelector('#devices').tabIndex") == -1


class Proxy:
    """A reverse proxy before the daemon: while that is away it answers 502 itself."""

    def __init__(self, backend: int | None) -> None:
        self.port = 0
        self.is_backend_away = False
        self.refused = asyncio.Event()
        assert backend is not None
        self._relay = Relay(backend)

    async def __aenter__(self) -> Self:
        await self._relay.__aenter__()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        await self._relay.__aexit__(*exception)

    async def hang_up(self) -> None:
        """Break what goes through it off."""
        await self._relay.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_backend_away:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._relay.port)
            await asyncio.wait(
                [asyncio.create_task(way) for way in (_pass(reader, far_writer), _pass(far_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            far_writer.close()
        elif await reader.read(65536):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.refused.set()
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_what_an_event_holds_never_becomes_markup(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await post(client, f"{HOSTILE} joined")
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#recent-events .id')")
        assert await page.evaluate(texts("#recent-events .id")) == [HOSTILE]
        assert await page.evaluate("document.querySelectorAll('#recent-events img').length") == 0


async def test_the_page_says_which_configuration_is_in_force(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, client):
        await page.open(str(client.base_url))
        headline = "document.querySelector('[data-kind=configuration] [data-part=headline]')"
        await page.wait_for(headline)
        (said,) = await page.evaluate(texts("[data-kind=configuration] [data-part=headline]"))
        assert said.endswith(f" as {daemon.config_hash}, revision main/4f2c9e1")
        await daemon.apply(daemon.settings, config_hash="0123456789ab")
        await page.wait_for(f"{headline}.textContent.endsWith(' as 0123456789ab, revision main/4f2c9e1')")


async def test_what_was_rejected_can_be_seen_alone_with_its_reason(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await post(client, "Anna joined")
        await post(client, "nonsense")
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelectorAll('#recent-events > li').length === 2")
        await page.evaluate("document.querySelector('[data-outcome=rejected]').click()")
        assert await page.evaluate(texts("#recent-events > li:not([hidden]) .end .chip")) == ["rejected: decode"]
        assert await page.evaluate(texts("#filter [aria-pressed=true]")) == ["Rejected"]
