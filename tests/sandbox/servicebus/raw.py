"""An AMQP client that says exactly what a test wants, for what the SDK never does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sandbox.servicebus import ServiceBus
from sandbox.servicebus.amqp.framing import PROTOCOL_HEADER, SASL, SASL_HEADER, FrameReader, frame
from sandbox.servicebus.amqp.performatives import Attach, Begin, Flow, Open, Performative, SaslInit, read_performative
from sandbox.servicebus.amqp.types import Described, Symbol, UInt, ULong

P = TypeVar("P", bound=Performative)

SOURCE, TARGET = 0x28, 0x29


class RawClient:
    """One connection with one session on channel 0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._headers = 2

    def write(self, data: bytes) -> None:
        """Say anything."""
        self._writer.write(data)

    def say(self, performative: Performative, payload: bytes = b"", *, channel: int = 0) -> None:
        """Say something in a frame."""
        self.write(frame(channel, performative.encode() + payload))

    def open(self, *, max_frame_size: int = 65_536, idle_time_out: int | None = None, window: int = 1000) -> None:
        """Everything until there is a session."""
        self.write(SASL_HEADER + frame(0, SaslInit(Symbol("ANONYMOUS")).encode(), kind=SASL) + PROTOCOL_HEADER)
        idle = None if idle_time_out is None else UInt(idle_time_out)
        self.say(Open("raw", max_frame_size=UInt(max_frame_size), idle_time_out=idle))
        self.say(Begin(None, next_outgoing_id=UInt(0), incoming_window=UInt(window), outgoing_window=UInt(1000)))

    def attach(self, path: str, *, handle: int, receives: bool) -> None:
        """A link to an entity or node."""
        self.say(
            Attach(
                f"link-{handle}",
                UInt(handle),
                role=receives,
                source=Described(ULong(SOURCE), [path]),
                target=Described(ULong(TARGET), [path]),
                initial_delivery_count=None if receives else UInt(0),
            )
        )

    def flow(self, *, handle: int | None = None, seen: int = 1, window: int = 1000, **fields: Any) -> None:
        """Tell that `seen` is the next transfer to come, and how many more may."""
        where = None if handle is None else UInt(handle)
        self.say(Flow(UInt(seen), UInt(window), UInt(0), UInt(1000), handle=where, **fields))

    async def heartbeat(self) -> None:
        """Wait for a frame that says nothing."""
        while await self._frame():
            pass

    async def next(self, kind: type[P]) -> tuple[P, bytes]:
        """The next thing of this kind that the broker says, whatever it says before."""
        while True:
            body = await self._frame()
            if not body:
                continue
            performative, payload = read_performative(body)
            if isinstance(performative, kind):
                return performative, payload

    async def says_nothing_of(self, kind: type[P], **flow: int) -> bool:
        """Whether the broker, asked for a sign of life, gives it without saying this first."""
        self.flow(echo=True, **flow)
        while True:
            performative, _ = read_performative(await self._frame())
            if isinstance(performative, kind):
                return False
            if isinstance(performative, Flow) and performative.handle is None:
                return True

    async def ended(self) -> bool:
        """Wait until the broker has closed the connection."""
        return await asyncio.wait_for(self._reader.read(), 5) == b""

    async def _frame(self) -> bytes:
        while True:
            if self._headers and (header := self._frames.protocol_header()) is not None:
                assert header in (SASL_HEADER, PROTOCOL_HEADER)
                self._headers -= 1
                if self._headers:  # two frames of SASL come between the headers
                    await self._sasl_frame()
                    await self._sasl_frame()
                continue
            if not self._headers and (received := self._frames.frame()) is not None:
                return received.body
            await self._read()

    async def _sasl_frame(self) -> None:
        while (received := self._frames.frame()) is None:
            await self._read()
        assert received.kind == SASL

    async def _read(self) -> None:
        data = await asyncio.wait_for(self._reader.read(65_536), 5)
        assert data, "the broker has closed the connection"
        self._frames.feed(data)


@asynccontextmanager
async def raw_client(broker: ServiceBus) -> AsyncIterator[RawClient]:
    """A connection on which nothing has been said yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
