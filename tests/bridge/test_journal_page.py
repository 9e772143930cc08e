"""The pages of the journal in a real browser: the list, why a push came or did not, and the ways that lead there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bridge.admin.console.phones import Phone
from bridge.app import Daemon
from tests.bridge.chromium import Page, chromium
from tests.bridge.test_admin_api import phone
from tests.bridge.test_console import HOSTILE, post, running
from tests.bridge.test_console_layout import COMPOUND, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, RTL, UNTITLED
from tests.bridge.test_console_page import texts

pytestmark = pytest.mark.browser

TOKEN = "only-for-this-test"
RULES = """
  bank:
    http: { path: /in/bank }
    decode: { format: text, pattern: "(?P<id>.+) joined" }
    map: { id: "{{ data.id }}", type: joined }
rules:
  - { name: joined, when: 'data.id != "bob"', push: { to: "team:hr", with: { title: "{{ data.id }} joined" } } }
  - { name: broken, when: 'data.id == "eve"', push: { to: everyone, with: { title: "{{ data.team }}" } } }
hubs: { app: {} }
hub_api: { listen: "127.0.0.1:0" }
"""
SIZES = [(1280, 900), (390, 844)]
OUT_OF_BOXES = OUTSIDE.replace("'.devices,", "'.body, .seen dd, .devices,")
OVER_OTHERS = OVERLAPS.replace("'.devices,", "'.body, .seen dd, .devices,")


class Reader:
    """An operator at the page."""

    def __init__(self, daemon: Daemon, page: Page, client: httpx.AsyncClient) -> None:
        self.daemon, self.page, self.client = daemon, page, client

    async def open(self, path: str, **more: Any) -> None:
        url = str(self.client.base_url).rstrip("/") + path
        await self.page.open(url, headers={"authorization": f"Bearer {TOKEN}"}, **more)
        await self.page.wait_for("['list', 'one', 'trouble'].some((id) => !document.getElementById(id).hidden)")

    async def click(self, selector: str, until: str) -> None:
        await self.page.evaluate(f"document.querySelector({selector!r}).click()")
        await self.page.wait_for(until)

    async def said(self, selector: str) -> str:
        return " ".join(" ".join(await self.page.evaluate(texts(selector))).split())

    async def ids(self) -> list[str]:
        return list(await self.page.evaluate(texts("#entries .id")))

    async def address(self) -> str:
        return str(await self.page.evaluate("location.pathname + location.search"))


@asynccontextmanager
async def opened(directory: Path, *events: str, token: str = TOKEN) -> AsyncIterator[Reader]:
    async with (
        running(directory, token=token, more=RULES) as (daemon, client),
        chromium(directory / "p") as page,
    ):
        await daemon.hub.store.put_installations("app", [phone("in", "team:hr"), phone("out", "team:it")])
        client.headers["authorization"] = f"Bearer {TOKEN}"
        for event in events:
            await post(client, f"{event} joined")
        yield Reader(daemon, page, client)


ONE = "!document.querySelector('#one').hidden"


async def test_why_is_three_clicks_from_a_phone_and_the_address_carries_the_device(tmp_path: Path) -> None:
    async with opened(tmp_path, "ann", "bob") as reader:
        await reader.open("/events?device=out")
        assert await reader.ids() == ["bob", "ann"]
        await reader.click("#entries li:last-child .id", ONE)
        assert await reader.address() == "/events/ann?source=hr&device=out"
        assert "its tags do not match the audience; not met: team:hr." in await reader.said("#notifications")
        assert "On device out" in await reader.said("#notifications")
        await reader.page.evaluate("document.querySelector('#ask input').value = 'none'")
        await reader.page.evaluate("document.querySelector('#ask input').focus()")
        await reader.page.press("Enter")
        await reader.page.wait_for("document.querySelector('#notifications').textContent.includes('no device')")
        assert "The hub app has no device none" in await reader.said("#notifications")
        assert await reader.address() == "/events/ann?source=hr&device=none"


async def test_events_of_a_device_alone_are_listed_where_they_are_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path, "ann", "bob") as reader:
        answer = await reader.client.get("/api/v1/journal", params={"installation": "in"})
        assert [each["id"] for each in answer.json()["items"]] == ["ann"]  # bob fired no rule
        assert (await reader.client.get("/api/v1/journal", params={"installation": "out"})).json()["items"] == []
        await reader.open("/events?device=in&which=device")
        assert await reader.ids() == ["ann"]
        await reader.open("/events?device=out&which=device")
        assert await reader.said("#empty") == "No such event is kept."


async def test_an_event_that_no_rule_matched_shows_each_condition_with_its_place_and_value(tmp_path: Path) -> None:
    async with opened(tmp_path, "bob") as reader:
        await reader.open("/events/bob")
        rules = await reader.said("#rules")
        for part in ("joined not matched", "rules[0].when", "Wanted: data.id != 'bob'", '= "bob"'):
            assert part in rules
        assert '"id": "bob"' in await reader.said("#data")
        assert "no match" in await reader.said("#one-title")


async def test_without_the_admin_token_values_are_withheld_and_kinds_are_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, "bob", token="") as reader:
        await reader.open("/events/bob")
        assert "is a text of 3 characters" in await reader.said("#rules")
        assert "listeners.admin.auth" in await reader.said("#data-note")
        assert await reader.page.evaluate("document.querySelector('#data').hidden") is True
        trace = (await reader.client.get("/api/v1/events/bob/trace")).json()
        assert (trace["data"], trace["meta"], trace["values_kept"]) == (None, None, True)


async def test_the_list_is_found_by_outcome_and_time_part_by_part(tmp_path: Path) -> None:
    async with opened(tmp_path, *(f"e{n}" for n in range(60)), "bob") as reader:
        await reader.open("/events?outcome=accepted")
        assert await reader.ids() == [f"e{n}" for n in range(59, 9, -1)]
        await reader.click("#older", "document.querySelector('#entries .id').textContent === 'e9'")
        assert await reader.ids() == [f"e{n}" for n in range(9, -1, -1)]
        at = (await reader.client.get("/api/v1/journal", params={"id": "e30"})).json()["items"][0]["received_at"]
        until = (await reader.client.get("/api/v1/journal", params={"until": at, "limit": 3})).json()["items"]
        assert [event["id"] for event in until] == ["e30", "e29", "e28"]
        early = datetime.now(UTC) - timedelta(days=1)
        await reader.open(f"/events?until={early:%Y-%m-%dT%H:%M}")
        assert await reader.said("#empty") == "No such event is kept."


async def test_two_sources_with_one_id_are_a_list_to_choose_from(tmp_path: Path) -> None:
    async with opened(tmp_path, "ann") as reader:
        while (await reader.client.post("/in/bank", content="ann joined")).status_code == 503:
            await asyncio.sleep(0.01)
        await reader.open("/events/ann?device=in")
        assert "say which" in await reader.said("#notice")
        assert await reader.said("#entries .source") == "bank hr"
        await reader.click("#entries li:last-child .id", ONE)
        assert await reader.address() == "/events/ann?source=hr&device=in"


IDS = ["a/b", "..", ".", "%2F", "/", "a?b#c", "ünï☃", "x" * 1000, HOSTILE, RTL, "a b+c&d=e", "-"]


async def test_every_id_has_an_address_that_leads_to_its_event(tmp_path: Path) -> None:
    async with opened(tmp_path, *IDS) as reader:
        for row, id_ in enumerate(reversed(IDS), 1):
            await reader.open("/events")
            await reader.click(
                f"#entries li:nth-child({row}) .id", f"{ONE} || !document.querySelector('#trouble').hidden"
            )
            await reader.open(await reader.address())
            assert f'"id": "{id_[:5]}' in (await reader.said("#data")).replace("[U+202E]", "\u202e"), id_


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_hostile_events_are_text_in_their_places(size: tuple[int, int], tmp_path: Path) -> None:
    hostile = [HOSTILE, f"<script>{HOSTILE}</script>", RTL, "a\x1b[31mb\x07c", COMPOUND, ("y " * 500).strip(), "eve"]
    async with opened(tmp_path, *hostile) as reader:
        await reader.open("/events", size=size)
        await assert_tidy(reader.page)
        for id_ in hostile:
            await reader.open(f"/events/{quote(id_, safe='')}?device={quote(HOSTILE)}", size=size)
            assert await reader.page.evaluate(ONE.lstrip("!").replace("hidden", "hidden === false"))
            await assert_tidy(reader.page)
        await reader.open(f"/events/{quote(HOSTILE * 40, safe='')}", size=size)
        await assert_tidy(reader.page)


async def assert_tidy(page: Page) -> None:
    """No markup from an event, nothing outside the page, nothing on top of anything else."""
    assert await page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    assert await page.evaluate(UNTITLED) == []
    assert await page.evaluate(OUT_OF_BOXES) == []
    assert await page.evaluate(PAGE_SCROLLS) is False
    assert await page.evaluate(OVER_OTHERS) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_every_text_of_the_pages_stands_out(color_scheme: str, tmp_path: Path) -> None:
    async with opened(tmp_path, "ann", "bob", "eve") as reader:
        for path in ("/events", "/events/ann?device=in", "/events/bob", "/events/eve?device=out", "/events/none"):
            await reader.open(path, color_scheme=color_scheme)
            assert await reader.page.evaluate(FAINT) == {}


class OnePhone:
    def phones(self) -> Sequence[Phone]:
        return [Phone(id="a&b", name="Ann's", platform="apns", user="ann", tags=[], screen=[])]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


async def test_a_phone_leads_to_the_events_with_its_id(tmp_path: Path) -> None:
    async with running(tmp_path, more=RULES, phones=OnePhone()) as (_, client), chromium(tmp_path / "p") as page:
        await post(client, "ann joined")
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('.device figcaption a')")
        await page.evaluate("document.querySelector('.device figcaption a').click()")
        await page.wait_for("document.querySelector('#entries .id')")
        assert await page.evaluate("location.pathname + location.search") == "/events?device=a%26b"
        assert await page.evaluate("document.querySelector('#search [name=device]').value") == "a&b"


async def test_recent_events_and_dead_letters_lead_to_their_event(tmp_path: Path) -> None:
    async with opened(tmp_path, "eve") as reader:
        url = str(reader.client.base_url).rstrip("/")
        await reader.page.open(url, headers={"authorization": f"Bearer {TOKEN}"})
        await reader.page.wait_for("document.querySelector('#recent-events .id[href]')")
        assert (
            await reader.page.evaluate("document.querySelector('#recent-events .id').href")
            == f"{url}/events/eve?source=hr"
        )
        (letter,) = (await reader.daemon.store.letters(limit=2)).items
        await reader.open(f"/dead-letters/{letter.id}")
        await reader.page.wait_for("document.querySelector('#facts a')")
        assert await reader.page.evaluate("document.querySelector('#facts a').href") == f"{url}/events/eve?source=hr"
