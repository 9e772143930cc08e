"""What an operator finds in the log, in readiness and in the metrics when something is wrong: each row is a drill."""

import asyncio
import resource
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, hubs

TEMPLATE = '{"aps": {"alert": "$(text)"}}'


def configuration(services: PushServices) -> dict[str, Any]:
    """Orders over HTTP, and for those of a team a push."""
    return {
        "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
        "rules": [{"name": "order", "push": {"to": "team:{{ data.team }}", "with": {"text": "{{ data.text }}"}}}],
        "hubs": hubs(services),
    }


async def register(daemon: Daemon, services: PushServices, name: str = "phone") -> None:
    phone = services.add_phone(name, "apns")
    await daemon.register(
        {
            "installationId": name,
            "platform": "apns",
            "pushChannel": phone.handle,
            "tags": ["team:all"],
            "templates": {"text": {"body": TEMPLATE}},
        }
    )


async def post(daemon: Daemon, id: str, **data: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        body = {"id": id, "team": "all", "text": "hello", **data}
        return await client.post(f"{daemon.url}/in/orders", json=body)


async def logged(daemon: Daemon, event: str, **fields: object) -> dict[str, Any]:
    """The first line of the log with these fields, as soon as there is one."""
    async with asyncio.timeout(60):
        while True:
            for line in daemon.log():
                if line["event"] == event and fields.items() <= line.items():
                    return line
            await asyncio.sleep(0.05)


async def part(daemon: Daemon, path: str) -> tuple[int, str]:
    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        answer = await client.get(f"{daemon.url}/readyz{path}")
        return answer.status_code, answer.text


async def test_a_wrong_key_is_named_in_the_log_and_in_readiness_and_its_breaker_opens_and_closes(
    services: PushServices, tmp_path: Path
) -> None:
    services.apns.faults.answer(403, "InvalidProviderToken")
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        assert (await post(daemon, "one")).json()["outcome"] == "accepted"
        retried = await logged(daemon, "pushes to be tried again", event_id="one")
        assert retried["outcomes"] == {"InvalidCredentials": 1}
        opened = await logged(daemon, "breaker open", hub=HUB, platform="apns")
        assert "InvalidProviderToken" in opened["cause"]
        assert retried["due_at"] >= opened["until"], "earlier than that it would only find the breaker open"
        await post(daemon, "two")
        deferred = await logged(daemon, "deferred: breaker open", event_id="two")
        assert deferred["due_at"] >= opened["until"]
        status, text = await part(daemon, f"/push-services/{HUB}/apns")
        assert (status, text.startswith(f"push service {HUB}/apns: breaker open: ")) == (503, True)
        assert (await part(daemon, ""))[0] == 200, "everything else goes on"
        metrics = await daemon.metrics()
        assert metrics[f'pushbridge_pns_circuit_open{{credential="{HUB}",platform="apns"}}'] == 1


async def test_who_is_reached_by_nobody_is_told_with_the_cause(services: PushServices, tmp_path: Path) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        await post(daemon, "one", team="nobody")
        line = await logged(daemon, "no device reached", event_id="one")
        assert line["reason"] == "no_tag"


FAILED = {
    "every rule fails": ({"team": "a || b"}, 202, "dead_letter", 1),
    "no id": ({"id": ""}, 400, "rejected", 0),
}


@pytest.mark.parametrize("data, status, outcome, letters", FAILED.values(), ids=FAILED)
async def test_what_fails_over_http_is_kept_once_or_refused(
    services: PushServices, tmp_path: Path, data: dict[str, str], status: int, outcome: str, letters: int
) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        answers = [await post(daemon, **{"id": "one", **data}) for _ in range(3)]
        again = "duplicate" if letters else outcome
        assert [answer.status_code for answer in answers] == [status] * 3
        assert [answer.json()["outcome"] for answer in answers] == [outcome, again, again]
        metrics = await daemon.metrics()
        with daemon.database() as database:
            assert database.execute("SELECT count(*) FROM dead_letter").fetchone() == (letters,)
    assert metrics['pushbridge_dead_letters_total{reason="tag_unsafe",rule="order",source="orders"}'] == letters


async def test_a_full_disk_is_told_at_once_everywhere_and_over_when_there_is_room(
    services: PushServices, tmp_path: Path
) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        size = max(file.stat().st_size for file in tmp_path.glob("pushbridge.db*"))
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, hard))
        try:
            refused = None
            for number in range(200):  # what is left of the last file is used up first
                started = time.monotonic()
                refused = await post(daemon, f"full-{number}", text="x" * 50_000)
                if refused.status_code != 202:
                    break
            assert refused is not None
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert time.monotonic() - started < 15, "it was 25 s"
            status, text = await part(daemon, "")
            assert status == 503
            assert text.startswith("store: failing: ")
            started = time.monotonic()
            assert (await post(daemon, "at once")).status_code == 503
            assert time.monotonic() - started < 15, "it was 25 s"
        finally:
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        async with asyncio.timeout(60):
            while (await part(daemon, ""))[0] != 200:
                await asyncio.sleep(0.1)
        assert (await post(daemon, "afterwards")).json()["outcome"] == "accepted"


async def test_the_files_of_the_store_are_for_their_owner_alone(services: PushServices, tmp_path: Path) -> None:
    (tmp_path / "pushbridge.db").touch(mode=0o644)
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.glob("pushbridge.db*")}
        assert set(modes) >= {"pushbridge.db", "pushbridge.db-wal"}
        assert set(modes.values()) == {"0o600"}, modes
        started = await logged(daemon, "started")
        assert started["store"].endswith("pushbridge.db")
        assert started["config"] == str(daemon.config_file)
        assert {"version", "config_hash", "admin", "hub_api", "sources"} <= started.keys()


async def test_scrapers_that_hang_or_ask_a_hundred_times_a_second_cost_no_event(
    services: PushServices, tmp_path: Path
) -> None:
    async with Daemon(tmp_path, configuration(services)) as daemon:
        await daemon.start()
        await register(daemon, services)
        host, port = daemon.url.removeprefix("http://").split(":")
        hanging = []
        for _ in range(20):  # they ask, and read nothing of what comes
            reader, writer = await asyncio.open_connection(host, int(port), limit=1)
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way to read nothing
            writer.write(b"GET /metrics HTTP/1.1\r\nhost: " + host.encode() + b"\r\n\r\n")
            hanging.append(writer)
        try:
            async with httpx.AsyncClient(timeout=60) as client:
                scraping = [asyncio.create_task(client.get(f"{daemon.url}/metrics")) for _ in range(100)]
                answers = [await post(daemon, f"order-{number}") for number in range(10)]
                scraped = await asyncio.gather(*scraping)
            assert {answer.json()["outcome"] for answer in answers} == {"accepted"}
            assert {answer.status_code for answer in scraped} == {200}
            assert all("pushbridge_build_info" in answer.text for answer in scraped)
            assert (await part(daemon, ""))[0] == 200
        finally:
            for writer in hanging:
                writer.close()
