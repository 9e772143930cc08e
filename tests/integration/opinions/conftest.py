"""The stand-ins that other people's libraries talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.services import PushServices


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    async with PushServices(tmp_path) as running:
        yield running
