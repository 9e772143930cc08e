"""The pages of devices in a real browser: found, read with what they were sent, and sent a test after its preview."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hub.acceptance import Ingest
from hub.installation import Template
from hub.phone_report import USUAL_POLICY, PhoneEvent, PhoneReport
from tests.bridge.chromium import chromium
from tests.bridge.test_console import HOSTILE, running
from tests.bridge.test_console_layout import COMPOUND, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, RTL, UNTITLED
from tests.bridge.test_console_page import texts
from tests.bridge.test_dead_letters_page import SIZES, TOKEN, Reader
from tests.bridge.test_sends_page import HUB, WITH_CREDENTIAL
from tests.hub.examples import installation, notification

pytestmark = pytest.mark.browser

ODD_IDS = ("a/b", "a%2Fb", "?x=1&y#z", HOSTILE)
UNLABELLED = """[...document.querySelectorAll('input, select, button, a, summary')]
  .filter((each) => each.getClientRects().length)
  .filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute('aria-label')))
  .map((each) => each.outerHTML)"""
"""What can be operated and does not say what it is."""


@asynccontextmanager
async def opened(directory: Path, *, token: str = TOKEN) -> AsyncIterator[tuple[Reader, httpx.AsyncClient]]:
    async with (
        running(directory, token=token, more=WITH_CREDENTIAL) as (daemon, client),
        chromium(directory / "p") as page,
    ):
        client.headers["authorization"] = f"Bearer {token}"
        ann = replace(
            installation("Ann-1", "team:hr", "vip"),
            user_id="ann@example.org",
            push_channel="fcm:ann-12345678",
            push_variables={"name": "Ann"},
            templates={"hello": Template(body='{"message":{"notification":{"title":"$(title)","body":"$(name)"}}}')},
        )
        await daemon.hub.put_installations(HUB, [ann, installation("bob", "team:hr"), installation("ann-2")])
        yield Reader(daemon, page, str(client.base_url).rstrip("/")), client


SEARCHES = {
    "all": ("/devices", ["Ann-1", "ann-2", "bob"]),
    "id": ("/devices?for=ANN", ["Ann-1", "ann-2"]),
    "user": ("/devices?hub=APP&by=user&for=ann@example.org", ["Ann-1"]),
    "tag": ("/devices?by=tag&for=team:hr+%26%26+!vip", ["bob"]),
    "handle": ("/devices?by=handle&for=12345678", ["Ann-1"]),
    "nothing": ("/devices?by=handle&for=00000000", []),
}


@pytest.mark.parametrize(("address", "expected"), SEARCHES.values(), ids=SEARCHES)
async def test_devices_are_found_by_id_user_tags_and_the_end_of_a_handle(
    address: str, expected: list[str], tmp_path: Path
) -> None:
    async with opened(tmp_path) as (reader, _):
        await reader.open(address)
        assert await reader.page.evaluate(texts("#devices .id")) == expected
        assert await reader.page.evaluate("document.querySelector('#empty').hidden") is bool(expected)


async def test_a_search_of_the_form_is_in_the_address(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, _):
        await reader.open("/devices")
        await reader.page.evaluate("document.querySelector('[name=by]').value = 'tag'")
        await reader.page.evaluate("document.querySelector('[name=for]').value = 'vip'")
        await reader.click("#search button.button:not(.quiet)")
        await reader.page.wait_for("document.querySelectorAll('#devices > li').length === 1")
        assert await reader.address() == "/devices?hub=app&by=tag&for=vip"
        await reader.page.evaluate("document.querySelector('[name=for]').value = 'vip &&'")
        await reader.click("#search button.button:not(.quiet)")
        await reader.page.wait_for("!document.querySelector('#trouble').hidden")
        assert (await reader.said("#trouble")).startswith("tag, column ")


async def test_a_search_a_device_and_a_preview_are_operated_by_keys_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, _):
        page = reader.page
        await reader.open("/devices")
        await page.evaluate("document.querySelector('[name=for]').value = 'bob'")
        await page.evaluate("document.querySelector('[name=for]').focus()")
        await page.press("Enter")
        await page.wait_for("document.querySelectorAll('#devices > li').length === 1")
        await page.evaluate("document.querySelector('#devices .id').focus()")
        assert await page.evaluate("getComputedStyle(document.activeElement, '::after').outlineStyle") == "solid"
        await page.press("Enter")
        await page.wait_for("document.activeElement.id === 'one-title'")
        await page.evaluate("document.querySelector('#new summary').focus()")
        await page.press("Enter")
        await page.wait_for("document.querySelector('#new').open")
        await page.evaluate("document.querySelector('#send [name=title]').focus()")
        await page.press("Enter")
        await page.wait_for("!document.querySelector('#preview').hidden")
        assert await reader.said("#reach") == "It would make 1 push: FCM 1."
        assert not (await reader.daemon.store.notifications(limit=5)).items


async def test_a_device_says_what_it_has_and_what_it_was_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, _):
        sent = notification("vip", hub=HUB, rule="joined", source="hr")
        await reader.daemon.hub.accept([Ingest(source="hr", event_id="e", notifications=[sent])])
        await reader.open("/devices?for=ann")
        await reader.click("#devices .id")
        await reader.page.wait_for("!document.querySelector('#one').hidden")
        assert await reader.address() == "/devices/app/Ann-1?for=ann"
        while not await reader.page.evaluate(texts("#received > li")):
            await reader.open("/devices/app/Ann-1?for=ann")
        opened_it = PhoneReport(notification_id=sent.id, event=PhoneEvent.OPENED)
        await reader.daemon.hub.store.add_reports(HUB, "Ann-1", [opened_it], USUAL_POLICY)
        await reader.open("/devices/app/Ann-1?for=ann")
        await reader.page.wait_for("document.querySelector('#received [data-part=said]:not([hidden])')")
        assert (await reader.said("#received [data-part=said]")).startswith("The phone said: opened ")
        facts = await reader.said("#facts")
        for fact in ("ann@example.org", "never", "team:hr, vip", "Push variablesname"):
            assert fact in facts
        assert "fcm:ann-12345678" not in await reader.page.evaluate("document.body.textContent")
        assert await reader.page.evaluate(texts("#registrations tbody th")) == ["native", "hello"]
        assert await reader.page.evaluate(texts("#templates h4")) == ["hello"]
        assert "rule joined" in await reader.said("#received .head")
        assert '"body": "[name]"' in await reader.said("#received pre")
        assert "[name]" in await reader.said("#received .look .banner .body")
        await reader.page.open(
            f"{reader.url}/events/{sent.id}?device=Ann-1", headers={"authorization": f"Bearer {TOKEN}"}
        )
        await reader.page.wait_for("document.querySelector('.device-answer .look .banner')")
        assert "[name]" in await reader.said(".device-answer .look .banner .body")
        await reader.open("/devices/app/Ann-1?for=ann")
        await reader.click("#back")
        await reader.page.wait_for("!document.querySelector('#list').hidden")
        assert await reader.address() == "/devices?for=ann"


async def test_a_test_is_previewed_sent_to_one_phone_and_audited(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, _):
        await reader.open("/devices/app/Ann-1")
        assert await reader.page.evaluate("document.querySelector('#go').disabled") is True
        await reader.page.evaluate("document.querySelector('#new').open = true")
        await reader.page.evaluate("document.querySelector('#send [name=title]').value = 'Hello'")
        await reader.page.evaluate("document.querySelector('#actor').value = 'Eve'")
        await reader.click("#send .buttons button")
        await reader.page.wait_for("!document.querySelector('#preview').hidden")
        assert await reader.said("#reach") == "It would make 1 push: FCM 1."
        await reader.click("#go")
        await reader.page.wait_for("!document.querySelector('#notice').hidden")
        assert await reader.said("#notice") == "It is on its way."
        (sent,) = (await reader.daemon.store.notifications(limit=5)).items
        assert sent.audience == "$InstallationId:{Ann-1}"
        (row,) = (await reader.daemon.store.audit(limit=5)).items
        assert (row.entry.actor, row.entry.action, row.entry.target) == ("Eve", "notification.send", sent.id)


async def test_a_test_asks_for_the_token_and_for_our_own_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, client):
        path, body = f"/api/v1/hubs/{HUB}/notifications", {"device": "Ann-1", "properties": {"title": "x"}}
        elsewhere = await client.post(path, json=body, headers={"origin": "https://elsewhere.example"})
        assert (elsewhere.status_code, elsewhere.json()["detail"]) == (403, "not from another site")
        del client.headers["authorization"]
        assert (await client.post(path, json=body)).status_code == 401
        assert not (await reader.daemon.store.notifications(limit=5)).items


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_hostile_devices_are_text_in_their_places(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path) as (reader, _):
        body = f'{{"message":{{"notification":{{"title":"$(title)","body":"{COMPOUND * 3} {HOSTILE}"}}}}}}'
        odd = [
            replace(
                installation(id, *(f"t{n}:{'x' * 60}" for n in range(20))),
                user_id=f"{RTL} {COMPOUND}",
                templates={COMPOUND: Template(body=body)},
            )
            for id in ODD_IDS
        ]
        await reader.daemon.hub.put_installations(HUB, odd)
        for id in ODD_IDS:
            await reader.open(f"/devices?for={httpx.QueryParams({'': id})}".replace("for==", "for="), size=size)
            assert await reader.page.evaluate(texts("#devices .id")) == [id]
            await _looks_right(reader)
            await reader.click("#devices .id")
            await reader.page.wait_for("!document.querySelector('#one').hidden")
            assert f"Device {id}" in await reader.said("#one-title")
            await reader.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            await _looks_right(reader)


async def _looks_right(reader: Reader) -> None:
    assert await reader.page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    for complaint in (OUTSIDE, OVERLAPS, UNTITLED, UNLABELLED):
        assert await reader.page.evaluate(complaint) == []
    assert await reader.page.evaluate(PAGE_SCROLLS) is False
    assert await reader.page.evaluate(FAINT) == {}
