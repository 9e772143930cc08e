"""Clients for the stand-ins: an HTTP/2 client that can misbehave, libcurl for crowds, and provider tokens."""

import asyncio
import io
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import jwt
import orjson
import pycurl
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from sandbox.services import ApnsCredential

PATIENCE = 45.0
"""Seconds; far more than an answer takes."""


@dataclass(slots=True)
class Response:
    """What came back on a stream; `reset` is the error code if it was reset instead of answered."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]
    reset: int | None = None

    @property
    def json(self) -> dict[str, object]:
        return dict(orjson.loads(b"".join(self.pieces)))


class _Unlimited(H2Connection):
    """h2 that opens as many streams as it is told to."""

    @property
    def open_outbound_streams(self) -> int:
        return 0


class Http2Client:
    """One connection; opens streams whenever it is told to, whatever the server's limit is.

    h2 takes a GOAWAY for the end: answers that come after one are lost to this client.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, window: int, gives_back: bool):
        self.h2 = _Unlimited(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.h2.local_settings.acknowledge()
        self.goaway: ConnectionTerminated | None = None
        self.told_to_go = asyncio.Event()
        self.closed = asyncio.Event()
        self.pong = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._gives_back = gives_back
        self._responses: dict[int, Response] = {}
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self.h2.initiate_connection()
        self.flush()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls, port: int, ca_file: Path, *, window: int = 65535, gives_back: bool = True, alpn: Sequence[str] = ("h2",)
    ) -> Self:
        context = ssl.create_default_context(cafile=str(ca_file))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        return cls(reader, writer, window=window, gives_back=gives_back)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._writer.transport.abort()

    @property
    def limit(self) -> int:
        return self.h2.remote_settings.max_concurrent_streams

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def open(
        self,
        path: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        method: str = "POST",
    ) -> asyncio.Future[Response]:
        """Send a request without waiting; the body has to fit the window."""
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        fields = headers.items() if isinstance(headers, Mapping) else headers
        self.h2.send_headers(stream_id, [*pseudo, *fields], end_stream=not body)
        while body:
            size = self.h2.max_outbound_frame_size
            self.h2.send_data(stream_id, body[:size], end_stream=len(body) <= size)
            body = body[size:]
        self.flush()
        self._waiting[stream_id] = asyncio.get_running_loop().create_future()
        return self._waiting[stream_id]

    async def post(
        self,
        path: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        method: str = "POST",
    ) -> Response:
        async with asyncio.timeout(PATIENCE):
            return await self.open(path, headers, body, method=method)

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        except ConnectionError:
            pass
        finally:
            self.closed.set()

    def _take(self, event: object) -> None:
        match event:
            case ResponseReceived():
                headers = {str(name): str(value) for name, value in event.headers}
                self._responses[event.stream_id] = Response(int(headers.pop(":status")), headers, [])
            case DataReceived():
                self._responses[event.stream_id].pieces.append(event.data)
                if self._gives_back and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self._waiting.pop(event.stream_id).set_result(self._responses.pop(event.stream_id))
            case StreamReset() if event.stream_id in self._waiting:
                self._waiting.pop(event.stream_id).set_result(Response(0, {}, [], reset=int(event.error_code)))
            case PingAckReceived():
                self.pong.set()
            case ConnectionTerminated():
                self.goaway = event
                self.told_to_go.set()


async def settled(client: Http2Client, limit: int) -> None:
    """Wait until the client has been told this stream limit."""
    async with asyncio.timeout(PATIENCE):
        while client.limit != limit:
            client.pong.clear()
            client.h2.ping(b"12345678")
            client.flush()
            await client.pong.wait()


def provider_token(credential: ApnsCredential, issued_at: datetime, *, nonce: str = "") -> str:
    """A provider token as Apple wants it; `nonce` makes one of the same second differ."""
    claims = {"iss": credential.team_id, "iat": int(issued_at.timestamp()), "nonce": nonce}
    return jwt.encode(claims, credential.key_file.read_text(), algorithm="ES256", headers={"kid": credential.key_id})


def curl_crowd(
    urls: Sequence[str], headers: Sequence[str], body: bytes, ca_file: Path, *, at_once: int = 50
) -> list[int]:
    """Post to all URLs over HTTP/2 with libcurl, which sends refused streams again; returns the statuses in order."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 2)
    multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, at_once)
    handles = []
    for url in urls:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CAINFO, str(ca_file))
        handle.setopt(pycurl.HTTPHEADER, list(headers))
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.TIMEOUT, 20)
        handle.setopt(pycurl.WRITEDATA, io.BytesIO())
        handles.append(handle)
    waiting, running = list(handles), 0
    under_way = 0
    while waiting or under_way:
        while waiting and under_way < at_once:
            multi.add_handle(waiting.pop(0))
            under_way += 1
        _, running = multi.perform()
        finished = under_way - running
        under_way = running
        if not finished:
            multi.select(0.1)
    statuses = [handle.getinfo(pycurl.RESPONSE_CODE) for handle in handles]
    for handle in handles:
        multi.remove_handle(handle)
        handle.close()
    multi.close()
    return statuses
