"""Broadcasts of four daemons over one database."""

from pathlib import Path

import pytest

from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.fleet import Fleet
from tests.integration.fleet_broadcast import cancelled, import_phones, push_services, whole

PHONES = 30_000

pytestmark = pytest.mark.timeout(600)  # a minute on two idle cores


async def test_a_broadcast_is_worked_on_by_all_daemons_and_cancelled_from_any(
    rabbitmq: RabbitMq, postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        push_services(tmp_path) as services,
        Fleet.started(
            tmp_path, postgres, rabbitmq, services, prepare=lambda fleet: import_phones(fleet, PHONES)
        ) as fleet,
    ):
        await fleet.until_shared(*fleet.daemons)
        await cancelled(fleet, services, PHONES)
        await whole(fleet, services, PHONES)
