"""A relay that does a fault at a chosen place of a conversation, whatever its protocol is."""

import asyncio
import random
from dataclasses import dataclass
from enum import StrEnum

from tests.brokers.relay import Passing, Relay

_PIECE, _PAUSE = 200, 0.002
"""Bytes that a slow relay passes on at a time, and the seconds between two of these."""


class Fault(StrEnum):
    """What happens to what passes."""

    CUT = "cut"
    HALF_OPEN = "half-open"
    """Bytes are swallowed, and for each side the connection stays open."""
    GARBAGE = "garbage"


class Way(StrEnum):
    """Who has sent what passes."""

    CLIENT = "client"
    SERVER = "server"


class FaultyRelay(Relay):
    """Passes everything on, until `arm` names a fault and the piece of the conversation at which it is done, once.

    A fault meets every connection that is open by then; those that are made afterwards are good.
    """

    def __init__(self, target: int, *, port: int = 0) -> None:
        super().__init__(target, port=port)
        self.pieces = dict.fromkeys(Way, 0)
        """How many have passed since the last `arm`."""
        self.is_slow = False
        self._fault: Fault | None = None
        self._at, self._of = 0, Way.SERVER
        self._opened = self._deaf = 0
        self._met = asyncio.Event()
        self._cutting: asyncio.Task[None] | None = None
        self._answering = asyncio.Event()
        self._answering.set()
        self._chance = random.Random(1)

    def arm(self, fault: Fault, *, at: int = 1, of: Way = Way.SERVER) -> None:
        """Do this at the piece `at`, counted from now on."""
        self.pieces = dict.fromkeys(Way, 0)
        self._fault, self._at, self._of = fault, at, of
        self._met.clear()

    def hold_answers(self, held: bool = True) -> None:
        """Pass on what clients send, and keep what servers do until it is let go."""
        if held:
            self._answering.clear()
        else:
            self._answering.set()

    async def until_met(self) -> None:
        """Return once the fault was done."""
        await self._met.wait()

    def _passing(self) -> tuple[Passing, Passing]:
        self._opened += 1
        return _Passing(self, self._opened, Way.CLIENT), _Passing(self, self._opened, Way.SERVER)

    def passed(self, connection: int, way: Way, data: bytes) -> bytes:
        """What of a piece is passed on."""
        if self.is_deaf(connection):
            return b""
        self.pieces[way] += 1
        if self._fault is None or way is not self._of or self.pieces[way] < self._at:
            return data
        fault, self._fault = self._fault, None
        self._met.set()
        if fault is Fault.GARBAGE:
            return self._chance.randbytes(len(data))
        self._deaf = self._opened
        if fault is Fault.CUT:
            self._cutting = asyncio.create_task(self.cut())  # which ends the caller too
        return b""

    def is_deaf(self, connection: int) -> bool:
        return connection <= self._deaf

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: Passing) -> None:
        assert isinstance(passing, _Passing)
        while data := await reader.read(65536):
            if passing.way is Way.SERVER:
                await self._answering.wait()
            passed, _ = passing(data)
            piece = _PIECE if self.is_slow else max(1, len(passed))
            for start in range(0, len(passed), piece):
                writer.write(passed[start : start + piece])
                await writer.drain()
                await asyncio.sleep(_PAUSE if self.is_slow else 0)
        if self.is_deaf(passing.connection):  # nor does the other side hear that this one has closed
            await asyncio.Event().wait()
        writer.write_eof()


@dataclass(frozen=True)
class _Passing:
    """One way of a connection, by its number."""

    relay: FaultyRelay
    connection: int
    way: Way

    def __call__(self, data: bytes) -> tuple[bytes, bool]:
        return self.relay.passed(self.connection, self.way, data), False
