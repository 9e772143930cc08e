"""The page in a real browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tests.bridge.chromium import Page, chromium
from tests.bridge.demo_process import running_demo
from tests.bridge.test_console import HOSTILE, post, running
from tests.brokers.relay import Relay


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
        first = "document.querySelector('#trail > li:last-child [data-part=outcome]')"
        await page.wait_for(f"{first}?.textContent === '3 Success'")
        await page.wait_for("document.querySelectorAll('.banner').length >= 9")  # six from HTTP, three from Service Bus
        phones = await page.evaluate(texts(".device figcaption strong"))
        assert sorted(phones) == ["Anna's PC", "Anna's iPhone", "Ben's Android", "Maria's Android", "Maria's PC"]
        iphone = '[aria-label="Notifications on Anna\'s iPhone"] .title'
        await page.wait_for(f"{texts(iphone)}.includes('HR')")
        assert set(await page.evaluate(texts(iphone))) == {"Welcome", "Card debit CHF 720.55", "HR"}
        toast = '[aria-label="Notifications on Anna\'s PC"] .title'
        assert "HR" in await page.evaluate(texts(toast))
        way = await page.evaluate(texts("#trail > li:last-child [data-part]:not([data-part=time])"))
        assert [text for text in way if text] == [
            *("hr", "12345/joined", "hr.employee.joined"),
            "".join(await page.evaluate(texts("#trail > li:last-child .way"))),
            *("employee-joined", "hub demo", "team:hr", "3"),
            *await page.evaluate(texts("#trail > li:last-child [data-part=pushed]")),
            "3 Success",
        ]
        assert await page.evaluate("document.querySelector('#connection').textContent") == "live"


async def test_a_notification_appears_without_a_reload(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#connection').dataset.state === 'live'")
        assert await page.evaluate("document.querySelector('#phones').hidden") is True
        assert await page.evaluate("document.querySelector('#empty').hidden") is False
        await post(client, "Anna joined")
        await page.wait_for("document.querySelector('#trail .id')?.textContent === 'Anna'")
        assert await page.evaluate("document.querySelector('#empty').hidden") is True


async def test_a_page_that_a_proxy_told_to_go_away_comes_back_by_itself(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client), Proxy(client.base_url.port) as proxy:
        await page.open(f"http://127.0.0.1:{proxy.port}/")
        await page.wait_for("document.querySelector('#connection').textContent === 'live'")
        proxy.is_backend_away = True
        await proxy.hang_up()
        await page.wait_for("document.querySelector('#connection').textContent === 'reconnecting'")
        await proxy.refused.wait()
        proxy.is_backend_away = False
        await post(client, "Anna joined")
        await page.wait_for("document.querySelector('#trail .id')?.textContent === 'Anna'")
        assert await page.evaluate("document.querySelector('#connection').textContent") == "live"


async def test_what_scrolls_sideways_can_be_reached_by_keyboard(page: Page, tmp_path: Path) -> None:
    async with running_demo(temporary=tmp_path / "t") as demo:
        await page.open(demo.page_url, size=(390, 800))
        await page.wait_for("document.querySelector('#devices').tabIndex === 0")
        await page.open(demo.page_url, size=(1600, 900))
        await page.wait_for("document.querySelectorAll('.device').length === 5")
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

    def stall(self) -> None:
        """Keep connections open and pass nothing on."""
        self._relay.stall()

    def flow(self) -> None:
        """End of `stall`."""
        self._relay.flow()

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
        await page.wait_for("document.querySelector('#trail .id')")
        assert await page.evaluate(texts("#trail .id")) == [HOSTILE]
        assert await page.evaluate("document.querySelectorAll('#trail img').length") == 0


async def test_dead_letters_can_be_seen_alone_with_their_reason(page: Page, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await post(client, "Anna joined")
        await post(client, "nonsense")
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelectorAll('#trail > li').length === 2")
        await page.evaluate("document.querySelector('[data-end=dead_letter]').click()")
        assert await page.evaluate(texts("#trail > li:not([hidden]) .end .chip")) == ["dead letter: decode"]
        assert await page.evaluate(texts("#filter [aria-pressed=true]")) == ["Dead letters"]
