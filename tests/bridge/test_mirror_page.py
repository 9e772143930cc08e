"""The page of a hub that is mirrored, in a real browser: how the mirror fares, and whether it may be cut over."""

from pathlib import Path

import pytest

from tests.bridge.chromium import chromium
from tests.bridge.test_console import running
from tests.bridge.test_console_layout import PAGE_SCROLLS
from tests.bridge.test_console_page import texts
from tests.bridge.test_dead_letters_page import SIZES, TOKEN, Reader
from tests.bridge.test_mirror_commands import LISTED

pytestmark = pytest.mark.browser

HUBS = """
hubs:
  app:
    remote: { connection_string: "Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=Full;SharedAccessKey=canary" }
    mirror: local
  spare: {}
"""


async def test_the_page_of_a_mirrored_hub_says_what_speaks_against_the_cut_over(tmp_path: Path) -> None:
    async with running(tmp_path, token=TOKEN, more=HUBS) as (daemon, client), chromium(tmp_path / "p") as page:
        reader = Reader(daemon, page, str(client.base_url).rstrip("/"))
        await daemon.store.hold_mirror("app", owner="test", lease=60)
        await daemon.store.listed("app", began=daemon.store.now(), counts=LISTED)
        await daemon.store.listing_failed("app", "HTTP 503: <b>busy</b>")
        await reader.open("/hubs")
        kind, *_ = await page.evaluate(texts("#hubs [data-part=kind]"))
        assert kind.endswith(", mirrored")
        for size in SIZES:
            await reader.open("/hubs/app", size=size)
            facts = " ".join((await reader.said("#facts")).split())
            for fact in (
                "Mirrors a remote hub",
                "the remote hub sends",
                "3 registrations",
                "not yet: the last list of the remote hub broke off: HTTP 503: <b>busy</b>;",
            ):
                assert fact in facts
            assert not await page.evaluate(PAGE_SCROLLS)
        await reader.open("/hubs/spare")
        assert "Mirrors" not in await reader.said("#facts")
