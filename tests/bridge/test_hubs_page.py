"""The pages of hubs in a real browser: platforms, credentials, registrations over time, and changes of the registry."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bridge.admin.health import Part
from hub.notification import Platform
from tests.bridge.chromium import chromium
from tests.bridge.test_console import running
from tests.bridge.test_console_layout import COMPOUND, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, UNTITLED
from tests.bridge.test_console_page import texts
from tests.bridge.test_dead_letters_page import RULES, SIZES, TOKEN, Reader
from tests.bridge.test_sends_page import WNS
from tests.hub.examples import installation

pytestmark = pytest.mark.browser

TWO_HUBS = RULES.replace(
    "app: {}",
    "Clients: { default: true, only_to: tester, limits: { confirm_above: 1000 }, "
    f"platforms: {{ {WNS} }} }}, staff: {{}}",
)
CAUSE = f"InvalidCredentials: the client secret has expired: {COMPOUND}"


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[tuple[Reader, httpx.AsyncClient]]:
    async with (
        running(directory, token=TOKEN, more=TWO_HUBS) as (daemon, client),
        chromium(directory / "p") as page,
    ):
        client.headers["authorization"] = f"Bearer {TOKEN}"
        phones = [installation("ann", "tester"), installation("bob", "tester", templates=False)]
        await daemon.hub.put_installations("clients", phones)
        yield Reader(daemon, page, str(client.base_url).rstrip("/")), client


def breaks(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    part = Part(
        kind="push service", name="clients/wns", ok=False, state="breaker open", detail=CAUSE, since=1.7e9, until=9e9
    )
    monkeypatch.setattr(reader.daemon, "health", lambda: [part])


async def test_a_hub_says_who_is_registered_and_what_its_credentials_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (reader, client):
        breaks(monkeypatch, reader)
        listed = (await client.get("/api/v1/hubs")).json()["items"]
        assert [hub["name"] for hub in listed] == ["clients", "staff"]
        clients = {each["platform"]: each for each in listed[0]["platforms"]}
        assert {name: each["registrations"] for name, each in clients.items()} == {"fcmv1": 3, "wns": 0}
        assert clients["fcmv1"]["credential"] is None
        assert clients["wns"]["credential"]["state"] == "breaker open"
        assert listed[0]["confirm_above"] == 1000
        assert listed[1]["platforms"] == []
        await reader.open("/hubs")
        assert await reader.page.evaluate(texts("#hubs .id")) == ["clients", "staff"]
        assert await reader.page.evaluate(texts("#hubs .chip")) == ["FCM 3: no credential", "WNS 0: breaker open"]
        assert await reader.page.evaluate("document.querySelector('#hubs > li').dataset.tone") == "bad"
        await reader.click("#hubs a")
        await reader.page.wait_for("!document.querySelector('#one').hidden")
        assert await reader.address() == "/hubs/clients"
        shown = " ".join((await reader.said("#platforms")).split())
        for fact in (
            "FCM",
            "3",
            "its pushes end as InvalidCredentials",
            "breaker open",
            "the client secret has expired",
        ):
            assert fact in shown
        assert "1,000 registrations" in await reader.said("#facts")
        await reader.click("#its-devices")
        await reader.page.wait_for("document.querySelectorAll('#devices > li').length === 2")
        await reader.open("/hubs/CLIENTS")
        assert await reader.said("#one-title") == "Hub clients"


async def test_registrations_over_time_and_changes_are_those_of_the_api(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, client):
        store = reader.daemon.store
        hub = reader.daemon.hub
        await store.tally({("clients", "put_installation"): 2, ("clients", "patch_installation"): 1})
        await hub.put_installations("clients", [installation("cid", platform=Platform.APNS, templates=False)])
        await reader.open("/hubs/clients")
        query = {"kind": "devices", "hub": "clients", "by": "hour"}
        counted = (await client.get("/api/v1/statistics", params=query)).json()["items"]
        assert [(each["platform"], each["count"]) for each in counted] == [("fcmv1", 3)]
        assert await reader.page.evaluate(texts("#over-time-figures td")) == ["FCM", "3"]
        assert await reader.page.evaluate(texts(".legend li")) == ["FCM 3"]
        assert await reader.page.evaluate("document.querySelectorAll('#over-time polyline').length") == 1
        operations = await reader.page.evaluate(texts("#operations tbody tr"))
        assert operations == ["put installation2", "patch installation1"]
        assert await reader.page.evaluate("document.querySelector('#pushes').hidden") is True
        await reader.page.evaluate("document.querySelector('#span').value = 'month'")
        await reader.page.evaluate("document.querySelector('#span').dispatchEvent(new Event('change'))")
        await reader.page.wait_for(
            f"document.querySelector('#over-time .chart-last').textContent.includes('{time.gmtime().tm_year}')"
        )
        assert await reader.address() == "/hubs/clients?span=month"
        assert await reader.page.evaluate(texts("#over-time-figures td")) == ["FCM", "3"]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_all_stands_in_its_place_and_can_be_read(
    size: tuple[int, int], color_scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (reader, _):
        breaks(monkeypatch, reader)
        await reader.daemon.store.tally({("clients", "put_installation"): 2})
        for path in ("/hubs", "/hubs/clients"):
            await reader.open(path, size=size, color_scheme=color_scheme)
            await reader.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            for complaint in (OUTSIDE, OVERLAPS, UNTITLED):
                assert await reader.page.evaluate(complaint) == []
            assert await reader.page.evaluate(PAGE_SCROLLS) is False
            assert await reader.page.evaluate(FAINT) == {}
