"""The page of silences in a real browser: one is added after a dialog, is in the list, and is ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.silence import MAX_REASON, NewSilence, SilenceAction
from tests.bridge.chromium import chromium
from tests.bridge.test_console import HOSTILE, running
from tests.bridge.test_console_layout import COMPOUND, FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS, RTL, UNTITLED
from tests.bridge.test_console_page import texts
from tests.bridge.test_dead_letters_page import RULES, SIZES, TOKEN, Reader

pytestmark = pytest.mark.browser


@asynccontextmanager
async def opened(directory: Path, *, role: str = "operator") -> AsyncIterator[Reader]:
    auth = f"{{ tokens: [{{ name: ann, role: {role}, token: {TOKEN} }}] }}"
    async with running(directory, auth=auth, more=RULES) as (daemon, client), chromium(directory / "p") as page:
        yield Reader(daemon, page, str(client.base_url).rstrip("/"))


async def fill(reader: Reader, **fields: str) -> None:
    """The form, and press its button."""
    for name, value in fields.items():
        await reader.page.evaluate(f"document.querySelector('#add [name={name}]').value = {value!r}")
    await reader.click("#add .buttons button")


async def done(reader: Reader) -> str:
    """Press the dialog's button; what the page says then."""
    await reader.click("#do")
    await reader.page.wait_for("!document.querySelector('#review').open && !document.querySelector('#notice').hidden")
    return await reader.said("#notice")


async def test_a_silence_is_added_after_a_dialog_and_ended_by_its_button(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.open("/silences")
        assert await reader.page.evaluate("document.querySelector('#empty').hidden") is False
        await reader.page.evaluate("document.querySelector('#new').open = true")
        await fill(reader, seconds="2h", reason="the shop moves")
        assert await reader.said("#add-trouble") == "Say what to be silent about: a rule, a source or a hub."
        assert await reader.page.evaluate("document.querySelector('#review').open") is False
        await fill(reader, rule="joined", hub="app", source="hr")
        assert await reader.said("#review-text") == (
            "For 2h, notifications of rule joined, source hr, hub app."
            " They wait, and go out when the silence ends, but for those that have expired by then."
        )
        assert reader.daemon.store.known_silences == []
        said = await done(reader)
        (silence,) = reader.daemon.store.known_silences
        assert said.startswith(f"Silence {silence.id} is in force until ")
        assert (silence.rule, silence.source, silence.hub, silence.actor) == ("joined", "hr", "app", "ann")
        assert await reader.page.evaluate(texts("#silences strong")) == ["rule joined, source hr, hub app"]
        assert await reader.page.evaluate(texts("#silences .chip")) == ["holds"]
        assert await reader.page.evaluate("document.querySelector('#past').hidden") is True
        await reader.click("#silences button")
        assert "What it holds goes out" in await reader.said("#review-text")
        await reader.click("#review .quiet")
        assert len(reader.daemon.store.silences_in_force) == 1
        await reader.click("#silences button")
        assert await done(reader) == f"Silence {silence.id} has ended."
        assert reader.daemon.store.silences_in_force == []
        assert await reader.page.evaluate(texts("#silences > li")) == []
        assert await reader.page.evaluate(texts("#ended .chip")) == ["ended"]
        assert "ended by ann" in await reader.said("#ended [data-part=use]")


async def test_what_the_api_refuses_is_said_in_the_dialog_and_can_be_mended(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.open("/silences")
        await fill(reader, rule="joinde", seconds="2h", reason="x")
        await reader.click("#do")
        await reader.page.wait_for("!document.querySelector('#review-trouble').hidden")
        assert await reader.said("#review-trouble") == "rule: there is none named 'joinde' (did you mean joined?)"
        await reader.click("#review .quiet")
        await fill(reader, rule="joined")
        assert "is in force" in await done(reader)


async def test_a_viewer_sees_silences_and_is_told_that_it_may_not_end_one(tmp_path: Path) -> None:
    async with opened(tmp_path, role="viewer") as reader:
        await reader.daemon.hub.add_silence(silence("s1", "a trial"))
        await reader.open("/silences")
        await reader.click("#silences button")
        await reader.click("#do")
        await reader.page.wait_for("!document.querySelector('#review-trouble').hidden")
        assert "needs the role operator" in await reader.said("#review-trouble")
        assert len(reader.daemon.store.silences_in_force) == 1


def silence(id: str, reason: str, *, action: SilenceAction = SilenceAction.HOLD, rule: str = "joined") -> NewSilence:
    return NewSilence(id=id, action=action, seconds=3600.0, reason=reason, actor=reason[:200], rule=rule)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_hostile_silences_are_text_in_their_places(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        for number, text in enumerate((HOSTILE, RTL, COMPOUND)):
            action = SilenceAction.DROP if number else SilenceAction.HOLD
            await reader.daemon.hub.add_silence(
                silence(f"s{number}", text[:MAX_REASON], action=action, rule=text[:200])
            )
        await reader.daemon.hub.add_silence(silence("s9", "a trial"))
        await reader.daemon.hub.remove_silence("s0", actor=HOSTILE[:200])
        await reader.open("/silences", size=size)
        await reader.page.evaluate("document.querySelector('#new').open = true")
        for is_reviewed in (False, True):
            if is_reviewed:
                await reader.click("#silences button")
            assert await reader.page.evaluate("document.querySelectorAll('main img, main script').length") == 0
            for complaint in (OUTSIDE, UNTITLED) if is_reviewed else (OUTSIDE, OVERLAPS, UNTITLED):
                assert await reader.page.evaluate(complaint) == []
            assert await reader.page.evaluate(PAGE_SCROLLS) is False
        await reader.click("#review .quiet")
        assert await reader.page.evaluate(FAINT) == {}
