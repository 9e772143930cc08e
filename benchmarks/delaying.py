"""A relay that delays: python -m benchmarks.delaying TARGET_PORT SECONDS; it prints its port, and ends with its input.

Every byte comes so many seconds late, in both directions together: the time of a round trip grows by them.
"""

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop


class _Late(asyncio.Protocol):
    """One side of a connection: what comes goes to the other side, later and in order."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.transport: asyncio.Transport | None = None
        self.other: _Late | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by its class

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_later(self._delay, self.hand_on)
        self._waiting.append((self._loop.time() + self._delay, data))

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self._loop.call_later(2 * self._delay, self.other.transport.close)

    def hand_on(self) -> None:
        """Send what is due, once there is another side."""
        if self.other is None or self.other.transport is None:
            return
        now = self._loop.time()
        parts = []
        while self._waiting and self._waiting[0][0] <= now + 0.001:
            parts.append(self._waiting.popleft()[1])
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self.hand_on)
        if parts:
            self.other.transport.write(b"".join(parts))


class _Accepted(_Late):
    """The side of the client, which opens that of the server."""

    def __init__(self, delay: float, target: int) -> None:
        super().__init__(delay)
        self._target = target
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        await asyncio.sleep(2 * self._delay)  # as the handshake of TCP would take
        _, self.other = await self._loop.create_connection(lambda: _Late(self._delay), "127.0.0.1", self._target)
        self.other.other = self
        self.hand_on()


@contextmanager
def delayed(port: int, *, seconds: float) -> Iterator[int]:
    """A port behind which a port of loopback is, with a round trip that takes so many seconds more."""
    command = [sys.executable, "-m", "benchmarks.delaying", str(port), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


async def _main(target: int, round_trip: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Accepted(round_trip / 2, target), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), float(sys.argv[2])))
