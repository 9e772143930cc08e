"""The service worker of the documentation in a real browser: it shows what a hub sends, declarative or not."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.platforms.webpush.payload import message_of
from tests.bridge.chromium import Page, chromium

pytestmark = pytest.mark.browser

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "web-push.md"
NAVIGATE = "https://app.example.com/inbox"

ACTIVATED = """navigator.serviceWorker.register('/sw.js').then(({ installing, active }) => new Promise((resolve) => {
    const worker = installing ?? active
    const look = () => worker.state === 'activated' && resolve(1)
    worker.addEventListener('statechange', look)
    look()
}))"""
"""Chromium drops a push for a service worker that is being activated."""


DROPPED_AFTER = 2.0
"""Seconds after which a message that shows nothing is delivered again: Chromium drops one now and then that comes by its
protocol for developers, of three runs one (measured)."""


def documented_worker() -> str:
    found = re.search(r"<!-- sw\.js:.*?-->\n```js\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A site with one page and the service worker, at the address that browsers trust without TLS."""
    files = {"/": ("text/html", "<title>bank</title>"), "/sw.js": ("text/javascript", documented_worker())}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        kind, text = files.get(head.split()[1].decode(), ("text/plain", ""))
        fields = f"content-type: {kind}\r\ncontent-length: {len(text.encode())}\r\nconnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def shown(page: Page, site: str, message: bytes) -> list[dict[str, Any]]:
    """What is on the screen after a message, once there is something more."""
    listed = """navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((all) => JSON.stringify(
        all.map(({ title, body, tag, data }) => ({ title, body, tag, data }))))"""
    loop = asyncio.get_running_loop()
    before = now = json.loads(await page.evaluate(listed))
    async with asyncio.timeout(40):
        while now == before:
            await page.deliver_push(site, message.decode())
            again = loop.time() + DROPPED_AFTER
            while now == before and loop.time() < again:
                now = json.loads(await page.evaluate(listed))
                await asyncio.sleep(0.02)
    found: list[dict[str, Any]] = now
    return found


async def test_the_documented_service_worker_shows_what_a_hub_sends(site: str, tmp_path: Path) -> None:
    async with chromium(tmp_path) as page:
        await page.open(f"{site}/")
        await page.allow_notifications(site)
        await page.evaluate(ACTIVATED)
        bare = {"title": "Deposit", "body": "0 EUR", "tag": "", "data": {}}
        left_alone = message_of(b'{"title":"Deposit","body":"0 EUR"}', declarative=False)
        assert await shown(page, site, left_alone) == [bare]
        flat = b'{"title":"Deposit","body":"1 EUR"}'
        deposit = {"title": "Deposit", "body": "1 EUR", "tag": "a", "data": {"navigate": NAVIGATE}}
        found = await shown(page, site, message_of(flat, tag="a", navigate=NAVIGATE))
        assert sorted(found, key=str) == sorted([bare, deposit], key=str)
        inner = b'{"notification":{"title":"Card","body":"2 EUR","data":{"id":7}}}'
        found = await shown(page, site, message_of(inner, tag="a", navigate=NAVIGATE))
        card = {"title": "Card", "body": "2 EUR", "tag": "a", "data": {"id": 7, "navigate": NAVIGATE}}
        assert sorted(found, key=str) == sorted([bare, card], key=str)  # the one before with its tag is replaced
