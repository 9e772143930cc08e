"""What aiokafka's consumer is made with: the traps of its defaults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.kafka.consumer import Consumer
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.timing import Timing


@asynccontextmanager
async def client_of(**changes: object) -> AsyncIterator[Any]:
    """aiokafka's consumer for these settings; it connects to nothing."""
    settings = KafkaSettings.model_validate({"bootstrap": ["127.0.0.1:1"], "topics": ["t"], **changes})
    consumer = Consumer("s", settings, offsets=None, ahead={}, counts={}, timing=Timing(), on_warning=lambda _: None)
    yield consumer._client
    await consumer.close()


@pytest.mark.parametrize("session, drain, seconds", [(45, 20, 45), (45, 60, 70), (10, 0, 10)])
async def test_a_rebalance_waits_longer_than_a_drain_takes(session: int, drain: int, seconds: int) -> None:
    """aiokafka would evict a member that drains beyond the session: its default is the session's timeout."""
    async with client_of(receive={"session_timeout": session, "drain_on_revoke": drain}) as client:
        assert client._rebalance_timeout_ms == seconds * 1000
        assert client._session_timeout_ms == session * 1000


@pytest.mark.parametrize("name", [None, "bridge-0"])
async def test_membership_is_static_where_it_is_asked_for_alone(name: str | None) -> None:
    """A static member that stops leaves its partitions unread for a session."""
    async with client_of(group_instance_id=name) as client:
        assert client._group_instance_id == name


async def test_nothing_is_committed_or_decoded_by_the_client_itself() -> None:
    async with client_of() as client:
        assert client._enable_auto_commit is False
        assert client._key_deserializer is client._value_deserializer is None
        assert client._isolation_level == "read_committed"
