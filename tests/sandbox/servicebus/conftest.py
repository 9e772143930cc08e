"""Namespaces for the tests with the SDK: one for all, as clients take half a second to open and to close."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from sandbox.servicebus import ServiceBus
from tests.sandbox.servicebus.bus import Bus, connected, connected_to
from tests.sandbox.servicebus.emulator import emulator
from tests.sandbox.servicebus.together import Stage

EITHER = ["stand-in", pytest.param("emulator", marks=pytest.mark.docker)]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=EITHER)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A namespace that both can be; nothing can be made to fail in it."""
    if request.param == "stand-in":
        async with ServiceBus() as broker, connected_to(broker) as bus:
            bus.start(request.session.items, bus=request.param)
            yield bus
    else:
        with emulator() as addresses:
            async with connected(
                addresses.messages,
                addresses.admin,
                short_lock=timedelta(seconds=5),
                max_open=8,  # it takes ten connections
            ) as bus:
                bus.start(request.session.items, bus=request.param)
                yield bus


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """For tests that have a broker of their own, which they may break."""
    stage = Stage()
    stage.directory = tmp_path_factory.mktemp("servicebus")
    stage.start(request.session.items)
    yield stage
    await stage.stop()
