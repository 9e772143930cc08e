"""What goes wrong with the database of a daemon, before its start and while it runs: named, and nothing is lost."""

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.exits import Exit
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.migrate import migrate_now
from sandbox.services import PushServices
from tests.brokers.pgbouncer import pooler
from tests.brokers.postgres import PASSWORD, Postgres, small_disk
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon
from tests.integration.on_postgres import (
    accepted,
    command,
    database_of,
    publish,
    register,
    settings_of,
    until_pushed,
)

EACH = 20
SPACE = 48
"""MiB of a small file system: a database takes a sixth."""
ROLE = "troubled"


@pytest.fixture
def settings(services: PushServices, rabbitmq: RabbitMq, postgres: Postgres, tmp_path: Path) -> dict[str, Any]:
    return settings_of(services, rabbitmq, postgres, tmp_path)


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """A role for the daemon, without any right."""
    postgres.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    yield ROLE
    postgres.run(f"DROP OWNED BY {ROLE}")
    postgres.run(f"DROP ROLE {ROLE}")


async def said(url: str, tmp_path: Path, *, password: str = PASSWORD) -> tuple[str, str]:
    """What `run` and `doctor` say of a database that no daemon can work with."""
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    config = {"bridge": {"store": {"url": url, "password_file": str(file)}}, "hubs": {HUB: {}}}
    async with Daemon(tmp_path, config) as daemon:
        code, ran = await command("run", str(daemon.config_file))
        assert code == Exit.CANNOT_START, ran
        code, examined = await command("doctor", str(daemon.config_file))
        assert code == Exit.FAILED, examined
    return ran, examined


@pytest.mark.processes
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("a wrong password", "the user or its password is refused"),
        ("no rights", "the role lacks a right: permission denied for table schema"),
        ("a right is missing", f"{ROLE} may not INSERT in notification"),
        ("another program's", "the database belongs to another program"),
        ("a newer version's", "needs a program that knows version 99"),
        ("a column is missing", "lacks notification.rule of its schema"),
        ("an index is missing", "lacks page_due of its schema: run CREATE INDEX page_due"),
        ("a type was changed", "journal.size is integer and has to be bigint"),
        ("a pooler of transactions", "a pooler hands out a connection of others: it has to pool sessions"),
    ],
)
async def test_a_database_that_no_daemon_can_work_with_is_named_at_the_start_and_by_doctor(
    postgres: Postgres, role: str, tmp_path: Path, trouble: str, words: str
) -> None:
    name = postgres.create()
    migrate_now(PostgresAddress(url=postgres.url(name)))
    done = {
        "a right is missing": (
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; REVOKE INSERT ON notification FROM {role}"
        ),
        "another program's": "COMMENT ON TABLE schema IS 'theirs'",
        "a newer version's": "UPDATE schema SET version = 99, readable_from = 99",
        "a column is missing": "ALTER TABLE notification DROP COLUMN rule",
        "an index is missing": "DROP INDEX page_due",
        "a type was changed": "ALTER TABLE journal ALTER COLUMN size TYPE integer",
    }
    if trouble in done:
        postgres.run(done[trouble], database=name)
    user = role if "right" in trouble else "postgres"
    between: AbstractContextManager[str] = nullcontext(postgres.url(name, user=user))
    if trouble == "a pooler of transactions":
        between = pooler(postgres, name, mode="transaction")
    with between as url:
        ran, examined = await said(
            re.sub(r":[^:@/]+@", "@", url), tmp_path, password="wrong" if trouble == "a wrong password" else PASSWORD
        )
    assert words in ran
    assert words in examined
    assert "Traceback" not in ran + examined
    postgres.drop(name)


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_what_breaks_at_the_database_of_a_running_daemon_is_named_loses_nothing_and_is_over_once_it_is_mended(
    rabbitmq: RabbitMq,
    postgres: Postgres,
    services: PushServices,
    settings: dict[str, Any],
    role: str,
    tmp_path: Path,
) -> None:
    name, password = database_of(settings), Path(settings["bridge"]["store"]["password_file"])
    migrate_now(PostgresAddress(url=postgres.url(name)))
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    postgres.run(grant, database=name)
    settings["bridge"]["store"]["url"] = settings["bridge"]["store"]["url"].replace("postgres@", f"{role}@")
    read_only = f"ALTER ROLE {role} SET default_transaction_read_only"
    troubles = [
        ("a right is taken", f"REVOKE INSERT ON notification FROM {role}", grant, "the role lacks a right"),
        (
            "a column is missing",
            "ALTER TABLE notification RENAME rule TO away",
            "ALTER TABLE notification RENAME away TO rule",
            "the schema is not that of pushbridge",
        ),
        (
            "a type was changed",
            "ALTER TABLE notification ALTER COLUMN done TYPE text",
            "ALTER TABLE notification ALTER COLUMN done TYPE bigint USING done::bigint",
            "the schema is not that of pushbridge",
        ),
        ("a standby", f"{read_only} = on", f"{read_only} = off", "the database is read-only, as a standby is"),
        ("another password", f"ALTER ROLE {role} PASSWORD 'new'", "", "the user or its password is refused"),
    ]
    async with Daemon(tmp_path, settings) as daemon:
        await daemon.start()
        await register(daemon, services)
        for number, (trouble, broken, mended, words) in enumerate(troubles):
            failed = sum(_errors(await daemon.metrics()).values())
            await asyncio.to_thread(postgres.run, broken, database=name)
            if trouble in ("a standby", "another password"):
                await asyncio.to_thread(postgres.cut, name)
            await publish(rabbitmq, settings, first=number * EACH, count=EACH)
            lines = await daemon.until_readiness(partial(_says, words))
            assert any(line.startswith("store: failing") for line in lines), (trouble, lines)
            assert sum(_errors(await daemon.metrics()).values()) > failed, trouble
            assert any(words in line.get("error", "") for line in daemon.log() if line["event"] == "store failed")
            if mended:
                await asyncio.to_thread(postgres.run, mended, database=name)
            else:
                password.write_text("new\n")
            if trouble == "a standby":
                await asyncio.to_thread(postgres.cut, name)
            await until_pushed(services, (number + 1) * EACH)
            await daemon.until_ready()
        assert await daemon.terminate() == 0, daemon.errors()
    count = len(troubles) * EACH
    assert await asyncio.to_thread(accepted, postgres, name) == [("Completed", count, count)]
    postgres.drop(name)


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_a_disk_that_fills_at_the_database_is_named_and_the_daemon_goes_on_once_there_is_room(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, settings: dict[str, Any], tmp_path: Path
) -> None:
    name = database_of(settings)
    with small_disk(SPACE) as small:
        postgres.run(f"CREATE TABLESPACE small LOCATION '{small}'")
        postgres.run(f"ALTER DATABASE {name} SET TABLESPACE small")
        settings["rules"][0]["push"]["with"]["filling"] = "{{ data.filling }}"  # kept, and in no template
        async with Daemon(tmp_path, settings) as daemon:
            await daemon.start()
            await register(daemon, services)
            ballast = small / "ballast"
            ballast.write_bytes(bytes(2**20 * (SPACE - 16)))
            published = 0
            async with asyncio.timeout(START_TIMEOUT):
                while not _says("the disk of the database is full", 0, await _readiness(daemon)):
                    await publish(rabbitmq, settings, first=published, count=EACH, filling=os.urandom(10_000).hex())
                    published += EACH
                    await asyncio.sleep(0.2)
            ballast.unlink()
            await until_pushed(services, published)
            await daemon.until_ready()
            assert await daemon.terminate() == 0, daemon.errors()
        assert await asyncio.to_thread(accepted, postgres, name) == [("Completed", published, published)]
        postgres.drop(name)
        postgres.run("DROP TABLESPACE small")


def _says(words: str, status: int, lines: Sequence[str]) -> bool:
    return any(words in line for line in lines)


def _errors(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key.startswith("pushbridge_store_errors_total")}


async def _readiness(daemon: Daemon) -> list[str]:
    """The lines of now."""
    return list(await daemon.until_readiness(lambda status, lines: True))
