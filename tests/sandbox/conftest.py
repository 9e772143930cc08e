"""Services on loopback for one test, with a clock that the test moves."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from sandbox.services import PushServices


class MovableClock:
    """Stands still at the real time until moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def services(tmp_path: Path, clock: MovableClock) -> AsyncIterator[PushServices]:
    async with PushServices(tmp_path, clock=clock) as running:
        yield running


@pytest.fixture
async def http(services: PushServices) -> AsyncIterator[httpx.AsyncClient]:

    context = ssl.create_default_context(cafile=str(services.ca_file))
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
        yield client
