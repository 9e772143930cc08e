"""The pages of dead letters in a real browser: found, read, replayed after a dry run, dropped, and back to the list."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bridge.app import Daemon
from hub.acceptance import DeadLetter, Ingest
from tests.bridge.chromium import Page, chromium
from tests.bridge.test_console import HOSTILE, post, running
from tests.bridge.test_console_layout import COMPOUND, CONTROLS, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, RTL, UNTITLED
from tests.bridge.test_console_page import texts

pytestmark = pytest.mark.browser

TOKEN = "only-for-this-test"
RULES = """
rules:
  - { name: joined, push: { to: "team:hr", with: { text: "{{ data.id }} joined" } } }
hubs: { app: {} }
hub_api: { listen: "127.0.0.1:0" }
"""
SIZES = [(1280, 900), (390, 844)]


def letter(number: int, **changes: Any) -> DeadLetter:
    given = {"source": "hr", "event_id": f"e{number}", "rule": "joined", "stage": "rule", "reason": "render"}
    said = {"detail": "data.team is missing", "body": f"ann{number} joined".encode(), "config_hash": "c0ffee"}
    return DeadLetter(**{**given, **said, "revision": "main/1", "headers": {"x-id": f"h{number}"}, **changes})


@asynccontextmanager
async def opened(directory: Path, *letters: DeadLetter, token: str = TOKEN) -> AsyncIterator["Reader"]:
    async with running(directory, token=token, more=RULES) as (daemon, client), chromium(directory / "p") as page:
        await daemon.store.accept([Ingest(source="hr", event_id="", dead_letters=letters)], start=0)
        yield Reader(daemon, page, str(client.base_url).rstrip("/"))


class Reader:
    """An operator at the page."""

    def __init__(self, daemon: Daemon, page: Page, url: str) -> None:
        self.daemon = daemon
        self.page = page
        self.url = url

    async def open(self, path: str, **more: Any) -> None:
        await self.page.open(self.url + path, headers={"authorization": f"Bearer {TOKEN}"}, **more)
        shown = "[...document.querySelectorAll('#list, #one')].some((part) => !part.hidden)"
        await self.page.wait_for(shown)

    async def click(self, selector: str) -> None:
        await self.page.evaluate(f"document.querySelector({selector!r}).click()")

    async def said(self, selector: str) -> str:
        (text,) = await self.page.evaluate(texts(selector))
        return str(text)

    async def ids(self) -> list[str]:
        return list(await self.page.evaluate(texts("#letters .id")))

    async def address(self) -> str:
        return str(await self.page.evaluate("location.pathname + location.search"))

    async def review(self, button: str) -> None:
        """Until the dialog knows whether there is something to do."""
        await self.click(button)
        await self.page.wait_for("document.querySelector('#review').open && !document.querySelector('#do').disabled")

    async def act(self) -> str:
        """Press the dialog's button; what the list says then."""
        await self.click("#do")
        await self.page.wait_for("!document.querySelector('#notice').hidden && !document.querySelector('#list').hidden")
        return await self.said("#notice")


async def test_letters_are_found_by_filters_and_parts_and_the_address_says_which(tmp_path: Path) -> None:
    many = [letter(n, reason="map" if n < 60 else "render", rule="" if n % 2 else "joined") for n in range(120)]
    async with opened(tmp_path, *many) as reader:
        await reader.open("/dead-letters?reason=map")
        assert await reader.ids() == [f"e{n}" for n in range(59, 9, -1)]
        await reader.click("#older")
        await reader.page.wait_for("document.querySelector('#letters .id').textContent === 'e9'")
        assert await reader.ids() == [f"e{n}" for n in range(9, -1, -1)]
        await reader.page.evaluate("history.back()")
        await reader.page.wait_for("document.querySelector('#letters .id').textContent === 'e59'")
        await reader.page.evaluate("document.querySelector('[name=rule]').value = 'joined'")
        await reader.click("#search button.button:not(.quiet)")
        await reader.page.wait_for("document.querySelector('#letters .id').textContent === 'e58'")
        assert len(await reader.ids()) == 30
        assert await reader.address() == "/dead-letters?reason=map&rule=joined"
        await reader.click("#clear")
        await reader.page.wait_for("document.querySelector('#letters .id').textContent === 'e119'")
        await reader.open("/dead-letters?reason=none")
        assert "reason none is open" in await reader.said("#empty")


async def test_a_letter_is_read_tried_replayed_and_the_reader_is_back_where_he_came_from(tmp_path: Path) -> None:
    async with opened(tmp_path, *(letter(n, reason="ab"[n % 2], owner="team-hr") for n in range(6))) as reader:
        await reader.open("/dead-letters?reason=b")
        await reader.click("#letters .id")
        await reader.page.wait_for("!document.querySelector('#one').hidden")
        shown = " ".join(await reader.page.evaluate(texts("#one :is(h2, .cause, dd, pre, ol)")))
        for fact in (
            "Dead letter 6",
            "data.team is missing",
            "hr",
            "e5",
            "main/1",
            "c0ffee",
            "h5",
            "ann5 joined",
            "team-hr",
        ):
            assert fact in shown
        assert "Not replayed yet." in shown
        await reader.review("#replay-one")
        change = await reader.said("#changes")
        for part in ("accepted", "new", "rule joined, hub app, to team:hr"):
            assert part in " ".join(change.split())
        assert (await reader.daemon.store.notifications(limit=9)).items == []
        await reader.page.evaluate("document.querySelector('#actor').value = 'Zoë'")
        assert await reader.act() == "Replayed: 1 accepted; 1 new notification."
        assert await reader.address() == "/dead-letters?reason=b"
        assert await reader.ids() == ["e3", "e1"]
        assert len((await reader.daemon.store.notifications(limit=9)).items) == 1
        (row,) = (await reader.daemon.store.audit(limit=9)).items
        assert (row.entry.actor, row.entry.action, row.entry.target) == ("Zoë", "dead_letter.replay", "6")
        await reader.open("/dead-letters/6?reason=b")
        assert "accepted by Zoë" in " ".join((await reader.said("#replays")).split())
        assert await reader.page.evaluate("document.querySelector('#replay-one').disabled") is True


async def test_what_would_fail_again_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, letter(1, body=b"nonsense", rule="", reason="decode")) as reader:
        await reader.open("/dead-letters/1")
        await reader.click("#replay-one")
        await reader.page.wait_for("!document.querySelector('#changes').hidden")
        assert "nothing would be pushed" in await reader.said("#review-text")
        assert "fails again" in await reader.said("#changes")
        assert await reader.page.evaluate("document.querySelector('#do').disabled") is True
        assert (await reader.daemon.store.letter(1)).replays == []


async def test_those_that_are_chosen_are_dropped_after_a_question(tmp_path: Path) -> None:
    async with opened(tmp_path, *(letter(n) for n in range(3))) as reader:
        await reader.open("/dead-letters?source=hr")
        for box in (1, 2):
            await reader.page.evaluate(f"document.querySelectorAll('.letter input')[{box}].click()")
        await reader.review("#drop-chosen")
        assert await reader.said("#review-title") == "Drop 2 dead letters?"
        assert len((await reader.daemon.store.letters(limit=9)).items) == 3
        assert await reader.act() == "Dropped: 2."
        assert (await reader.ids(), await reader.address()) == (["e2"], "/dead-letters?source=hr")


async def test_without_a_token_the_page_says_why_it_changes_nothing_and_shows_no_body(tmp_path: Path) -> None:
    async with opened(tmp_path, letter(1), token="") as reader:
        await reader.open("/dead-letters/1")
        assert "listeners.admin.auth" in await reader.said("#body-note")
        assert await reader.page.evaluate("document.querySelector('#body').hidden") is True
        await reader.click("#replay-one")
        await reader.page.wait_for("!document.querySelector('#review-trouble').hidden")
        assert "set listeners.admin.auth" in await reader.said("#review-trouble")


async def test_a_letter_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.page.open(reader.url + "/dead-letters/7", headers={"authorization": f"Bearer {TOKEN}"})
        await reader.page.wait_for("!document.querySelector('#trouble').hidden")
        assert await reader.said("#trouble") == "dead letter 7 not found"


HOSTILES = [
    letter(
        number,
        event_id=text,
        rule=text[:200],
        reason="render",
        detail=text,
        body=text.encode("utf-8", "replace"),
        headers={text[:500] or "x": text},
        source="hr",
        revision=text[:60],
    )
    for number, text in enumerate(
        [HOSTILE, f"<script>{HOSTILE}</script>", RTL, CONTROLS.replace("\ud800", ""), COMPOUND, "x" * 5000, "y " * 2000]
    )
]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_hostile_letters_are_text_in_their_places(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path, *HOSTILES) as reader:
        await reader.open("/dead-letters", size=size)
        await assert_tidy(reader.page)
        for number, given in enumerate(HOSTILES, 1):
            await reader.open(f"/dead-letters/{number}?source={quote(HOSTILE)}", size=size)
            await assert_tidy(reader.page, reads="#one")
            if given.detail in (HOSTILE, HOSTILES[1].detail):
                assert await reader.said("#body") == await reader.said("#cause") == given.detail
        await reader.click("#replay-one")
        await reader.page.wait_for("!document.querySelector('#changes').hidden")
        await assert_tidy(reader.page)


async def assert_tidy(page: Page, *, reads: str = "#list") -> None:
    """No markup from a letter, nothing outside the page, nothing on top of anything else."""
    assert (
        await page.evaluate("document.querySelectorAll('main img, main script, dialog img, dialog script').length") == 0
    )
    assert await page.evaluate(UNTITLED) == []
    assert await page.evaluate(OUTSIDE.replace("'.devices,", "'.body, .devices,")) == []
    assert await page.evaluate(PAGE_SCROLLS) is False
    if not await page.evaluate("document.querySelector('#review').open"):
        assert await page.evaluate(OVERLAPS.replace("'.devices,", "'.body, .devices,")) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_every_text_of_the_pages_stands_out(color_scheme: str, tmp_path: Path) -> None:
    async with opened(tmp_path, letter(1), letter(2, body=b"?")) as reader:
        for path in ("/dead-letters", "/dead-letters/1", "/dead-letters?reason=none"):
            await reader.open(path, color_scheme=color_scheme)
            assert await reader.page.evaluate(FAINT) == {}
        await reader.open("/dead-letters/1", color_scheme=color_scheme)
        await reader.review("#replay-one")
        assert await reader.page.evaluate(FAINT) == {}


async def test_an_event_that_became_a_dead_letter_leads_to_it(tmp_path: Path) -> None:
    rules = RULES.replace("data.id }} joined", "data.team }}")
    async with running(tmp_path, more=rules) as (_, client), chromium(tmp_path / "p") as page:
        await post(client, "Anna joined")
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#recent-events .end a[href]')")
        await page.evaluate("document.querySelector('#recent-events .end a').click()")
        await page.wait_for("document.querySelector('#letters .id')?.textContent === 'Anna'")
        address = "/dead-letters?source=hr&rule=joined&reason=render"
        assert await page.evaluate("location.pathname + location.search") == address
