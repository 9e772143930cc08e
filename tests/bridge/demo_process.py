"""The demo as a user starts it: a process of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    process: asyncio.subprocess.Process
    page_url: str
    connection_string: str


async def finished_demo(*arguments: str, temporary: Path) -> Ended:
    """Run the demo with `arguments` to its own end; everything it writes goes below `temporary`."""
    return await finished(await _start("-m", "bridge", "demo", *arguments, temporary=temporary))


async def finished_demo_of(configuration: Path, *, exit_after: float, temporary: Path) -> Ended:
    """The same with another configuration than the one that ships."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from bridge.demo.run import demo\n"
        "configuration, exit_after = pathlib.Path(sys.argv[1]), float(sys.argv[2])\n"
        "sys.exit(asyncio.run(demo(exit_after=exit_after, port=0, configuration=configuration)))"
    )
    return await finished(await _start("-c", program, str(configuration), str(exit_after), temporary=temporary))


async def finished(process: asyncio.subprocess.Process) -> Ended:
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return Ended(code=process.returncode, stdout=stdout.decode(), stderr=stderr.decode())


@asynccontextmanager
async def running_demo(*arguments: str, temporary: Path) -> AsyncIterator[Running]:
    """The demo for as long as the block lasts; it has said where its page and its Service Bus are."""
    process = await _start("-m", "bridge", "demo", "--port", "0", *arguments, temporary=temporary)
    assert process.stdout is not None
    try:
        said = ""
        while (found := re.search(r"Look here +(\S+)[\s\S]+Send to a topic +(\S+)", said)) is None:
            line = await process.stdout.readline()
            assert line, "the demo ended before it said where to look"
            said += line.decode()
        yield Running(process=process, page_url=found[1], connection_string=found[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _start(*arguments: str, temporary: Path) -> asyncio.subprocess.Process:
    temporary.mkdir(exist_ok=True)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that what it started can be found by its process group
    )
