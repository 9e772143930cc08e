"""The stand-in as a whole: start it, connect to it, make things go wrong in it."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.connection import Connection
from sandbox.faults import Faults as HttpFaults
from sandbox.server import Http1Connection
from sandbox.servicebus import conditions
from sandbox.servicebus.admin import Admin
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.broker import Broker
from sandbox.servicebus.connection import AmqpConnection
from sandbox.servicebus.emulator_config import create_entities
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.links import Link
from sandbox.servicebus.listener import HOST, Listener
from sandbox.servicebus.management import MANAGEMENT_SUFFIX
from sandbox.servicebus.policies import Policies, Policy
from sandbox.servicebus.pump import Clock
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.rules.rule import Rule
from sandbox.servicebus.settings import QueueSettings, TopicSettings
from sandbox.servicebus.storage import FileStorage, Storage
from sandbox.servicebus.topic import Subscription, Topic
from sandbox.tls import Authority

KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ServiceBus:
    """A Service Bus namespace on loopback: `async with ServiceBus() as broker`.

    One port serves AMQP and the administration interface, plain or in TLS. It is a free one unless given.
    `state_file` keeps entities and messages over restarts of the process (see `storage.py`); without it they live as
    long as this object, `stop` and `start` included. The authority's CA is in `ca_file`, made anew in a directory of
    its own unless one is given. With `policies` a client may do what its key allows; without, any key allows everything.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state_file: Path | None = None,
        authority: Authority | None = None,
        clock: Clock = wall_clock,
        policies: Sequence[Policy] = (),
    ) -> None:
        self.faults = Faults()
        self._cleanup = ExitStack()
        self._port = port
        self._state_file = state_file
        self._clock = clock
        self._authority = authority
        self._connections: set[AmqpConnection] = set()
        self._http_connections: set[Connection] = set()
        self._policies = Policies(policies) if policies else None
        self._broker: Broker
        self._listener: Listener

    async def __aenter__(self) -> Self:
        """Open the state and listen.

        Raises: OSError: the port is taken; sqlite3.Error: the state file cannot be used.
        """
        try:
            await self._open()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        self._cleanup.close()

    async def start(self) -> None:
        """Listen again after `stop`, on the same port, with everything as it was.

        Raises: OSError: the port is taken.
        """
        self._port = self._listener.start(self._port)

    async def stop(self) -> None:
        """Break every connection off and listen no more; entities, messages and locks stay. May be called twice."""
        await self._listener.stop()
        connections: list[AmqpConnection | Connection] = [*self._connections, *self._http_connections]
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.lost for connection in connections))

    @property
    def port(self) -> int:
        """The port, known once started."""
        return self._port

    @property
    def ca_file(self) -> Path:
        """What a client that uses TLS has to trust: `connection_verify` of the SDK."""
        assert self._authority is not None
        return self._authority.ca_file

    @property
    def connection_string(self) -> str:
        """For the emulator's plain mode; the administration client uses TLS at the same address even then."""
        return f"{self.tls_connection_string};UseDevelopmentEmulator=true;"

    @property
    def tls_connection_string(self) -> str:
        """For TLS, with which the SDK's messaging client ignores the port and dials 5671.

        Unless told otherwise: `custom_endpoint_address=broker.endpoint_address, transport_type=TransportType.Amqp`.
        """
        return f"Endpoint=sb://{HOST}:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"

    def connection_string_of(self, policy: Policy) -> str:
        """The same as `connection_string`, with the key of a policy."""
        key = f"SharedAccessKeyName={policy.name};SharedAccessKey={policy.key}"
        return f"Endpoint=sb://{HOST}:{self.port};{key};UseDevelopmentEmulator=true;"

    @property
    def endpoint_address(self) -> str:
        """For `custom_endpoint_address`."""
        return f"sb://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many AMQP connections are open."""
        return len(self._connections)

    def create_queue(self, name: str, settings: QueueSettings | None = None) -> MessageQueue:
        """Raises: EntityExistsError, InvalidEntityError."""
        return self._broker.namespace.create_queue(name, settings or QueueSettings())

    def create_topic(self, name: str, settings: TopicSettings | None = None) -> Topic:
        """Raises: EntityExistsError, InvalidEntityError."""
        return self._broker.namespace.create_topic(name, settings or TopicSettings())

    def create_subscription(
        self, topic: str, name: str, settings: QueueSettings | None = None, *, rule: Rule | None = None
    ) -> Subscription:
        """A subscription with this rule, else one that lets everything through.

        Raises: EntityNotFoundError: there is no such topic; EntityExistsError, InvalidEntityError.
        """
        return self._broker.namespace.create_subscription(topic, name, settings or QueueSettings(), rule)

    def create_entities(self, config: Path) -> None:
        """Create what a `Config.json` of Microsoft's emulator describes and is not there yet.

        Raises: OSError: the file cannot be read; InvalidEntityError.
        """
        create_entities(self._broker.namespace, config)

    def queue(self, path: str) -> MessageQueue:
        """What is in a queue, in `TOPIC/Subscriptions/SUB`, or in either's `…/$DeadLetterQueue`, and its counts.

        Raises: EntityNotFoundError.
        """
        return self._broker.namespace.message_queue(path)

    def rules(self, topic: str, subscription: str) -> dict[str, Rule]:
        """The rules of a subscription by name. Raises: EntityNotFoundError."""
        found = self._broker.namespace.subscription(topic, subscription).rules
        return {rule.name: rule for rule in found.values()}

    def cut(self) -> None:
        """Break every AMQP connection off, as a network does."""
        for connection in list(self._connections):
            connection.abort()

    def detach(self, path: str | None = None, *, condition: str | None = conditions.DETACH_FORCED) -> int:
        """Detach the links to `path` (all without it), with this condition or none; returns how many there were."""
        error = None if condition is None else AmqpError(condition, "detached on request")
        links = [link for link in self._links() if path is None or link.path.lower() == path.lower()]
        for link in links:
            link.end(error)
        return len(links)

    def close_connections(self, *, condition: str = conditions.CONNECTION_FORCED) -> None:
        """Close every connection with a condition, as Azure does with idle ones."""
        for connection in list(self._connections):
            connection.close(AmqpError(condition, "closed on request"))

    def expire_locks(self, path: str) -> None:
        """Let all locks of a queue or subscription, of messages and sessions, run out now. Raises: EntityNotFoundError."""
        self.queue(path).expire_locks(self._clock())

    async def _open(self) -> None:
        if self._authority is None:
            directory = self._cleanup.enter_context(tempfile.TemporaryDirectory())
            self._authority = Authority(Path(directory))
        storage = Storage() if self._state_file is None else FileStorage(self._state_file)
        self._cleanup.callback(storage.close)
        self._broker = Broker(storage, self.faults, self._clock, self._policies)
        self._broker.closed = self._detach_all
        self._cleanup.callback(self._broker.stop)
        admin = Admin(
            self._broker.namespace,
            lambda: f"http://{HOST}:{self.port}",
            policies=self._policies,
            clock=self._clock,
        )
        self._listener = Listener(
            amqp=lambda: AmqpConnection(self._broker, self._connections),
            http=lambda: Http1Connection(admin.serve, HttpFaults(), self._http_connections),
            context=self._authority.server_context(("http/1.1",)),
        )
        await self.start()

    def _links(self) -> list[Link]:
        return [
            link
            for connection in self._connections
            for session in connection.sessions.values()
            for link in session.links.values()
        ]

    def _detach_all(self, path: str) -> None:
        """An entity is deleted."""
        for gone in (path, path + MANAGEMENT_SUFFIX):
            self.detach(gone, condition=conditions.NOT_FOUND)
