"""The pages of sends in a real browser: a send after its preview and confirmation, and what is held is approved."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.acceptance import Ingest
from hub.guards import AudienceGuard
from tests.bridge.chromium import chromium
from tests.bridge.test_admin_api import quiet_now
from tests.bridge.test_console import HOSTILE, running
from tests.bridge.test_console_layout import COMPOUND, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, RTL, UNTITLED
from tests.bridge.test_dead_letters_page import RULES, SIZES, TOKEN, Reader
from tests.hub.examples import installation, notification

pytestmark = pytest.mark.browser

HUB = "app"
WNS = 'wns: { tenant: t, client_id: c, client_secret: s, token_url: "https://127.0.0.1:1/token" }'
WITH_CREDENTIAL = RULES.replace("app: {}", f"app: {{ platforms: {{ {WNS} }} }}")


@asynccontextmanager
async def opened(directory: Path, *, auth: str = f"{{ bearer: {TOKEN} }}") -> AsyncIterator[Reader]:
    async with (
        running(directory, auth=auth, more=WITH_CREDENTIAL) as (daemon, client),
        chromium(directory / "p") as page,
    ):
        await daemon.hub.put_installations(HUB, [installation("ann", "team:hr"), installation("bob", "team:hr")])
        daemon.hub.guards[HUB] = AudienceGuard(confirm_above=1)
        yield Reader(daemon, page, str(client.base_url).rstrip("/"))


async def fill(reader: Reader, **fields: str) -> None:
    for name, value in fields.items():
        field = f"document.querySelector('#send [name={name}]')"
        changed = "dispatchEvent(new Event('input', { bubbles: true }))"
        await reader.page.evaluate(f"{field}.value = {value!r}; {field}.{changed}")


async def preview(reader: Reader, **fields: str) -> str:
    await reader.page.evaluate("document.querySelector('#new').open = true")
    await fill(reader, **fields)
    await reader.click("#send .buttons button")
    await reader.page.wait_for("!document.querySelector('#preview').hidden")
    return await reader.said("#reach")


async def test_a_send_to_many_is_previewed_confirmed_and_then_shown(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.open("/sends")
        assert await preview(reader, to="tags", whom="nobody") == (
            "It would reach nobody: no registration matches the audience."
        )
        assert await reader.page.evaluate("document.querySelector('#go').disabled") is True
        said = await preview(reader, to="tags", whom="team:hr && !vip", title="Hello")
        assert said == "It would make 2 pushes: FCM 2."
        assert await reader.said("#lacking li:first-child") == "no registration carries the tag vip"
        assert await reader.page.evaluate("document.querySelector('#go').disabled") is True
        await reader.click("#confirmed")
        await reader.click("#go")
        await reader.page.wait_for("!document.querySelector('#one').hidden")
        (sent,) = (await reader.daemon.store.notifications(limit=5)).items
        assert await reader.address() == f"/sends/{sent.id}"
        assert (sent.hub, sent.audience) == (HUB, "team:hr && !vip")


async def until_held(reader: Reader) -> None:
    """A notification of a rule is for two, is held, and its page is open."""
    one = notification("team:hr", hub=HUB, rule="joined", source="hr")
    await reader.daemon.hub.accept([Ingest(source="hr", event_id="e", notifications=[one])])
    await reader.open("/sends?state=Held")
    while await reader.page.evaluate("document.querySelectorAll('#sends .chip').length") == 0:
        await reader.open("/sends?state=Held")
    await reader.click("#sends a")
    await reader.page.wait_for("!document.querySelector('#approve').hidden")


async def test_what_is_held_is_approved_from_its_page_by_a_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await until_held(reader)
        assert await reader.said("#cause") == "for 2 registrations, waits for an approval"
        await reader.click("#approve")
        await reader.page.wait_for("!document.querySelector('#trouble').hidden")
        assert await reader.said("#trouble") == "Write your name: the audit keeps who approved it."
        assert await reader.page.evaluate("document.activeElement.id") == "name"
        assert (await reader.daemon.store.audit(limit=1)).items == []
        await reader.page.evaluate("document.querySelector('#name').value = 'Ann'")
        await reader.click("#approve")
        await reader.page.wait_for("!document.querySelector('#notice').hidden")
        assert await reader.page.evaluate("document.querySelector('#approve').hidden") is True
        assert await reader.page.evaluate("document.querySelector('#trouble').hidden") is True
        (audited,) = (await reader.daemon.store.audit(limit=1)).items
        assert (audited.entry.action, audited.entry.actor) == ("notification.approve", "Ann")


async def test_what_quiet_hours_hold_of_a_send_is_said_in_the_list_and_on_its_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        one = notification("team:hr && !vip", hub=HUB, rule="joined", source="hr", quiet=quiet_now())
        reader.daemon.hub.guards.clear()
        await reader.daemon.hub.accept([Ingest(source="hr", event_id="e", notifications=[one])])
        while (await reader.daemon.store.notification(one.id)).quiet_hold is None:
            await asyncio.sleep(0.05)
        said = "2 pushes held by quiet hours of window siesta until "
        for size in SIZES:
            await reader.open("/sends", size=size)
            assert (await reader.said("#sends .detail")).startswith(said)
            await reader.open(f"/sends/{one.id}", size=size)
            assert said in await reader.said("#facts")
            assert await reader.page.evaluate("document.querySelector('#cause').hidden") is True
            assert await reader.page.evaluate(PAGE_SCROLLS) is False


async def test_who_has_a_token_of_their_own_approves_by_its_name_and_writes_none(tmp_path: Path) -> None:
    auth = f"{{ tokens: [{{ name: ann, role: operator, token: {TOKEN} }}] }}"
    async with opened(tmp_path, auth=auth) as reader:
        await until_held(reader)
        await reader.click("#approve")
        await reader.page.wait_for("!document.querySelector('#notice').hidden")
        (audited,) = (await reader.daemon.store.audit(limit=1)).items
        assert (audited.entry.action, audited.entry.actor) == ("notification.approve", "ann")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_hostile_sends_are_text_in_their_places(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        given = [notification("a" * 120, hub=HUB, rule=text[:200], source="hr") for text in (HOSTILE, RTL, COMPOUND)]
        await reader.daemon.hub.accept([Ingest(source="hr", event_id="e", notifications=given)])
        for path in ("/sends", f"/sends/{given[0].id}"):
            await reader.open(path, size=size)
            if path == "/sends":
                await preview(reader, to="tags", whom="team:hr && !" + "v" * 110)
            assert await reader.page.evaluate("document.querySelectorAll('main img, main script').length") == 0
            for complaint in (OUTSIDE, OVERLAPS, UNTITLED):
                assert await reader.page.evaluate(complaint) == []
            assert await reader.page.evaluate(PAGE_SCROLLS) is False
            assert await reader.page.evaluate(FAINT) == {}
