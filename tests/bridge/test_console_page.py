"""The page in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bridge.chromium import Page, chromium
from tests.bridge.demo_process import running_demo
from tests.bridge.test_console import HOSTILE, post, running


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
        await page.wait_for("document.querySelectorAll('#trail > li [data-tone=good].chip').length >= 3")
        await page.wait_for("document.querySelectorAll('.banner').length >= 9")  # six from HTTP, three from Service Bus
        phones = await page.evaluate(texts(".device figcaption strong"))
        assert sorted(phones) == ["Anna's PC", "Anna's iPhone", "Ben's Android", "Maria's Android", "Maria's PC"]
        iphone = '[aria-label="Notifications on Anna\'s iPhone"] .title'
        assert set(await page.evaluate(texts(iphone))) == {"Welcome", "Card debit CHF 720.55", "HR"}
        toast = '[aria-label="Notifications on Anna\'s PC"] .title'
        assert "HR" in await page.evaluate(texts(toast))
        way = await page.evaluate(texts("#trail > li:last-child [data-part]:not([data-part=time])"))
        assert [text for text in way if text] == [
            *("hr", "12345/joined", "hr.employee.joined"),
            "".join(await page.evaluate(texts("#trail > li:last-child .way"))),
            *("employee-joined", "team:hr", "3"),
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
