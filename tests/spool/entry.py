"""All of the connector: settings, source, publisher, entry."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from connectors.base import Backlog, Disposition, Message, OutMessage, Settlement
from connectors.connector import Capacity, Connector, DeadLetterRoute


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpoolSettings(_Settings):
    directory: Path


class SpoolPlace(_Settings):
    suffix: str


class SpoolSource:
    def __init__(self, name: str, settings: SpoolSettings) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._directory = settings.directory
        self._unsettled: set[Path] = set()

    async def connect(self) -> None:
        self._unsettled = set()

    async def receive(self, limit: int) -> Sequence[Message]:
        found = [path for path in sorted(self._directory.glob("*.json")) if path not in self._unsettled][:limit]
        if not found:
            await asyncio.sleep(0.05)
        self._unsettled.update(found)
        return [
            Message(
                source=self.name,
                body=path.read_bytes(),
                position=path.name,
                properties={"file_name": path.name},
                receipt=path,
            )
            for path in found
        ]

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        for message, answer in settled:
            self._unsettled.discard(message.receipt)
            if answer.settlement is not Settlement.NACK:
                message.receipt.unlink(missing_ok=True)

    async def backlog(self) -> Backlog:
        return Backlog(messages=len(list(self._directory.glob("*.json"))))

    async def close(self) -> None:
        self._unsettled = set()


class SpoolPublisher:
    def __init__(self, settings: SpoolSettings) -> None:
        self._directory = settings.directory

    async def connect(self) -> None:
        pass

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        for message in messages:
            (self._directory / f"{message.id}{message.destination}").write_bytes(message.body)

    async def close(self) -> None:
        pass


def _source(name: str, settings: SpoolSettings, capacity: Capacity) -> SpoolSource:
    return SpoolSource(name, settings)


def _publisher(name: str, settings: SpoolSettings, place: SpoolPlace) -> SpoolPublisher:
    return SpoolPublisher(settings)


SPOOL = Connector(
    key="spool",
    old_keys=("mailbox",),
    title="Spool",
    doc="Files of a directory, each a message, which is deleted once its event is taken.",
    settings=SpoolSettings,
    make_source=_source,
    meta={"file_name": "The name of the file."},
    has_position=True,
    dead_letters=DeadLetterRoute(
        place=SpoolPlace,
        doc="A file beside the others, with a suffix of its own.",
        make_publisher=_publisher,
        destination=lambda place: place.suffix,
    ),
    main_setting="directory",
    later={(): ("watch",)},
)
