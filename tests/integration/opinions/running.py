"""Runs a program that holds somebody else's library against the stand-ins."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIBRARIES = ROOT / ".venv" / "opinions"
"""Python libraries that stay out of the environment of the daemon, for PYTHONPATH."""
_LONGEST = 60
"""Seconds that a program may take."""


async def run(program: Sequence[str], given: bytes = b"", **environment: str) -> bytes:
    """What a program writes when it has read what is given."""
    process = await asyncio.create_subprocess_exec(
        *program,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(given), _LONGEST)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()
    return output
