"""What the tests of whole processes share beside the brokers of a session."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.services import PushServices


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    """Stand-ins of the push services, for one test; their certificate is `server.pem` in `sandbox` of its directory."""
    directory = tmp_path / "sandbox"
    directory.mkdir()
    async with PushServices(directory) as services:
        yield services
