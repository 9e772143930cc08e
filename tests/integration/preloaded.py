"""Starts `pushbridge` again and again and imports it once: `python -m tests.integration.preloaded`.

A line of standard input is a JSON object: `arguments`, and the files that `output` and `errors` are appended to. The
process forks, and answers with the child's process id in a line, and with its exit code (less than 0: the signal) in
another once it ended. One child at a time.
"""

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

MODULES = (
    "bridge.cli.main",
    "bridge.app",
    "bridge.admin.console.routes",
    "bridge.config.reload",
    "bridge.config.watch",
    "bridge.observe.log",
    "connectors.rabbitmq.source",
    "hub.platforms.apns.sender",
    "hub.platforms.fcm.sender",
    "hub.platforms.wns.sender",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
"""What a daemon imports as it starts. None of it starts a thread or opens a file, so a child finds it as if new."""


class Preloaded:
    """Starts processes of `pushbridge`; what `process` returns is asked as `asyncio.subprocess.Process` is."""

    def __init__(self, parent: asyncio.subprocess.Process) -> None:
        self._parent = parent

    @classmethod
    async def start(cls) -> Self:
        """Import what `MODULES` names, in a process of its own."""
        module = str(__spec__.name)
        return cls(await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=PIPE, stdout=PIPE))

    async def process(self, arguments: Sequence[str], output: Path, errors: Path) -> "ForkedProcess":
        """A process of `pushbridge` with these arguments; the one before has ended."""
        assert self._parent.stdin is not None
        order = {"arguments": list(arguments), "output": str(output), "errors": str(errors)}
        self._parent.stdin.write(json.dumps(order).encode() + b"\n")
        return ForkedProcess(await self.number(), self)

    async def number(self) -> int:
        """The next number that the parent writes."""
        assert self._parent.stdout is not None
        return int(await self._parent.stdout.readline())

    async def close(self) -> None:
        """End the parent; its child has ended."""
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        await self._parent.wait()


class ForkedProcess:
    """A child of the preloaded process."""

    def __init__(self, pid: int, parent: Preloaded) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent

    def send_signal(self, signal: int) -> None:
        os.kill(self.pid, signal)

    async def wait(self) -> int:
        if self.returncode is None:
            self.returncode = await self._parent.number()
        return self.returncode


def main() -> None:
    for module in MODULES:
        import_module(module)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
            return
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(arguments: Sequence[Any], output: str, errors: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for number, opened in enumerate((nothing, os.open(output, flags), os.open(errors, flags))):
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["pushbridge", *arguments]
    gc.unfreeze()
    import_module("bridge.cli.main").main()


if __name__ == "__main__":
    main()
