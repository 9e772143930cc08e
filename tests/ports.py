"""Ports for servers that are started, ended and started again on the same one."""

import random
import socket
from contextlib import ExitStack

_CANDIDATES = range(20_000, 32_000)
"""Below the ports that systems give to clients: one of those may be a client's by the time the server comes back.

Worse, whoever asks such a port again and again whether its server is there is in the end given that very port, connects
to itself, and keeps the server out.
"""


def free_ports(count: int) -> list[int]:
    """Ports free just now; all are held until the last is found, so that none comes twice."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(_CANDIDATES, len(_CANDIDATES)):
            if len(found) == count:
                break
            one = held.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def free_row(count: int) -> int:
    """The first of so many ports in a row that are free just now."""
    while True:
        first = random.SystemRandom().choice(_CANDIDATES[:-count])
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
