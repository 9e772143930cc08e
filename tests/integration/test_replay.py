"""A dead letter of a real daemon, mended by a changed rule and replayed over HTTP: the phone gets one push."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import Daemon, hubs

TOKEN = "only-for-this-test"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    directory = tmp_path / "sandbox"
    directory.mkdir()
    async with PushServices(directory) as services:
        yield services


def configuration(services: PushServices) -> dict[str, Any]:
    """Orders over HTTP; the rule reads a property that the order lacks."""
    return {
        "bridge": {"http": {"listen": "127.0.0.1:0", "admin_token": TOKEN}},
        "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
        "rules": [{"name": "order", "push": {"to": "team:all", "with": {"text": "{{ data.note }}"}}}],
        "hubs": hubs(services),
    }


async def test_a_mended_rule_pushes_what_was_a_dead_letter_once_even_after_a_kill(
    tmp_path: Path, services: PushServices
) -> None:
    config = configuration(services)
    async with (
        Daemon(tmp_path, config) as daemon,
        httpx.AsyncClient(verify=False, timeout=60, headers=AUTHORIZED) as client,
    ):
        admin = daemon.url.removeprefix("http://")
        text = daemon.config_file.read_text().replace("127.0.0.1:0", admin)
        daemon.config_file.write_text(text)
        await daemon.start()
        phone = services.add_phone("phone", "apns")
        await daemon.register(
            {
                "installationId": "phone",
                "platform": "apns",
                "pushChannel": phone.handle,
                "tags": ["team:all"],
                "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
            }
        )
        sent = await client.post(f"{daemon.url}/in/orders", json={"id": "1", "text": "hello"})
        assert (sent.status_code, sent.json()["outcome"]) == (202, "dead_letter")
        (letter,) = (await client.get(f"{daemon.url}/api/v1/dead-letters")).json()["items"]

        await daemon.kill()
        daemon.config_file.write_text(text.replace("data.note", "data.text"))
        await daemon.start()

        async def replay(**more: object) -> Any:
            answer = await client.post(f"{daemon.url}/api/v1/dead-letters/replay", json={"ids": [letter["id"]], **more})
            (item,) = answer.json()["items"]
            return item["outcome"]

        assert await replay(dry_run=True) == "accepted"
        assert await replay() == "accepted"
        await services.journal.wait_for(lambda entry: entry.handle == phone.handle)
        assert await replay() == "repeated"
        await daemon.kill()
        await daemon.start()
        assert await replay() == "repeated"
        assert await replay(dry_run=True) == "repeated"
        assert len(services.journal.of_handle(phone.handle)) == 1
