"""Requests to push services over libcurl, in batches: HTTP/2 where offered, many streams a connection.

A push costs what libcurl needs and little more, because everything here is done for many requests at once: easy handles
are set up once and reused, requests are made as handles become free, completions are read in bulk, a batch has one timer
and one future. libcurl calls Python only for bodies of answers and, where asked for, headers: a plain 200 has neither.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pycurl

from hub.transport.curl_multi import EventedMulti, Failed

_SLICE: Final = 48  # requests started before the loop has a turn: 1 to 3 ms of CPU
_TURN: Final = 16  # requests started for one batch before another has a turn
_MAX_ANSWER: Final = 65_536  # bytes of an answer's body; a push service needs a few hundred
_SILENCE: Final = 1.0  # seconds without any answer that make a connection suspect once a request on it has timed out
_MAX_IDLE: Final = 3600  # seconds without a request after which a connection is not used again
_KEEPALIVE: Final = 30  # seconds of silence before TCP asks whether the other end, and all between, is still there
_DNS_CACHE: Final = 5  # seconds; a burst asks once, a later connection may land on another of the service's machines

_URL, _HTTPHEADER, _POSTFIELDS = pycurl.URL, pycurl.HTTPHEADER, pycurl.POSTFIELDS  # looked up once: the hot path
_RESPONSE_CODE, _RETRY_AFTER = pycurl.RESPONSE_CODE, pycurl.RETRY_AFTER

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Request(NamedTuple):
    """A POST; `headers` are whole lines (`b"name: value"`), checked by the caller."""

    url: str
    headers: Sequence[bytes]
    body: bytes


class Response(NamedTuple):
    """What came back; `status` 0 means that no answer came, and `failure` says why.

    `headers` have lower-case names: all of them if the transport was told so, else only `retry-after`, and that only
    if the status is not 200; it is in seconds, whichever form the service used (RFC 9110, 10.2.3).
    `timed_out` tells a deadline that passed from a connection that broke.
    """

    status: int
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes = b""
    failure: str = ""
    timed_out: bool = False


_OK: Final = Response(200)
_TIMED_OUT: Final = Response(0, failure="no answer within the deadline", timed_out=True)
_CLOSED: Final = Response(0, failure="the transport was closed")


@dataclass(slots=True, eq=False)
class _Batch:
    """The requests of one call; `open` of them are under way."""

    requests: Iterator[Request]
    done: asyncio.Future[None]
    responses: list[Response] = field(default_factory=list)
    open: int = 0
    exhausted: bool = False

    def end_if_answered(self) -> None:
        if self.exhausted and not self.open and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class _Slot:
    """An easy handle with its constant options set, and the request it carries; `batch` None means idle."""

    curl: Any
    chunks: list[bytes] = field(default_factory=list)
    header_lines: list[bytes] = field(default_factory=list)
    body: bytes | None = None
    batch: _Batch | None = None
    index: int = 0
    multi: EventedMulti | None = None

    def connecting(self, _fd: int, _purpose: int) -> int:
        if self.multi is not None:
            self.multi.connecting()
        return int(pycurl.SOCKOPT_OK)


class Transport:
    """POSTs batches of requests; connections open with the first.

    HTTP/2 where the peer offers it: up to `connections` to a host, each with up to `streams` requests at once; a lower
    limit of the peer is obeyed (RFC 9113, 5.1.2), and the next connection is opened when those there are full. With
    `http2=False` it is HTTP/1.1, one request at a time on each connection. `answer_headers` asks for all headers of
    answers. Redirects are not followed, proxies of the environment not used (`proxy` names one). Nothing is repeated here;
    libcurl itself repeats, on a fresh connection, what a dying one has not taken (REFUSED_STREAM, above a GOAWAY's last
    stream, a reused connection found closed).
    """

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        http2: bool = True,
        connections: int = 2,
        streams: int = 1000,
        answer_headers: bool = False,
        proxy: str = "",
    ) -> None:
        self._ca_file = ca_file or ssl.get_default_verify_paths().cafile
        self._http2 = http2
        self._connections = connections
        self._streams = streams
        self._answer_headers = answer_headers
        self._proxy = proxy
        self._slots: dict[Any, _Slot] = {}
        self._idle: list[_Slot] = []
        self._waiting: deque[_Batch] = deque()  # batches with requests not yet started
        self._multis: list[EventedMulti] = []  # these take new requests; HTTP/2: one connection each
        self._retired: list[EventedMulti] = []  # these only finish what they have
        self._next_feed: asyncio.Handle | None = None
        self._closed = False
        self.generation = 0
        """Counts the renewals; see `renew`."""

    async def post_many(self, requests: Iterable[Request], *, deadline: float) -> list[Response]:
        """One response a request, in order, at most `deadline` seconds later; what has not answered then is given up.

        `requests` may be a generator: it is read as connections have room, and may not raise. Batches under way take
        turns, so a small one does not wait for a large one.
        """
        loop = asyncio.get_running_loop()
        batch = _Batch(iter(requests), loop.create_future())
        if self._closed:
            self._give_up(batch, _CLOSED)
            return batch.responses
        timer = loop.call_later(deadline, self._expire, batch, min(_SILENCE, deadline / 2))
        self._waiting.append(batch)
        self._feed()
        try:
            await batch.done
        finally:
            timer.cancel()
            if batch.done.cancelled():
                self._give_up(batch, _CLOSED)
        return batch.responses

    def renew(self, *, since: int) -> None:
        """Use new connections from now on; the old ones close when what is under way on them has finished.

        Does nothing if `generation` is no longer `since`: many callers may see the same trouble and ask for this once.
        """
        if since == self.generation:
            self._retire(list(self._multis))

    async def close(self) -> None:
        """Close all connections; requests under way end with a failure. May be called twice."""
        self._closed = True
        for batch in {*self._waiting, *(slot.batch for slot in self._slots.values() if slot.batch)}:
            self._give_up(batch, _CLOSED)
        if self._next_feed is not None:
            self._next_feed.cancel()
        self._retire(list(self._multis))
        for slot in self._idle:
            slot.curl.close()
        self._idle.clear()
        self._slots.clear()

    def _feed(self) -> None:
        """Start waiting requests where there is room, batches by turns, no more than a slice at a time."""
        self._next_feed = None
        used = []
        room = _SLICE
        while room and self._waiting and (multi := self._multi_with_room()):
            batch = self._waiting[0]
            turn = min(room, _TURN, multi.room)
            started = self._start(batch, turn, multi)
            room -= started
            used.append(multi)
            if started == turn:
                self._waiting.rotate(-1)
            else:
                self._waiting.popleft()
                batch.exhausted = True
                batch.end_if_answered()
        for multi in dict.fromkeys(used):
            multi.start()
        self._feed_soon()

    def _feed_soon(self) -> None:
        if self._waiting and self._next_feed is None and self._multi_with_room():
            self._next_feed = asyncio.get_running_loop().call_soon(self._feed)

    def _multi_with_room(self) -> EventedMulti | None:
        for multi in self._multis:
            if multi.room > 0:
                return multi
        if self._http2 and len(self._multis) < self._connections and not any(multi.is_new for multi in self._multis):
            self._multis.append(EventedMulti(self._finish, connections=1, streams=self._streams, cautious=True))
            return self._multis[-1]
        if not self._multis:
            self._multis.append(EventedMulti(self._finish, connections=self._connections, streams=1, cautious=False))
            return self._multis[-1]
        return None

    def _start(self, batch: _Batch, limit: int, multi: EventedMulti) -> int:
        responses, idle, add = batch.responses, self._idle, multi.add
        started = 0
        for url, headers, body in islice(batch.requests, limit):
            slot = idle.pop() if idle else self._new_slot()
            curl = slot.curl
            curl.setopt(_URL, url)
            curl.setopt(_HTTPHEADER, headers)
            if slot.body is not body:  # the phones of a page share it
                curl.setopt(_POSTFIELDS, body)
                slot.body = body
            slot.batch = batch
            slot.index = len(responses)
            slot.multi = multi
            responses.append(_TIMED_OUT)
            add(curl)
            started += 1
        batch.open += started
        multi.in_flight += started
        return started

    def _finish(self, multi: EventedMulti, answered: Sequence[Any], failed: Sequence[Failed]) -> None:
        slots, remove = self._slots, multi.remove
        for curl in answered:
            remove(curl)
            slot = slots[curl]
            status = curl.getinfo(_RESPONSE_CODE)
            plain = status == 200 and not slot.chunks and not slot.header_lines
            self._settle(slot, _OK if plain else self._response(slot, status))
        for curl, code, words in failed:
            remove(curl)
            timed_out = code == pycurl.E_OPERATION_TIMEDOUT
            self._settle(slots[curl], Response(0, failure=words or f"libcurl error {code}", timed_out=timed_out))
        multi.in_flight -= len(answered) + len(failed)
        self._feed_soon()
        if multi in self._retired and not multi.in_flight:
            asyncio.get_running_loop().call_soon(self._close_finished)  # not while it calls us

    def _settle(self, slot: _Slot, response: Response) -> None:
        batch = slot.batch
        assert batch is not None
        slot.batch = slot.multi = None
        slot.chunks.clear()
        slot.header_lines.clear()
        self._idle.append(slot)
        batch.responses[slot.index] = response
        batch.open -= 1
        if not batch.open:
            batch.end_if_answered()

    def _response(self, slot: _Slot, status: int) -> Response:
        headers = _fields(slot.header_lines)
        if status != 200 and (retry_after := slot.curl.getinfo(_RETRY_AFTER)):
            headers["retry-after"] = str(retry_after)
        return Response(status, headers, b"".join(slot.chunks))

    def _expire(self, batch: _Batch, silence: float) -> None:
        suspects = self._give_up(batch, _TIMED_OUT) & set(self._multis)
        since = asyncio.get_running_loop().time() - silence
        # It may be a black hole, and libcurl would go on using it. Slowness alone is no reason to connect again.
        self._retire([multi for multi in suspects if multi.answered_at < since])
        self._feed_soon()

    def _give_up(self, batch: _Batch, response: Response) -> set[EventedMulti]:
        """End what is under way of a batch (HTTP/2: by RST_STREAM, so the peer frees the stream) and what is not begun.

        Returns where something was under way.
        """
        multis = set()
        for slot in self._slots.values():
            if slot.batch is batch and slot.multi is not None:
                slot.multi.remove(slot.curl)
                slot.multi.in_flight -= 1
                multis.add(slot.multi)
                self._settle(slot, response)
        batch.responses.extend(response for _ in batch.requests)
        if batch in self._waiting:
            self._waiting.remove(batch)
        batch.exhausted = True
        batch.end_if_answered()
        self._close_finished()
        for multi in multis:
            if multi.in_flight:
                multi.start()  # what waited inside for a stream may have one now
        return multis

    def _retire(self, multis: Iterable[EventedMulti]) -> None:
        self.generation += 1
        for multi in multis:
            self._multis.remove(multi)
            self._retired.append(multi)
        self._close_finished()

    def _close_finished(self) -> None:
        for multi in [multi for multi in self._retired if not multi.in_flight]:
            multi.close()
            self._retired.remove(multi)

    def _new_slot(self) -> _Slot:
        curl = pycurl.Curl()
        slot = _Slot(curl)
        curl.setopt(pycurl.POST, 1)
        version = pycurl.CURL_HTTP_VERSION_2TLS if self._http2 else pycurl.CURL_HTTP_VERSION_1_1
        curl.setopt(pycurl.HTTP_VERSION, version)
        curl.setopt(pycurl.PIPEWAIT, 1)  # a stream on a connection being opened rather than a connection of its own
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.USERAGENT, "")  # each header costs more than half a microsecond a push
        curl.setopt(pycurl.PROXY, self._proxy)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        if self._ca_file:
            curl.setopt(pycurl.CAINFO, self._ca_file)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _DNS_CACHE)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.TCP_KEEPIDLE, _KEEPALIVE)
        curl.setopt(pycurl.TCP_KEEPINTVL, _KEEPALIVE)
        curl.setopt(pycurl.MAXAGE_CONN, _MAX_IDLE)
        curl.setopt(pycurl.MAXFILESIZE, _MAX_ANSWER)
        curl.setopt(pycurl.SOCKOPTFUNCTION, slot.connecting)
        curl.setopt(pycurl.WRITEFUNCTION, slot.chunks.append)
        if self._answer_headers:
            curl.setopt(pycurl.HEADERFUNCTION, slot.header_lines.append)
        self._slots[curl] = slot
        return slot


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The header fields among libcurl's lines, which hold a status line and an empty one too."""
    fields = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields
