"""Dead letters of a real daemon, replayed by its users once the cause is mended: each phone gets one push an event."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from sandbox.services import PushServices
from tests.integration.daemon import Daemon, hubs

TOKEN = "only-for-this-test"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


def configuration(services: PushServices) -> dict[str, Any]:
    """Orders over HTTP; the rule reads a property that the order lacks."""
    return {
        "bridge": {"http": {"listen": "127.0.0.1:0", "admin_token": TOKEN}},
        "sources": {
            "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}},
            "shop": {"http": {"path": "/in/shop", "format": "cloudevents"}},
        },
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


async def command(daemon: Daemon, *arguments: str) -> asyncio.subprocess.Process:
    """`pushbridge dead-letters replay`, begun."""
    program = [sys.executable, "-m", "bridge", "dead-letters", "replay", *arguments, "--json"]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *program, "--config", str(daemon.config_file), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )


async def replayed(daemon: Daemon, *arguments: str) -> tuple[int, Counter[tuple[str, str]]]:
    """The exit code of the command, and how many letters came to what, with which reason."""
    process = await command(daemon, *arguments)
    output, errors = await process.communicate()
    assert process.returncode is not None
    assert output, errors
    return process.returncode, Counter((one["outcome"], one["reason"]) for one in json.loads(output)["items"])


async def registered(daemon: Daemon, services: PushServices) -> str:
    """A phone of everyone in `team:all`; its handle."""
    phone = services.add_phone("phone", "apns")
    template = {"text": {"body": '{"aps": {"alert": "$(text)"}}'}}
    device = {"installationId": "phone", "platform": "apns", "pushChannel": phone.handle, "tags": ["team:all"]}
    await daemon.register({**device, "templates": template})
    return phone.handle


async def send(client: httpx.AsyncClient, daemon: Daemon, ids: Iterable[int]) -> list[str]:
    """One batch of events; what each came to."""
    ours = {"specversion": "1.0", "source": "/shop", "type": "order"}
    batch = [{**ours, "id": str(id_), "data": {"id": str(id_), "text": f"order {id_}"}} for id_ in ids]
    batched = {"content-type": "application/cloudevents-batch+json"}
    answer = await client.post(f"{daemon.url}/in/shop", headers=batched, content=json.dumps(batch))
    return [result["outcome"] for result in answer.json()["results"]]


def pushed(services: PushServices, handle: str) -> list[str]:
    """The text of each push, those that were tried again under their id once."""
    texts = {entry.push_id: json.loads(entry.payload)["aps"]["alert"] for entry in services.journal.of_handle(handle)}
    return sorted(texts.values())


async def test_letters_of_a_service_that_was_full_wait_until_there_is_room_and_go_once(
    tmp_path: Path, services: PushServices
) -> None:
    config = configuration(services)
    config["bridge"]["store"] = {"max_pending": 9}
    config["rules"][0]["push"]["with"] = {"text": "{{ data.text }}"}
    async with Daemon(tmp_path, config) as daemon, httpx.AsyncClient(timeout=60, headers=AUTHORIZED) as client:
        await fixed_address(daemon)
        handle = await registered(daemon, services)
        services.apns.faults.hold()
        await send(client, daemon, range(5))
        await daemon.until_readiness(lambda _, lines: any("full" in line for line in lines))
        assert set(await send(client, daemon, range(5, 8))) == {"dead_letter"}
        full = Counter({("failed", "service_full"): 3})
        assert await replayed(daemon, "--reason", "service_full", "--dry-run") == (5, full)
        assert await replayed(daemon, "--reason", "service_full") == (5, full)
        services.apns.faults.release()
        await daemon.until_readiness(lambda _, lines: not any("full" in line for line in lines))
        assert await replayed(daemon, "--reason", "service_full") == (0, Counter({("accepted", ""): 3}))
        await services.journal.wait_for(count=8)
        assert pushed(services, handle) == [f"order {id_}" for id_ in range(8)]


async def test_a_replay_that_a_kill_cut_off_is_repeated_and_pushes_nothing_twice(
    tmp_path: Path, services: PushServices
) -> None:
    count = 60
    async with (
        Daemon(tmp_path, configuration(services)) as daemon,
        httpx.AsyncClient(timeout=60, headers=AUTHORIZED) as client,
    ):
        await fixed_address(daemon)
        handle = await registered(daemon, services)
        assert set(await send(client, daemon, range(count))) == {"dead_letter"}
        daemon.config_file.write_text(daemon.config_file.read_text().replace("data.note", "data.text"))
        assert (await client.post(f"{daemon.url}/-/reload")).status_code == 200
        cut_off = await command(daemon, "--rule", "order", "--rate", "20")
        await services.journal.wait_for(count=25)
        await daemon.kill()
        _, errors = await cut_off.communicate()
        assert cut_off.returncode == 3
        assert b"of 60 are done; the same command goes on with the rest" in errors
        await daemon.start()
        code, outcomes = await replayed(daemon, "--rule", "order", "--rate", "1000")
        assert (code, set(outcomes)) == (0, {("accepted", "")})
        assert sum(outcomes.values()) < count
        await services.journal.wait_for(count=count)
        assert await replayed(daemon, "--rule", "order") == (0, Counter())
        assert pushed(services, handle) == sorted(f"order {id_}" for id_ in range(count))


async def fixed_address(daemon: Daemon) -> None:
    """Start it where commands find it by its configuration."""
    admin = daemon.url.removeprefix("http://")
    daemon.config_file.write_text(daemon.config_file.read_text().replace("127.0.0.1:0", admin))
    await daemon.start()
