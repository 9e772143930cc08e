"""A relay before PostgreSQL that understands what passes, and cuts a connection in a phase of a transaction.

The frames are those of the protocol, version 3 (PostgreSQL's manual, "Message Formats"): a letter, four bytes of length,
the body. A statement comes whole (Query), or as a text (Parse) that is bound under a name and executed later (Bind).
"""

import asyncio
from collections.abc import Iterator
from enum import StrEnum

from tests.brokers.relay import Passing, Relay

READS = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""How the store begins a transaction that reads."""
WRITES = "BEGIN"
"""How it begins one that writes."""


class Phase(StrEnum):
    """Where in a transaction a connection is cut."""

    BEFORE_BEGIN = "BEGIN was on its way, and did not arrive"
    AFTER_BEGIN = "the transaction had begun"
    HALF_A_STATEMENT = "half of a statement had been sent"
    UNANSWERED_STATEMENT = "a statement was executed, and its answer did not arrive"
    BEFORE_COMMIT = "COMMIT was on its way, and did not arrive"
    AFTER_COMMIT = "COMMIT was executed, and its answer did not arrive"
    IDLE = "the transaction was over, and its answer had arrived"


class PostgresRelay(Relay):
    """Passes on until `arm` names a phase: the next transaction of that kind is cut there, once.

    Only connections without TLS are understood: `sslmode=disable&gssencmode=disable`.
    """

    def __init__(self, target: int, *, port: int = 0) -> None:
        super().__init__(target, port=port)
        self._phase: Phase | None = None
        self._begin = WRITES
        self._met = asyncio.Event()

    def arm(self, phase: Phase, *, begin: str = WRITES) -> None:
        """Cut the next transaction that is begun with this text."""
        self._phase, self._begin = phase, begin
        self._met.clear()

    @property
    def is_armed(self) -> bool:
        """Whether the phase has not come yet."""
        return self._phase is not None

    async def until_cut(self) -> None:
        """Return once the connection was cut in the phase."""
        await self._met.wait()

    def begins(self, statement: str) -> bool:
        """Whether such a transaction is to be cut somewhere."""
        return self.is_armed and statement == self._begin

    def meets(self, phase: Phase) -> bool:
        """Whether it is the one to cut in; from then on none is."""
        if phase is not self._phase:
            return False
        self._phase = None
        self._met.set()
        return True

    def _passing(self) -> tuple[Passing, Passing]:
        conversation = _Conversation(self)
        return conversation.from_client, conversation.from_server


class CountingRelay(Relay):
    """Passes everything on, and counts for what a client waits: a statement that comes whole, or the end of a pipeline."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.round_trips = 0

    def _passing(self) -> tuple[Passing, Passing]:
        frames = _Frames(has_startup=True)

        def from_client(data: bytes) -> tuple[bytes, bool]:
            self.round_trips += sum(kind in (b"Q", b"S") for kind, _ in frames.split(data))
            return data, False

        return from_client, super()._passing()[1]


class _Conversation:
    """One connection: which statement is under way, and whether its transaction is the one to cut."""

    def __init__(self, relay: PostgresRelay) -> None:
        self._relay = relay
        self._client, self._server = _Frames(has_startup=True), _Frames()
        self._texts: dict[bytes, str] = {}
        self._statement = ""
        self._is_chosen = False
        self._has_begun = False

    def from_client(self, data: bytes) -> tuple[bytes, bool]:
        passed = b""
        for kind, frame in self._client.split(data):
            if kind == b"P":
                name, text, _ = frame[5:].split(b"\0", 2)
                self._texts[name] = text.decode()
            elif kind in (b"Q", b"B"):
                self._statement = frame[5:-1].decode() if kind == b"Q" else self._texts[frame[5:].split(b"\0", 2)[1]]
                if (cut := self._cut_before(frame)) is not None:
                    return passed + cut, True
            passed += frame
        return passed, False

    def from_server(self, data: bytes) -> tuple[bytes, bool]:
        passed = b""
        for kind, frame in self._server.split(data):
            if self._is_chosen and kind == b"C":
                if self._statement == "COMMIT":
                    if self._relay.meets(Phase.AFTER_COMMIT):
                        return passed, True
                elif self._has_begun and self._relay.meets(Phase.UNANSWERED_STATEMENT):
                    return passed, True
            passed += frame
            if self._is_chosen and kind == b"Z":
                if not self._has_begun:
                    self._has_begun = True
                    if self._relay.meets(Phase.AFTER_BEGIN):
                        return passed, True
                elif self._statement == "COMMIT":
                    self._is_chosen = self._has_begun = False
                    if self._relay.meets(Phase.IDLE):
                        return passed, True
        return passed, False

    def _cut_before(self, frame: bytes) -> bytes | None:
        """What is still passed on of a statement where its connection is cut."""
        relay = self._relay
        if not self._is_chosen:
            self._is_chosen = relay.begins(self._statement)
            return b"" if self._is_chosen and relay.meets(Phase.BEFORE_BEGIN) else None
        if self._statement == "COMMIT":
            return b"" if relay.meets(Phase.BEFORE_COMMIT) else None
        return frame[: len(frame) // 2] if relay.meets(Phase.HALF_A_STATEMENT) else None


class _Frames:
    """Whole frames of what comes in pieces."""

    def __init__(self, *, has_startup: bool = False) -> None:
        self._rest = b""
        self._has_startup = has_startup

    def split(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(letter, frame with it); the first of a client has no letter."""
        self._rest += data
        while True:
            letters = 0 if self._has_startup else 1
            if len(self._rest) < letters + 4:
                return
            end = letters + int.from_bytes(self._rest[letters : letters + 4])
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[:end], self._rest[end:]
            self._has_startup = False
            yield frame[:letters], frame
