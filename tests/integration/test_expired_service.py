"""A push service's own certificate ends while the daemon runs: its pushes wait and say why, and the others go on."""

from pathlib import Path

import pytest

from sandbox.services import PushServices
from tests.integration.daemon import Daemon, hubs, register_phone
from tests.integration.test_renewed_certificate import send, until_taken


@pytest.mark.processes
async def test_pushes_to_a_service_whose_certificate_has_ended_wait_and_say_why(
    services: PushServices, tmp_path: Path
) -> None:
    async with Daemon(tmp_path, {"hubs": hubs(services)}) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        await send(daemon, "0")
        await until_taken(services, 1)

        services.apns.faults.expire_certificate()
        for connection in list(services.apns._server.connections):
            connection.abort()
        await send(daemon, "1")
        await daemon.until_readiness(lambda _, lines: any("certificate has expired" in line for line in lines))
        assert len(services.journal.accepted()) == 1

        services.apns.faults.expire_certificate(False)
        await until_taken(services, 2)
        assert await daemon.terminate() == 0
    assert [entry.payload for entry in services.journal.accepted()] == [
        b'{"aps": {"alert": "%d"}}' % n for n in range(2)
    ]
