"""The SDK's clients, opened as configured, and its exceptions as ours.

The pure Python AMQP of the SDK is used: with uAMQP it does not confirm settlements. `retry_total` is 0, as the
supervisor is who tries again; two loops of retries would multiply.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import certifi
from aiohttp import ClientHttpProxyError
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.core.rest import HttpRequest
from azure.servicebus import ServiceBusSubQueue, TransportType
from azure.servicebus._pyamqp.aio import AMQPClientAsync
from azure.servicebus._pyamqp.aio._transport_async import WebSocketTransportAsync
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)

from connectors.errors import AuthenticationError, NotConnectedError, SourceError, TopologyError
from connectors.logs import quieten
from connectors.servicebus.first_rule import with_first_rule
from connectors.servicebus.settings import Connection, ServiceBusSettings, parts_of
from hub.egress import Egress, Proxy, refusal
from hub.tls import Tls

_EMULATOR_PORT, _EMULATOR_ADMINISTRATION_PORT = 5672, 5300
_ADMINISTRATION_TIMEOUT = 10.0
_NOT_ALLOWED = "amqp:not-allowed"


async def _connect(transport: Any, _connect: Any = WebSocketTransportAsync.connect) -> None:
    """Connect a web socket; if that fails close its HTTP session, which the SDK leaves open, and name who refuses."""
    try:
        await _connect(transport)
    except BaseException as error:
        if transport.session is not None:
            await transport.session.close()
        if isinstance(error, ClientHttpProxyError):
            way = transport._http_proxy
            host, port, username = way["proxy_hostname"], way["proxy_port"], way.get("username", "")
            address = Proxy("", host.removeprefix("http://").strip("[]"), port, username, "")
            raise ConnectionError(
                refusal(address, error.status)
            ) from None  # else it has the request, with the password
        raise


async def _close(client: Any, _close: Any = AMQPClientAsync.close_async) -> None:
    """Close a client, and then its socket: the SDK leaves that open where the broker hung up before the session began, or
    while it was being closed, and each try of an outage would leave one until the collector comes by."""
    connection = None if client._external_connection else client._connection
    try:
        await _close(client)
    finally:
        if (writer := getattr(getattr(connection, "_transport", None), "writer", None)) is not None:
            writer.transport.abort()  # does not wait for what cannot be sent


WebSocketTransportAsync.connect = _connect  # type: ignore[method-assign]
AMQPClientAsync.close_async = _close  # type: ignore[method-assign]


class letting_go:  # noqa: N801 - reads like `suppress`; a generator would have its exception's traceback put back
    """Have an exception hold nothing of what the SDK was doing when it came.

    Its frames hold the connection, and that them, in a circle with half a megabyte of TLS context, so that every
    attempt of a long outage would leave that much until the collector comes by, which it does seldom here.

    The frames are let go of, not cleared: the SDK raises one error of a connection in all who use it, and to clear the
    frame of a coroutine that has caught it and goes on would end that, and hang.
    """

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        link = error
        seen: set[int] = set()  # one that was raised from itself would have no end
        while isinstance(error, Exception) and link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            link = link.__cause__ or link.__context__


@contextmanager
def translated(what: str, *, missing: str = "create it, or say create_if_missing") -> Iterator[None]:
    """Let only our exceptions out of a block that calls the SDK; `missing` is the advice when the entity is not there.

    After idle times and lost links the SDK is known to raise errors of its own code, AttributeError among
    them, so anything at all is a lost connection.
    """
    try:
        with letting_go():
            yield
    except SourceError:
        raise
    except (ServiceBusAuthenticationError, ServiceBusAuthorizationError, ClientAuthenticationError) as error:
        raise AuthenticationError(f"{what}: the credentials are refused: {_first_line(error)}") from error
    except MessagingEntityNotFoundError as error:
        raise TopologyError(f"{what} does not exist; {missing}: {_first_line(error)}") from error
    except MessagingEntityDisabledError as error:
        raise TopologyError(f"{what} is disabled: {_first_line(error)}") from error
    except Exception as error:
        if _NOT_ALLOWED in str(error):  # the SDK has no class for it
            raise SessionsDifferError(
                f"{what} and receive.sessions do not go together: {_first_line(error)}"
            ) from error
        raise NotConnectedError(f"{what}: {_described(error)}") from error


class SessionsDifferError(TopologyError):
    """The entity has sessions and they were not asked for, or the other way round."""


class Client:
    """Both clients of one connection: for messages, and for what is administered over HTTP."""

    def __init__(self, connection: Connection) -> None:
        quieten("azure", "urllib3")
        self._connection = connection
        self._credential = _credential(connection)
        self._messaging: ServiceBusClient = self._open(
            ServiceBusClient,
            retry_total=0,
            uamqp_transport=False,
            ssl_context=_context(connection.tls or Tls()),
            **_way(connection),
        )
        self._administration: ServiceBusAdministrationClient | None = None

    def receiver(self, settings: ServiceBusSettings, **options: Any) -> ServiceBusReceiver:
        """A receiver of the configured entity, not yet opened."""
        if settings.dead_letter:
            options["sub_queue"] = ServiceBusSubQueue.DEAD_LETTER
        if settings.queue is not None:
            return self._messaging.get_queue_receiver(settings.queue.name, **options)
        assert settings.topic is not None
        assert settings.subscription is not None
        return self._messaging.get_subscription_receiver(settings.topic.name, settings.subscription.name, **options)

    def sender(self, *, queue: str | None, topic: str | None) -> ServiceBusSender:
        """A sender to one of the two, not yet opened."""
        if queue is not None:
            return self._messaging.get_queue_sender(queue)
        assert topic is not None
        return self._messaging.get_topic_sender(topic)

    @property
    def administration(self) -> ServiceBusAdministrationClient:
        """The client for topology and counts, opened when first asked for; its requests are not repeated."""
        if self._administration is None:
            connection = self._connection
            transport = _Transport(
                connection,
                _administration_addresses(connection),
                connection_timeout=_ADMINISTRATION_TIMEOUT,
                read_timeout=_ADMINISTRATION_TIMEOUT,
            )
            self._administration = self._open(ServiceBusAdministrationClient, transport=transport, retry_total=0)
        return self._administration

    async def close_administration(self) -> None:
        """Begin again with the next request; never raises."""
        administration, self._administration = self._administration, None
        if administration is not None:
            with suppress(Exception):
                await administration.close()

    async def close(self) -> None:
        """Close what is open; never raises."""
        await self.close_administration()
        with suppress(Exception):
            await self._messaging.close()
        if self._credential is not None:
            with suppress(Exception):
                await self._credential.close()

    def _open(self, kind: Any, **options: Any) -> Any:
        connection_string = _connection_string(self._connection)
        if connection_string is not None:
            return kind.from_connection_string(connection_string, **options)
        return kind(self._connection.namespace, self._credential, **options)


class _Transport(AsyncioRequestsTransport):  # type: ignore[misc]  # the SDK resolves its name lazily: untyped
    """Requests in a thread: the client would else want an HTTP library that nothing here uses.

    The administration client requires https, and on the address of the messaging endpoint; an emulator offers plain
    HTTP, on a port of its own or not. With `addresses`, requests go to the first of them that answers. The option
    `first_rule`, which the client passes through, is put into the description that is sent (see `first_rule.py`).
    """

    def __init__(self, egress: Egress, addresses: Sequence[str] = (), **options: Any) -> None:
        super().__init__(use_env_settings=False, **_verification(egress.tls or Tls()), **options)
        self._egress = egress
        self._addresses = tuple(addresses)

    async def send(self, request: Any, *, first_rule: str | None = None, **options: Any) -> Any:
        if first_rule is not None:
            headers = {name: text for name, text in request.headers.items() if name.lower() != "content-length"}
            described = with_first_rule(request.content, first_rule)
            request = HttpRequest(request.method, request.url, headers=headers, content=described)
        for address in self._addresses[:-1]:
            with suppress(ServiceRequestError, ServiceResponseError):  # not HTTP, or nothing at all
                answer = await self._send(_at(address, request), options)
                self._addresses = (address,)
                return answer
        if self._addresses:
            request = _at(self._addresses[-1], request)
        return await self._send(request, options)

    async def _send(self, request: Any, options: Mapping[str, Any]) -> Any:
        proxy = self._egress.proxy_for(urlsplit(request.url).hostname or "")
        proxies = {} if proxy is None else {"http": proxy.url, "https": proxy.url}
        return await super().send(request, **{**options, "proxies": proxies})


def _at(address: str, request: Any) -> Any:
    parts = urlsplit(address)
    request.url = urlsplit(request.url)._replace(scheme=parts.scheme, netloc=parts.netloc).geturl()
    return request


def _connection_string(connection: Connection) -> str | None:
    """What signs by itself: as configured, or made of a policy; None when there is a credential."""
    if connection.connection_string is not None:
        return connection.connection_string.get_secret_value()
    if connection.sas is None:
        return None
    name, key = connection.sas.name, connection.sas.key.get_secret_value()
    return f"Endpoint=sb://{connection.namespace}/;SharedAccessKeyName={name};SharedAccessKey={key}"


def _administration_addresses(connection: Connection) -> Sequence[str]:
    """Where to administer, most likely first; none where the SDK knows it.

    Microsoft's emulator has a port for it beside 5672; a stand-in with one port for all is asked there.
    """
    if connection.administration is not None:
        return [connection.administration]
    if not connection.is_emulated:
        return []
    assert connection.connection_string is not None
    endpoint = urlsplit(parts_of(connection.connection_string)["endpoint"])
    ports = [_EMULATOR_ADMINISTRATION_PORT, endpoint.port or _EMULATOR_PORT]
    if ports[1] != _EMULATOR_PORT:
        ports.reverse()
    return [f"http://{endpoint.hostname}:{port}" for port in dict.fromkeys(ports)]


def described_administration(connection: Connection) -> str:
    """The addresses that are asked, for messages."""
    return " and ".join(_administration_addresses(connection)) or f"https://{connection.namespace or 'the namespace'}"


def _way(connection: Connection) -> Mapping[str, Any]:
    """Where and how the SDK connects; through a proxy it speaks AMQP over a web socket, and where it is asked to."""
    is_direct = connection.is_emulated or connection.transport == "amqp"
    proxy = None if is_direct else connection.proxy_for(connection.host)
    has_web_socket = proxy is not None or connection.transport == "websockets"
    way: dict[str, Any] = {"transport_type": TransportType.AmqpOverWebsocket if has_web_socket else TransportType.Amqp}
    if connection.endpoint is not None:
        way["custom_endpoint_address"] = connection.endpoint
    if proxy is not None:
        host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
        way["http_proxy"] = {"proxy_hostname": f"http://{host}", "proxy_port": proxy.port}
        if proxy.username:
            way["http_proxy"] |= {"username": proxy.username, "password": proxy.password}
    return way


def _context(tls: Tls) -> ssl.SSLContext:
    """A TLS context, the same for as long as its files are."""
    files = [file for file in (tls.ca_file, tls.cert, tls.key) if file is not None]
    return _context_of(tls, tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=16)
def _context_of(tls: Tls, changed: Sequence[int]) -> ssl.SSLContext:
    """Shared by all connections: the SDK would make one for each, and lets half a megabyte go in a circle with it."""
    return tls.client_context(roots=certifi.where())


def _verification(tls: Tls) -> Mapping[str, Any]:
    """The same for the library that speaks HTTP."""
    options: dict[str, Any] = {}
    if tls.ca_file is not None:
        options["connection_verify"] = str(tls.ca_file)
    if tls.cert is not None:
        options["connection_cert"] = (str(tls.cert), str(tls.key))
    return options


def _credential(connection: Connection) -> Any:
    """Raises: AuthenticationError: what it takes is not installed."""
    credential = connection.credential
    if credential is None:
        return None
    try:
        from azure.identity.aio import ClientSecretCredential, ManagedIdentityCredential
    except ImportError as error:
        raise AuthenticationError("credential needs azure-identity: install pushbridge[azure]") from error
    # their default transport is an HTTP library that comes with nothing else here
    if credential.managed_identity:  # asked for at an address of this machine
        return ManagedIdentityCredential(client_id=credential.client_id, transport=_Transport(Egress()))
    assert credential.tenant is not None  # all three were checked when they were read
    assert credential.client_id is not None
    assert credential.client_secret is not None
    secret = credential.client_secret.get_secret_value()
    return ClientSecretCredential(credential.tenant, credential.client_id, secret, transport=_Transport(connection))


def _described(error: Exception) -> str:
    if isinstance(error, TimeoutError):  # of ours, and without a text
        return "the broker does not answer"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
