"""What stands between a client and a server on its way out: an HTTP proxy, an end of TLS, a web socket."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def client_certificate(directory: Path) -> Path:
    """A file with a key and a certificate that it signed itself, for a client to show."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "client.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def asking_for(context: ssl.SSLContext, client: Path) -> ssl.SSLContext:
    """The context of a server, asking its clients for a certificate."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client)
    return context


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _join(near: _Stream, far: _Stream) -> None:
    """Pass bytes on, both ways, until both ends have said all."""
    try:
        await asyncio.gather(_pass(near[0], far[1]), _pass(far[0], near[1]))
    except OSError:
        pass
    finally:
        far[1].transport.abort()


class ConnectProxy:
    """An HTTP proxy on 127.0.0.1 that does CONNECT (RFC 9110, section 9.3.6) to ports of this machine.

    With `credentials` (`name:password`), a client that does not show them is refused with 407; with `status`, every one
    is refused with that. `tunnels` are the targets that were connected to, in order.
    """

    def __init__(self, *, credentials: str = "", status: int = 0) -> None:
        self.tunnels: list[str] = []
        self.port = 0
        self._expected = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""
        self._status = status
        self._credentials = credentials
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """As a client is told it, with the credentials."""
        return f"http://{self._credentials}{'@' if self._credentials else ''}127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            method, target, _ = first.split(" ")
            status = self._status or (407 if fields.get("proxy-authorization", "") != self._expected else 200)
            if method != "CONNECT" or status != 200:
                writer.write(
                    f"HTTP/1.1 {status} Refused\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".encode()
                )
                await writer.drain()
                return
            self.tunnels.append(target)
            far = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
            writer.write(b"HTTP/1.1 200 Established\r\nProxy-Agent: tests\r\nRetry-After: 4711\r\n\r\n")
            await self._tunnel((reader, writer), far)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _tunnel(self, near: _Stream, far: _Stream) -> None:
        await _join(near, far)


class InspectingProxy(ConnectProxy):
    """One that reads what its clients send: to each it shows a certificate of its own CA, as those of enterprises do.

    `shown` is what clients get. `trusted` makes of the protocol that a client chose what its server's certificate is
    checked by. `seen` counts the bytes that it read in clear.
    """

    def __init__(self, *, shown: ssl.SSLContext, trusted: Callable[[str], ssl.SSLContext]) -> None:
        super().__init__()
        self._shown, self._trusted = shown, trusted
        self.seen = 0

    async def _tunnel(self, near: _Stream, far: _Stream) -> None:
        (reader, writer), (far_reader, far_writer) = near, far
        await writer.start_tls(self._shown)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        await far_writer.start_tls(self._trusted(chosen or "http/1.1"), server_hostname="127.0.0.1")

        async def read() -> None:
            while data := await reader.read(65536):
                self.seen += len(data)
                far_writer.write(data)
            far_writer.transport.abort()

        await asyncio.gather(read(), _pass(far_reader, writer))


@asynccontextmanager
async def tls_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port where TLS ends, before a server that speaks none."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _join((reader, writer), await asyncio.open_connection("127.0.0.1", port))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def websocket_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port with AMQP over web sockets in TLS, as a Service Bus namespace has at 443, before a server of AMQP."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["AMQPWSB10"])
        await socket.prepare(request)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while data := await reader.read(65536):
                await socket.send_bytes(data)
            await socket.close()

        answers = asyncio.create_task(back())
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    writer.write(message.data)
        finally:
            writer.transport.abort()
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
        return socket

    app = web.Application()
    app.router.add_get("/$servicebus/websocket", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()
