"""A provider of tokens, and a hub that phones call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.provider import Provider
from tests.hub.registration.calling import Calling


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider().serving() as provider:
        yield provider


@pytest.fixture
async def calling(tmp_path: Path, provider: Provider) -> AsyncIterator[Calling]:
    async with Calling(tmp_path / "hub.db", provider) as calling:
        yield calling
