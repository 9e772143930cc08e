"""Tests of the senders run on both event loops that the daemon may have."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from hub.platforms.apns.sender import ApnsSender
from hub.platforms.fcm.sender import FcmSender
from hub.platforms.webpush.sender import WebPushSender
from hub.platforms.wns.sender import WnsSender
from sandbox.services import PushServices
from tests.hub.platforms.lanes import Lane, apns_settings, fcm_settings, webpush_settings, wns_settings


@pytest.hookimpl(optionalhook=True)  # pytest-asyncio before 1.4 knows its own loop only
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    async with PushServices(tmp_path) as running:
        yield running


@pytest.fixture
async def apns(services: PushServices) -> AsyncIterator[Lane]:
    sender = ApnsSender(apns_settings(services))
    yield Lane(services, sender)
    await sender.close()


@pytest.fixture
async def fcm(services: PushServices) -> AsyncIterator[Lane]:
    sender = FcmSender(fcm_settings(services))
    yield Lane(services, sender)
    await sender.close()


@pytest.fixture
async def wns(services: PushServices) -> AsyncIterator[Lane]:
    sender = WnsSender(wns_settings(services))
    yield Lane(services, sender)
    await sender.close()


@pytest.fixture
async def webpush(services: PushServices) -> AsyncIterator[Lane]:
    sender = WebPushSender(webpush_settings(services))
    yield Lane(services, sender)
    await sender.close()


@pytest.fixture
def lanes(apns: Lane, fcm: Lane, wns: Lane, webpush: Lane) -> list[Lane]:
    return [apns, fcm, wns, webpush]
