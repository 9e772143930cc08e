"""A one-time code that was pushed lies nowhere afterwards: the files and rows of the store, its copy, the log, what the
admin API and the metrics say, and what a sink was told are searched for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.integration.daemon import HUB, Daemon, hubs, register_phone
from tests.integration.hook import Hook
from tests.integration.on_postgres import command

CODE = "zq482913xk"
TOKEN = "only-for-these-tests-0123456789"
PATIENCE = 60.0
TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' OR table_schema = current_schema()"
)


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    async with Hook(tmp_path / "hook") as hook:
        yield hook


def configuration(services: PushServices, hook: Hook) -> dict[str, Any]:
    """A login that says a code; another rule that cannot be filled, so that the event has a dead letter besides. A strict
    source whose sensitive rule misses what comes."""
    says = {"to": "team:all", "with": {"text": "{{ data.code }}"}, "sensitive": True}
    fails = {"to": "team:all", "with": {"text": "{{ data.missing }}"}}
    return {
        "version": 1,
        "bridge": {"http": {"admin_token": TOKEN}},
        "sources": {
            "login": {"http": {"path": "/in/login"}, "map": {"id": "{{ data.id }}"}},
            "strict": {
                "http": {"path": "/in/strict"},
                "map": {"id": "{{ data.id }}"},
                "on_no_match": "dead_letter",
            },
        },
        "sinks": {"hook": {"http": hook.settings}},
        "rules": [
            {"name": "login-code", "source": "login", "push": says, "report_to": ["hook"]},
            {"name": "typo", "source": "login", "push": fails},
            {"name": "late", "source": "login", "push": {**says, "ttl": "60s", "ttl_from": "time"}},
            {"name": "missed", "source": "strict", "match": {"data": {"kind": "login"}}, "push": says},
        ],
        "hubs": hubs(services),
    }


def on_postgres(settings: dict[str, Any], postgres: Postgres, directory: Path) -> str:
    """Put the store there; the name of the database."""
    database = postgres.create()
    password = directory / "password"
    password.write_text(f"{PASSWORD}\n")
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{database}"
    settings["bridge"]["store"] = {"url": url, "password_file": str(password)}
    return database


def holders(texts: dict[str, str]) -> list[str]:
    """Which of these texts hold the code, as it is or as hexadecimal digits."""
    return [name for name, text in texts.items() if CODE in text or CODE.encode().hex() in text]


def files_in(directory: Path, *, but: Path) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file() and but not in path.parents]
    return {str(path): path.read_bytes().decode("latin-1") for path in files}


def rows_of(postgres: Postgres, database: str) -> dict[str, str]:
    tables = [name for (name,) in postgres.run(TABLES, database=database)]
    assert "notification" in tables
    return {name: str(postgres.run(f'SELECT t::text FROM "{name}" t', database=database)) for name in tables}


async def answers(daemon: Daemon) -> dict[str, str]:
    """What the daemon says to who may read all of it."""
    found: dict[str, str] = {}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(timeout=PATIENCE, headers=headers) as client:
        listed = {
            path: f"{daemon.url}{path}"
            for path in ("/metrics", "/readyz", "/api/v1/events/e-1/trace", "/api/v1/status")
        }
        for kind, key in (("events", "number"), ("notifications", "id"), ("dead-letters", "id"), ("journal", "")):
            listed[kind] = f"{daemon.url}/api/v1/{kind}"
            items = (await client.get(listed[kind])).raise_for_status().json()["items"]
            assert items
            for item in items if key else ():
                listed[f"{kind} {item[key]}"] = f"{daemon.url}/api/v1/{kind}/{item[key]}"
        listed["received"] = f"{daemon.url}/api/v1/hubs/{HUB}/devices/phone/received"
        for name, url in listed.items():
            found[name] = (await client.get(url)).raise_for_status().text
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_code_that_was_pushed_lies_nowhere_afterwards(
    engine: str, request: pytest.FixtureRequest, services: PushServices, hook: Hook, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = configuration(services, hook)
    postgres: Postgres | None = request.getfixturevalue("postgres") if engine == "postgres" else None
    database = "" if postgres is None else on_postgres(settings, postgres, home)
    async with Daemon(home, settings) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        services.apns.faults.answer(503, "ServiceUnavailable", times=1)
        async with httpx.AsyncClient() as client:
            event = {"id": "e-1", "code": CODE}
            (await client.post(f"{daemon.url}/in/login", json=event)).raise_for_status()
            missed = await client.post(f"{daemon.url}/in/strict", json={"id": "e-2", "code": CODE})
            assert missed.raise_for_status().json()["outcome"] == "dead_letter"
        await until(lambda: any(CODE in str(entry) for entry in services.journal))
        await until(lambda: bool(hook.of_type("delivered")))
        assert holders(await answers(daemon)) == []
        assert holders({"hook": str(hook.told)}) == []
        if postgres is None:
            token = tmp_path / "token"
            token.write_text(TOKEN)
            code, said = await command("backup", "--url", daemon.url, "--token-file", str(token), str(home / "copy.db"))
            assert code == 0, said
        else:
            assert holders(rows_of(postgres, database)) == []
        assert await daemon.terminate() == 0
    assert holders(files_in(home, but=tmp_path / "sandbox")) == []


async def test_the_search_finds_a_code_that_is_not_said_to_be_sensitive(
    services: PushServices, hook: Hook, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = configuration(services, hook)
    for rule in settings["rules"]:
        rule["push"].pop("sensitive", None)
    async with Daemon(home, settings) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        async with httpx.AsyncClient() as client:
            (await client.post(f"{daemon.url}/in/login", json={"id": "e-1", "code": CODE})).raise_for_status()
        await until(lambda: bool(hook.of_type("delivered")))
        found = holders(await answers(daemon))
        assert {name.partition(" ")[0] for name in found} >= {"dead-letters", "received"}, found
        assert await daemon.terminate() == 0
    assert holders(files_in(home, but=tmp_path / "sandbox")) == [str(daemon.database_file)]
