"""The playground's page in a real browser: an event and a draft of the rules, and what comes of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from tests.bridge.chromium import chromium
from tests.bridge.test_console import HOSTILE
from tests.bridge.test_console_layout import FAINT, OUTSIDE, OVERLAPS, PAGE_SCROLLS
from tests.bridge.test_console_page import texts
from tests.bridge.test_dead_letters_page import Reader
from tests.bridge.test_devices_page import UNLABELLED
from tests.bridge.test_playground import BODY
from tests.bridge.test_playground import opened as running_daemon
from tests.hub.examples import installation

pytestmark = pytest.mark.browser

_TRIED = "!document.querySelector('#result').hidden && document.querySelector('#result').dataset.old === undefined"
_COPIED = "navigator.clipboard.writeText = async (text) => { window.copied = text }"


@asynccontextmanager
async def opened(directory: Path, *, token: str = "canary-operate") -> AsyncIterator[Reader]:
    async with running_daemon(directory) as (daemon, client), chromium(directory / "p") as page:
        await daemon.hub.put_installations("app", [installation("ann", "customer:4711")])
        reader = Reader(daemon, page, str(client.base_url).rstrip("/"))
        await page.open(f"{reader.url}/playground", headers={"authorization": f"Bearer {token}"})
        await page.wait_for("document.querySelector('[name=source]').options.length === 3")
        yield reader


async def write(reader: Reader, field: str, text: str) -> None:
    """As if somebody had typed it."""
    name = f"document.querySelector('#draft [name={field}]')"
    await reader.page.evaluate(f"{name}.value = {json.dumps(text)}")
    await reader.page.evaluate(f"{name}.dispatchEvent(new Event('input', {{ bubbles: true }}))")


async def test_an_event_is_tried_as_it_is_typed_and_drawn_on_each_device(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.page.evaluate("document.querySelector('[name=source]').value = 'bank'")
        await write(reader, "body", BODY)
        await reader.page.wait_for(_TRIED)
        assert await reader.page.evaluate(texts("#events .head strong")) == [
            "posting.debit p1",
            "Rule debit",
            "debit",
        ]
        assert "1 push now: FCM 1" in await reader.said(".push .head") or "no template" in await reader.said(".push")
        drawn = await reader.page.evaluate(texts(".look .banner .title"))
        assert drawn == ["Debit 900"] * 4
        assert "1 rule is for other sources." in await reader.said("#events")


async def test_a_mistake_is_shown_with_its_place_and_leads_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await write(reader, "rules", "rules:\n- name: x\n  push: { to: everyone, with: { title: x } }\n  stpo: true\n")
        await reader.page.wait_for("document.querySelector('#problems .problem')")
        assert (await reader.said("#problems")).startswith(
            "Line 4, column 3 rules[0].stpo: unknown key (did you mean stop?)"
        )
        assert await reader.page.evaluate("document.querySelector('#result').hidden") is True
        await reader.click("#problems .problem")
        assert await reader.page.evaluate("document.activeElement.name") == "rules"
        place = await reader.page.evaluate("document.activeElement.selectionStart")
        written = await reader.page.evaluate("document.activeElement.value")
        assert written[place:].startswith("stpo")
        await reader.click("#again")
        await reader.page.wait_for("!document.querySelector('#problems .problem')")


async def test_the_copied_test_passes_beside_the_copied_rules(tmp_path: Path) -> None:
    async with opened(tmp_path) as reader:
        await reader.page.evaluate(_COPIED)
        await reader.page.evaluate("document.querySelector('[name=source]').value = 'bank'")
        await write(reader, "body", BODY)
        await reader.page.wait_for(_TRIED)
        await reader.click("#copy-test")
        await reader.page.wait_for("window.copied")
        copied = tmp_path / "copied.test.yaml"
        copied.write_text(await reader.page.evaluate("window.copied"))
        result = await asyncio.to_thread(
            CliRunner().invoke, app, ["test", str(copied), "--config", str(tmp_path / "c.yaml")]
        )
        assert result.exit_code == 0, result.output
        assert "1 passed" in result.output
        await reader.click("#copy-rules")
        await reader.page.wait_for("window.copied.includes('# who pays')")


async def test_an_event_that_came_is_masked_for_who_may_not_read_values(tmp_path: Path) -> None:
    for token, seen in (("canary-operate", "(text of 4 characters)"), ("canary-administer", "4711")):
        directory = tmp_path / token
        directory.mkdir()
        async with running_daemon(directory) as (daemon, client), chromium(directory / "p") as page:
            headers = {"authorization": "Bearer canary-in", "content-type": "application/json"}
            while (await client.post("/in/bank", content=BODY, headers=headers)).status_code == 503:
                await asyncio.sleep(0.01)
            reader = Reader(daemon, page, str(client.base_url).rstrip("/"))
            await page.open(f"{reader.url}/playground", headers={"authorization": f"Bearer {token}"})
            await page.wait_for("document.querySelector('[name=recent]').options.length === 2")
            await page.evaluate("document.querySelector('[name=recent]').selectedIndex = 1")
            await page.evaluate(
                "document.querySelector('[name=recent]').dispatchEvent(new Event('change', { bubbles: true }))"
            )
            await page.wait_for("document.querySelector('[name=body]').value")
            body = json.loads(await page.evaluate("document.querySelector('[name=body]').value"))
            assert body["customer"] == seen
            assert await page.evaluate("document.querySelector('#recent-note').hidden") is (seen == "4711")


async def test_a_viewer_reads_the_rules_and_is_told_why_nothing_is_tried(tmp_path: Path) -> None:
    async with opened(tmp_path, token="canary-view") as reader:
        assert "role operator" in await reader.said("#trouble")
        assert await reader.page.evaluate("document.querySelector('#try').disabled") is True
        assert "# who pays" in await reader.page.evaluate("document.querySelector('[name=rules]').value")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_it_is_whole_at_every_size_with_hostile_texts_too(tmp_path: Path, color_scheme: str) -> None:
    async with opened(tmp_path) as reader:
        for size in ((1280, 900), (390, 844)):
            await reader.page.open(
                f"{reader.url}/playground",
                size=size,
                color_scheme=color_scheme,
                headers={"authorization": "Bearer canary-operate"},
            )
            await reader.page.wait_for("document.querySelector('[name=source]').options.length === 3")
            await reader.page.evaluate("document.querySelector('[name=source]').value = 'bank'")
            await write(
                reader,
                "body",
                json.dumps(json.loads(BODY) | {"id": HOSTILE, "note": HOSTILE}),
            )
            await reader.page.wait_for(_TRIED)
            assert HOSTILE in await reader.page.evaluate("document.querySelector('.looks').textContent")
            assert await reader.page.evaluate("document.querySelectorAll('#events img:not(.icon)').length") == 0
            assert await reader.page.evaluate(PAGE_SCROLLS) is False
            assert await reader.page.evaluate(UNLABELLED) == []
            await reader.page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
            assert await reader.page.evaluate(OVERLAPS.replace(".devices", ".screen")) == []
            assert await reader.page.evaluate(FAINT) == {}
            if size[0] > 1000:
                assert await reader.page.evaluate(OUTSIDE) == []
