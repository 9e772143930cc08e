"""Reloads under load, as many as fit into a test: `make chaos` does 200."""

from pathlib import Path

import pytest

from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMq
from tests.integration import reloads


@pytest.mark.processes
async def test_reloads_in_a_directory_lose_and_repeat_nothing_and_leave_other_sources_connected(
    rabbitmq: RabbitMq, kafka: Kafka, tmp_path: Path
) -> None:
    witness = await reloads.run(tmp_path, rabbitmq, reloads=12, is_mounted=False, kafka=kafka, seed=16)
    assert witness.applied.total() == 12
    assert witness.refused.total() == 2
    assert {id[0] for id in witness.published} == set("rkh")


@pytest.mark.processes
async def test_reloads_of_a_mounted_directory_lose_and_repeat_nothing(rabbitmq: RabbitMq, tmp_path: Path) -> None:
    witness = await reloads.run(tmp_path, rabbitmq, reloads=12, is_mounted=True, seed=20)
    assert witness.applied.keys() == {"signal", "command", "watching"}
    assert witness.refused.total() == 2
