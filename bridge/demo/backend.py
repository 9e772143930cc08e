"""The HR system: it knows Service Bus and nothing of push, and is written as any user of the SDK would."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from azure.core.exceptions import ResourceExistsError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.management import ServiceBusAdministrationClient

TOPIC = "hr"

_HAPPENINGS = ("has joined", "has left", "has switched to a different team")


class News(NamedTuple):
    """Something that happened to an employee; sent again, it has the same id."""

    id: str
    text: str


def news(chance: random.Random) -> Iterator[News]:
    """What happens to employees, without end."""
    while True:
        text = f"Employee Id '{chance.randint(10_000, 99_999)}' {chance.choice(_HAPPENINGS)}."
        yield News(id=f"{chance.getrandbits(48):012x}", text=text)


async def send(all_news: Iterable[News], connection_string: str, *, ca_file: Path, pause: float = 0.0) -> None:
    """Create the topic if it is missing, and send the news to it, `pause` seconds apart.

    Raises: what the SDK raises.
    """
    await asyncio.to_thread(_create_topic, connection_string, ca_file)
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_topic_sender(TOPIC) as sender,
    ):
        for each in all_news:
            await sender.send_messages(ServiceBusMessage(each.text, message_id=each.id))
            await asyncio.sleep(pause)


def _create_topic(connection_string: str, ca_file: Path) -> None:
    administration = ServiceBusAdministrationClient.from_connection_string(
        connection_string,
        connection_verify=str(ca_file),  # it uses TLS wherever it goes, and the stand-in has a CA of its own
    )
    with administration, suppress(ResourceExistsError):
        administration.create_topic(TOPIC)
