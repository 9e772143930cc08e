"""Microsoft's Service Bus emulator and the SQL Server it wants, in containers. Running it accepts their licences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

AMQP_PORT, ADMIN_PORT = 5672, 5300
_PASSWORD = "Only-for-this-test-1"


class Addresses(NamedTuple):
    """Connection strings for messages and for administration."""

    messages: str
    admin: str


@contextmanager
def emulator() -> Iterator[Addresses]:
    """The emulator without entities, removed afterwards."""
    with Network() as network:
        database = (
            DockerContainer("mcr.microsoft.com/mssql/server:2022-latest")
            .with_network(network)
            .with_network_aliases("sql")
            .with_env("ACCEPT_EULA", "Y")
            .with_env("MSSQL_SA_PASSWORD", _PASSWORD)
        )
        broker = (
            DockerContainer("mcr.microsoft.com/azure-messaging/servicebus-emulator:latest")
            .with_network(network)
            .with_env("ACCEPT_EULA", "Y")
            .with_env("SQL_SERVER", "sql")
            .with_env("MSSQL_SA_PASSWORD", _PASSWORD)
            .with_exposed_ports(AMQP_PORT, ADMIN_PORT)
        )
        with database, broker:
            wait_for_logs(broker, "Emulator Service is Successfully Up", timeout=120)
            host = broker.get_container_host_ip()
            yield Addresses(
                _connection_string(host, broker.get_exposed_port(AMQP_PORT)),
                _connection_string(host, broker.get_exposed_port(ADMIN_PORT)),
            )


def _connection_string(host: str, port: int) -> str:
    return (
        f"Endpoint=sb://{host}:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )
