"""Nights of push services and queues: one that is slow, one that throttles, and phones that are all called dead."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.services import PushServices
from tests.integration.daemon import Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_operator import TEMPLATE, configuration, post, register

SLOW = 11.0
"""Seconds of an answer, more than the objective of a push has."""
PHONES = 1_600
"""More than the guard against mass invalidation asks for."""


@asynccontextmanager
async def slow(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A push service that takes its time, and a daemon in which 200 notifications may wait."""
    config = configuration(services)
    config["bridge"] = {"store": {"max_pending": 200}}
    async with Daemon(directory, config) as daemon:
        await daemon.start()
        await register(daemon, services)
        yield Night(daemon, services, directory)


@asynccontextmanager
async def dead(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A push service that knows none of the phones, as the other environment would."""
    async with Daemon(directory, configuration(services)) as daemon:
        await daemon.start()
        phones = [services.add_phone(f"phone-{number}", "apns") for number in range(PHONES)]
        await daemon.register(
            *(
                {
                    "installationId": phone.name,
                    "platform": "apns",
                    "pushChannel": phone.handle,
                    "tags": ["team:all"],
                    "templates": {"text": {"body": TEMPLATE}},
                }
                for phone in phones
            )
        )
        yield Night(daemon, services, directory)


async def slow_answers(night: Night) -> None:
    night.services.apns.faults.latency(SLOW)
    await post(night.daemon, "slow")


async def more_than_goes_out(night: Night) -> None:
    night.services.apns.faults.clear()
    night.services.apns.faults.answer(503, "ServiceUnavailable")
    async with asyncio.TaskGroup() as group:
        for number in range(150):
            group.create_task(post(night.daemon, f"waits-{number}"))


async def many_gone(night: Night) -> None:
    night.services.apns.faults.answer(410, "Unregistered", share=0.4)
    for number in range(2):
        await post(night.daemon, f"to all, {number}")


NO_ANSWER = r"app/apns +failing +no answer within the deadline"

SCENES: Mapping[str, Scene] = {"slow push service": slow, "dead phones": dead}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeDeliverySloFastBurn": Fault(scene="slow push service", prints=NO_ANSWER, make=slow_answers),
    "PushbridgeDeliverySloSlowBurn": Fault(scene="slow push service", prints=NO_ANSWER),
    "PushbridgeQueueRunningFull": Fault(
        scene="slow push service",
        prints=r"waiting +1\d\d of 200[\s\S]*app/apns +full .*ServiceUnavailable",
        make=more_than_goes_out,
    ),
    "PushbridgeInvalidTokenSurge": Fault(
        scene="dead phones", prints=r"app/apns +braked [\s\S]*apns +ExpiredChannel +\d{3,}", make=many_gone
    ),
    "PushbridgeDeviceRemovalBraked": Fault(scene="dead phones", prints=r"app/apns +braked +no phone is removed"),
}
