"""A daemon over PostgreSQL, with one queue of RabbitMQ and one rule, and what can be asked of it."""

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import START_TIMEOUT, Daemon, hubs


def settings_of(services: PushServices, rabbitmq: RabbitMq, postgres: Postgres, directory: Path) -> dict[str, Any]:
    """The configuration, with the store in an empty database; the password is in a file of the directory."""
    password = directory / "password"
    password.write_text(f"{PASSWORD}\n")
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{postgres.create()}"
    queue = {"name": f"test.postgres.{uuid4().hex[:8]}", "create_if_missing": {}}
    return {
        "version": 1,
        "bridge": {"store": {"url": url, "password_file": str(password), "max_pending": 200}},
        "sources": {"orders": {"rabbitmq": {"url": rabbitmq.url, "queue": queue}}},
        "rules": [{"name": "order", "push": {"to": "team:all", "with": {"text": "order {{ data.number }}"}}}],
        "hubs": hubs(services),
    }


def database_of(settings: dict[str, Any]) -> str:
    return str(settings["bridge"]["store"]["url"]).rpartition("/")[2]


def accepted(postgres: Postgres, database: str) -> list[Any]:
    """(state, notifications, events) of all that is in the database."""
    query = "SELECT state, count(*), count(DISTINCT event_id) FROM notification GROUP BY state"
    return postgres.run(query, database=database)


async def register(daemon: Daemon, services: PushServices) -> None:
    phone = services.add_phone("phone", "apns")
    installation = {
        "installationId": phone.name,
        "platform": phone.platform,
        "pushChannel": phone.handle,
        "tags": ["team:all"],
        "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
    }
    await daemon.register(installation)


async def publish(
    rabbitmq: RabbitMq, settings: dict[str, Any], *, first: int = 0, count: int, filling: str = ""
) -> None:
    """Events with numbers from `first` on, and something beside them."""
    queue = settings["sources"]["orders"]["rabbitmq"]["queue"]["name"]
    numbers = range(first, first + count)
    messages = (
        (orjson.dumps({"number": number, "filling": filling}), {"message_id": f"order-{number}"}) for number in numbers
    )
    await asyncio.to_thread(queues.put, rabbitmq.url, queue, messages)


async def until_pushed(services: PushServices, count: int) -> None:
    """Return when so many notifications have been pushed."""
    async with asyncio.timeout(START_TIMEOUT):
        while len({entry.push_id for entry in services.journal}) < count:
            await asyncio.sleep(0.05)


async def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `pushbridge` with these arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()
