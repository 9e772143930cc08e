"""One AMQP connection: pika's callbacks as awaitables, its exceptions as ours.

Everything runs on the event loop that opened the connection: pika is not thread-safe. Nothing here reconnects; a
connection or channel that has closed stays closed and says why.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Self

import pika
from pika import exceptions as pika_errors
from pika import spec
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.frame import Header

from connectors.base import OutMessage
from connectors.errors import AuthenticationError, NotConnectedError, PublishError, SourceError
from connectors.logs import quieten
from connectors.rabbitmq.deliveries import read_delivery
from connectors.rabbitmq.headers import carried, is_short
from connectors.rabbitmq.timing import Timing
from hub.tls import Tls

REPLY_TIMEOUT = 10.0
"""Seconds for the broker's reply to one request on a channel."""

_HEADER_FRAME = bytes([spec.FRAME_HEADER])
_HEADER = Struct(">BHIHHQ")
"""Of a frame: type, channel, size; of a content header: class, weight, body size (AMQP 0-9-1, section 4.2.6.1)."""


class _Connection(AsyncioConnection):  # type: ignore[misc]  # pika is not typed
    """Hands on the properties of a message as the bytes they came in; `properties.py` says why.

    A delivery that has come whole goes to its consumer as it is: pika would make a dozen objects of it, and cut what came
    after each of its three frames.
    """

    def _on_data_available(self, data_in: bytes) -> None:
        self._frame_buffer += data_in
        while self._frame_buffer:
            self._hand_on_deliveries()
            consumed, frame = self._read_frame()
            if not frame:
                return
            self._trim_frame_buffer(consumed)
            self._process_frame(frame)

    def _hand_on_deliveries(self) -> None:
        """Those that come next, for consumers that wait for them."""
        received, at = self._frame_buffer, 0
        try:
            while (delivery := read_delivery(received, at)) is not None:
                channel = self._channels.get(delivery.channel)
                consume = None if channel is None else channel._consumers.get(delivery.consumer_tag)
                if consume is None or delivery.consumer_tag in channel._cancelled:
                    break
                at = delivery.end
                consume(channel, delivery, delivery.properties, delivery.body)
        finally:
            if at:
                self._trim_frame_buffer(at)

    def _read_frame(self) -> Any:
        received = self._frame_buffer
        if received[:1] != _HEADER_FRAME:
            return super()._read_frame()
        if len(received) < _HEADER.size:
            return 0, None
        _, channel, size, _, _, body_size = _HEADER.unpack_from(received)
        end = spec.FRAME_HEADER_SIZE + size
        if end >= len(received):
            return 0, None
        if received[end] != spec.FRAME_END:
            raise pika_errors.InvalidFrameError("Invalid FRAME_END marker")
        return end + 1, Header(channel, body_size, received[_HEADER.size : end])


class RefusedError(NotConnectedError):
    """The broker closed a channel over what was asked of it; `code` is its reply code (AMQP 0-9-1, section 1.2)."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class Channel:
    """An open channel. `closed` gets the reason as its result once channel, connection or consumer is gone."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.closed: asyncio.Future[NotConnectedError] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(lambda _, reason: _resolve(self.closed, _channel_error(reason)))
        raw.add_on_cancel_callback(
            lambda _: _resolve(self.closed, NotConnectedError("the broker cancelled the consumer; is the queue gone?"))
        )

    def check(self) -> Self:
        """This channel, if it is open. Raises: NotConnectedError with the reason of its end."""
        if self.closed.done():
            raise NotConnectedError(str(self.closed.result())) from self.closed.result()
        return self

    def send(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Send what has no reply. Raises: NotConnectedError."""
        try:
            method(*arguments, **named)
        except pika_errors.AMQPError as error:
            raise NotConnectedError(f"the broker was not asked: {error}") from error

    def publish(self, exchange: str, message: OutMessage) -> None:
        """Send a message that has to survive a restart and has to find a queue. Raises: PublishError."""
        content_type = message.content_type
        properties = pika.BasicProperties(
            message_id=message.id,
            content_type=content_type if content_type and is_short(content_type) else None,  # else it is none
            headers=carried(message.headers, frame_max=self.raw.connection.params.frame_max),
            delivery_mode=pika.DeliveryMode.Persistent.value,
        )
        try:
            self.raw.basic_publish(exchange, message.destination, message.body, properties, mandatory=True)
        except pika_errors.AMQPError as error:
            raise PublishError(f"{message.id} cannot be sent: {error}") from error

    async def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Send a request and return the method the broker replies with.

        A failure comes as the channel's end, never as a reply, so both are awaited.

        Raises: RefusedError; NotConnectedError, also when no reply comes in time.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(method, **arguments, callback=lambda frame: _resolve(reply, frame.method))
        return await self.reply(reply)

    async def reply(self, reply: asyncio.Future[Any]) -> Any:
        """The result of `reply`, unless the channel ends first. Raises: as `call`."""
        if await self.done(reply, timeout=REPLY_TIMEOUT):
            return reply.result()
        if self.closed.done():
            raise self.closed.result()
        raise NotConnectedError(f"the broker did not reply within {REPLY_TIMEOUT:.0f} s")

    async def done(self, awaited: asyncio.Future[Any], *, timeout: float) -> bool:
        """Wait `timeout` seconds at most, or until the channel ends; whether `awaited` is done then."""
        either: set[asyncio.Future[Any]] = {awaited, self.closed}
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return awaited.done()


class Connection:
    """An open connection."""

    def __init__(self, pika_connection: Any, closed: asyncio.Future[None], timing: Timing) -> None:
        self._pika = pika_connection
        self._closed = closed
        self._timing = timing

    @classmethod
    async def open(
        cls,
        urls: Sequence[str],
        *,
        tls: Tls | None = None,
        name: str,
        heartbeat: float,
        blocked_timeout: float,
        timing: Timing = Timing(),
    ) -> Self:
        """Connect once, to the first of the brokers that answers; `name` is what a broker's management shows. `tls` is for
        amqps:// URLs.

        Raises: NotConnectedError: none answers; AuthenticationError.
        """
        quieten("pika")
        failures: list[NotConnectedError] = []
        for url in urls:
            parameters = _parameters(url, tls)
            parameters.heartbeat = round(heartbeat)
            parameters.blocked_connection_timeout = blocked_timeout
            parameters.connection_attempts = 1
            parameters.socket_timeout = parameters.stack_timeout = timing.open
            parameters.client_properties = {"connection_name": f"pushbridge {name}", "product": "pushbridge"}
            try:
                return await cls._open(parameters, timing)
            except NotConnectedError as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        raise NotConnectedError("; ".join(map(str, failures))) from failures[-1]

    @classmethod
    async def _open(cls, parameters: Any, timing: Timing) -> Self:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[BaseException | None] = loop.create_future()
        closed: asyncio.Future[None] = loop.create_future()

        def failed(_: Any, error: BaseException | None) -> None:
            _resolve(opened, error or NotConnectedError("connecting was given up"))
            _resolve(closed, None)

        connection = cls(
            _Connection(
                parameters,
                on_open_callback=lambda _: _resolve(opened, None),
                on_open_error_callback=failed,
                on_close_callback=failed,
                custom_ioloop=loop,
            ),
            closed,
            timing,
        )
        try:
            error = await opened  # within `timing.open`, by pika's own clock
        except asyncio.CancelledError:
            await connection.close()
            raise
        if error is not None:
            raise _connection_error(error, f"{parameters.host}:{parameters.port}") from error
        return connection

    async def channel(self) -> Channel:
        """Open a channel. Raises: NotConnectedError."""
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            channel = Channel(self._pika.channel(on_open_callback=lambda raw: _resolve(opened, raw)))
        except pika_errors.AMQPError as error:
            raise NotConnectedError(str(error)) from error
        await channel.reply(opened)
        return channel

    async def close(self) -> None:
        """Close in good order, or at once when the peer does not answer; may be called twice, never raises."""
        if not (self._pika.is_closing or self._pika.is_closed):
            self._pika.close()
        await asyncio.wait({self._closed}, timeout=self._timing.close)
        if not self._closed.done():
            # pika has no public abort, and a peer that went silent would keep the socket until two heartbeats passed
            self._pika._terminate_stream(pika_errors.StreamLostError("no answer to an orderly close"))
            await asyncio.wait({self._closed}, timeout=self._timing.close)


def _parameters(url: str, tls: Tls | None) -> Any:
    """Raises: NotConnectedError: a file is gone."""
    try:
        parameters = pika.URLParameters(url)
        if tls is not None:
            parameters.ssl_options = pika.SSLOptions(tls.client_context(), parameters.host)
    except OSError as unreadable:
        raise NotConnectedError(f"a file of its TLS settings cannot be read: {unreadable}") from unreadable
    return parameters


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    """Set the result unless one is there: pika may report one end several times."""
    if not future.done():
        future.set_result(result)


def _channel_error(reason: BaseException) -> NotConnectedError:
    if isinstance(reason, pika_errors.ChannelClosedByBroker):
        return RefusedError(f"{reason.reply_text} ({reason.reply_code})", code=reason.reply_code)
    return NotConnectedError(f"the channel is closed: {_words(reason)}")


def _connection_error(error: BaseException, address: str) -> SourceError:
    """Ours for what pika made of a failed connect.

    pika guesses an authentication error from any end at that stage, a broker shutting down included; only a refusal
    that the broker announced is one: ACCESS_REFUSED for the user, NOT_ALLOWED for the virtual host.
    """
    guesses = (pika_errors.ProbableAuthenticationError, pika_errors.ProbableAccessDeniedError)
    if isinstance(error, guesses) and re.search(r"ConnectionClosedByBroker: \((403|530)\)", str(error)):
        return AuthenticationError(f"{address} refuses the user or the virtual host: {error}")
    if isinstance(error, pika_errors.AuthenticationError):
        return AuthenticationError(f"{address} offers no way to log in that is supported: {error}")
    return NotConnectedError(f"cannot connect to {address}: {_words(error)}")


_IS_IT_AMQP = "is the broker up, is this its port for AMQP, and is amqp:// (without TLS) or amqps:// (with) right?"


def _words(error: BaseException) -> str:
    """What an operator reads of it: `Connection refused`, not how Python shows the object."""
    if isinstance(error, pika_errors.ConnectionClosed):
        return f"{error.reply_text} ({error.reply_code})"
    root = _root(error)
    if isinstance(root, OSError) and root.strerror:
        return root.strerror
    text = " ".join(map(str, root.args))
    if isinstance(root, pika_errors.IncompatibleProtocolError) and "StreamLostError" in text:
        return f"the connection was closed before the server spoke AMQP; {_IS_IT_AMQP}"
    if "Timeout while setting up" in text:
        return f"no answer in time; {_IS_IT_AMQP}"
    if isinstance(root, pika_errors.StreamLostError):  # of a system's error it has no more than how Python shows it
        return re.sub(r"\w+\(-?\d+, ['\"](.*)['\"]\)$", r"\1", text)
    return f"{type(root).__name__}: {text}" if text else type(root).__name__


def _root(error: BaseException) -> BaseException:
    """The innermost of the exceptions that pika wraps into each other by attributes and arguments."""
    wrapped = (*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args)
    inner = [each for each in wrapped if isinstance(each, BaseException)]
    return _root(inner[-1]) if inner else error
