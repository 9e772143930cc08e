"""What aiokafka's consumer is made with: the traps of its defaults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from connectors.errors import NotConnectedError
from connectors.kafka.consumer import Consumer
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.timing import Timing


@asynccontextmanager
async def consumer_of(timing: Timing = Timing(), **changes: Any) -> AsyncIterator[Consumer]:
    """It connects to nothing."""
    settings = KafkaSettings.model_validate({"bootstrap": ["127.0.0.1:1"], "topics": ["t"], **changes})
    consumer = Consumer("s", settings, offsets=None, ahead={}, counts={}, timing=timing, on_warning=lambda _: None)
    yield consumer
    await consumer.close()


@asynccontextmanager
async def client_of(**changes: Any) -> AsyncIterator[Any]:
    """aiokafka's consumer for these settings."""
    async with consumer_of(**changes) as consumer:
        yield consumer._client


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
        assert client._auto_offset_reset == "none"  # or it would pass over messages where a log was cut


async def test_a_rebalance_leaves_a_member_what_it_has_where_it_can() -> None:
    """All assignors of aiokafka take every partition away for a moment; this one gives most of them back."""
    async with client_of() as client:
        assert client._partition_assignment_strategy == [StickyPartitionAssignor]


async def test_a_rebalance_without_an_end_is_a_lost_connection() -> None:
    """aiokafka may join for ever; nothing comes meanwhile, and no count of what waits would show it."""
    async with consumer_of(Timing(join=-45.0)) as consumer:  # the patience of a rebalance is over at once
        with pytest.raises(NotConnectedError, match="no partitions from the group within 0 s"):
            await consumer.backlog()
        with pytest.raises(NotConnectedError, match="no partitions from the group"):
            await consumer.receive(1)
