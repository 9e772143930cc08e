"""An HTTP/2 connection on the event loop: a TCP connection, TLS in memory, and the clock that finds a dead peer."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from hub.addresses import PublicAddresses
from hub.egress import Proxy
from hub.requests import RequestGroup
from hub.transport.feed import Feed
from hub.transport.http2.connection import Begun, Http2Connection, Http2Error
from hub.transport.http2.dialling import DialError, ForbiddenAddressError, dial
from hub.transport.requests import Batch, Response

_CROWD: Final = 64
"""Requests at once from which on answers are read together."""
_PAUSE: Final = 0.001
"""Seconds between two reads then."""
_UNSENT: Final = 1 << 18
"""Bytes that wait for the socket from which on no more requests are begun."""
DOUBT: Final = 5.0
"""Seconds of silence, while requests are under way, after which the other side is asked whether it is there; with as many
more the connection is given up. Twice as many is also what an address, a proxy, TLS and the first frame of the other side
may take together, however slowly bytes come; and what is left to send when a connection is closed has this time."""
_ASK_IDLE = 60.0
"""Seconds of silence, while nothing is under way, after which the other side is asked too: that a connection is dead is
found before a push is sent on it."""
_READ: Final = 1 << 16


class Carried(Protocol):
    """What a connection tells its pool."""

    def opened(self, wire: "Http2Wire") -> None:
        """It takes requests now."""

    def speaks_http1(self, wire: "Http2Wire") -> None:
        """The peer does not offer HTTP/2."""

    def failed(self, wire: "Http2Wire", failure: Response) -> None:
        """There is no connection, and why."""

    def progressed(self, wire: "Http2Wire", finished: Sequence[Batch], not_processed: Sequence[Begun]) -> None:
        """Batches may have got their last answer, requests that were not looked at may be sent again, there may be room."""


class Http2Wire(asyncio.Protocol):
    """Opens itself, and tells `carried` what happens; see `Http2Connection` for requests and answers."""

    def __init__(
        self,
        carried: Carried,
        *,
        host: str,
        port: int,
        proxy: Proxy | None,
        context: Callable[[], ssl.SSLContext],
        streams: int,
        answer_headers: bool,
        doubt: float,
        only_to: PublicAddresses | None = None,
    ) -> None:
        self._doubt = doubt
        self._only_to = only_to
        self._loop = asyncio.get_running_loop()
        self._carried = carried
        self._host, self._port, self._proxy, self._context = host, port, proxy, context
        authority = f"[{host}]" if ":" in host else host
        self._where = f"{authority}:{port}"
        self._http = Http2Connection(
            authority if port == 443 else self._where, streams=streams, answer_headers=answer_headers
        )
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._tcp: asyncio.Transport | None = None
        self._is_shaking_hands = True
        self._is_writing_paused = False
        self._is_resting = False
        self._is_closed = False
        self._is_watched = True  # while it opens, by the time that this may take
        self._is_watched_closely = True
        self._heard_at = self._loop.time()
        self._asked_at = 0.0
        self._stage = "the certificates to trust are being read"
        self._timer = self._loop.call_later(2 * doubt, self._not_opened)
        self.answered_at = float("-inf")
        """When an answer came last, in the loop's time."""
        self._dialling = self._loop.create_task(self._dial())

    @property
    def room(self) -> int:
        """How many more requests it takes now."""
        if self._is_writing_paused or self._is_closed or self._is_shaking_hands:
            return 0
        return self._http.room if self._http.has_answered else min(1, self._http.room) - self._http.in_flight

    @property
    def is_new(self) -> bool:
        """Whether `room` will grow once it is open and the first request is answered."""
        return not self._is_closed and not self._http.has_answered

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet."""
        return self._http.in_flight

    @property
    def was_open(self) -> bool:
        """Whether it has taken requests, or could have."""
        return self._http.is_ready

    @property
    def has_answered(self) -> bool:
        """Whether a request was answered."""
        return self._http.has_answered

    @property
    def is_leaving(self) -> bool:
        """Whether the other side takes no new requests on it."""
        return self._http.is_leaving

    def begin(self, feed: Feed, group: RequestGroup, limit: int) -> int:
        """See `Carrier.begin`."""
        rows = list(islice(feed.rows, min(limit, feed.left)))
        self._http.begin(feed.batch, group, rows, tries=feed.tries)
        return len(rows)

    def start(self) -> None:
        """Send what was begun."""
        self._flush()
        self._watch()

    def batches(self) -> set[Batch]:
        """See `Carrier.batches`."""
        return self._http.batches()

    def give_up(self, batch: Batch) -> list[int]:
        """See `Carrier.give_up`: by RST_STREAM, so the peer frees the streams."""
        taken = self._http.cancel(batch)
        if taken:
            self._flush()
        return [begun.row[0] for begun in taken]

    def close(self) -> None:
        """Close the connection; what is under way on it has no answer."""
        if not self._is_closed and self._tls is not None and not self._is_shaking_hands:
            self._http.leave()
            self._flush()
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()  # says that nothing more comes; what the other side says to it is not awaited
            self._send_encrypted()
        self._end()

    # Opening

    async def _dial(self) -> None:
        try:
            # A context reads hundreds of certificates: not on the loop.
            context = await asyncio.to_thread(self._context)
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)
            connected = await dial(self._host, self._port, self._proxy, self._at_stage, only_to=self._only_to)
            self._at_stage("the TLS handshake has no end")
            await self._loop.create_connection(lambda: self, sock=connected)
        except ForbiddenAddressError as error:
            self._break(str(error), is_forbidden=True)
        except (DialError, OSError, ValueError) as error:
            self._break(str(error))

    def _at_stage(self, waiting_for: str) -> None:
        self._stage = waiting_for

    def _not_opened(self) -> None:
        self._break(f"{self._where}: no connection in {2 * self._doubt:g} s: {self._stage}", at_once=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = transport  # type: ignore[assignment]
        assert self._tcp is not None
        if self._is_closed:
            self._tcp.abort()
            return
        self._tcp.set_write_buffer_limits(high=_UNSENT)
        self._heard_at = self._loop.time()
        self._shake_hands()

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_encrypted()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._send_encrypted()  # the alert
            self._break(f"{self._where}: {_words(error)}")
            return
        self._is_shaking_hands = False
        self._at_stage("no SETTINGS came, which an HTTP/2 service sends first")
        if self._tls.selected_alpn_protocol() != "h2":
            self._end()
            self._carried.speaks_http1(self)
            return
        self._flush()

    # Bytes

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._incoming.write(data)
        if self._is_shaking_hands:
            self._shake_hands()
            if self._is_shaking_hands:
                return
        if not self._is_closed:
            self._read()

    def _read(self) -> None:
        assert self._tls is not None
        http, was_ready, had = self._http, self._http.is_ready, self._http.in_flight
        data, is_over = self._decrypted()
        wrong = ""
        try:
            http.receive(data)
        except Http2Error as error:
            http.leave(error.code, str(error))
            wrong = f"{self._where}: the service broke the rules of HTTP/2: {error}"
        self._flush()
        if http.in_flight + len(http.not_processed) < had:
            self.answered_at = self._heard_at
        if http.is_ready and not was_ready and not wrong:
            self._opened()
        self._progress()
        if wrong or is_over:
            self._break(wrong or self.why_gone())
        elif http.in_flight >= _CROWD and not self._is_closed:
            self._rest()

    def _decrypted(self) -> tuple[bytes, bool]:
        """What came, and whether nothing more will."""
        assert self._tls is not None
        read, parts, is_over = self._tls.read, [], False
        try:
            while part := read(_READ):
                parts.append(part)
            is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            is_over = True
            self._http.said = self._http.said or _words(error)
        return b"".join(parts), is_over

    def _opened(self) -> None:
        self._timer.cancel()
        self._is_watched = False
        self._carried.opened(self)
        self._watch()

    def _progress(self) -> None:
        http = self._http
        finished, http.finished = http.finished, []
        not_processed, http.not_processed = http.not_processed, []
        self._carried.progressed(self, finished, not_processed)

    def _rest(self) -> None:
        """Read seldom where many answers are awaited: each read costs as much for one as for many."""
        if self._tcp is not None and not self._is_resting:
            self._is_resting = True
            self._tcp.pause_reading()
            self._loop.call_later(_PAUSE, self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        if self._tcp is not None and not self._is_closed:
            self._tcp.resume_reading()

    def _flush(self) -> None:
        output = self._http.take_output()
        if self._tls is None or self._is_closed:
            return
        left = memoryview(output)
        # Behind a broken record nothing can be written; the read that met it ends the connection.
        with contextlib.suppress(ssl.SSLError):
            while left:
                left = left[self._tls.write(left) :]
        self._send_encrypted()  # TLS may have something to say too

    def _send_encrypted(self) -> None:
        if self._tcp is not None and (data := self._outgoing.read()):
            self._tcp.write(data)

    def pause_writing(self) -> None:
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._carried.progressed(self, (), ())

    def eof_received(self) -> None:
        self._break(self.why_gone())

    def why_gone(self, error: Exception | None = None) -> str:
        """Why the peer has left, in its own words where it said some."""
        said = self._http.said or ("" if error is None else str(error))
        return f"{self._where}: the service closed the connection{': ' if said else ''}{said}"

    # Silence

    def _watch(self) -> None:
        """Look at the silence by and by, and soon where an answer is owed."""
        is_owed = bool(self._http.in_flight) or self._asked_at > self._heard_at
        if self._is_closed or (self._is_watched and (self._is_watched_closely or not is_owed)):
            return
        self._is_watched, self._is_watched_closely = True, is_owed
        self._timer.cancel()
        self._timer = self._loop.call_later(self._doubt if is_owed else _ASK_IDLE, self._look)

    def _look(self) -> None:
        """Ask a peer that says nothing; give up one that does not even answer that."""
        self._is_watched = False
        if self._is_closed:
            return
        if self._asked_at > self._heard_at:
            self._break(f"{self._where}: the connection is dead: no answer, not even to a PING", at_once=True)
            return
        now = self._loop.time()
        if now - self._heard_at >= (self._doubt if self._http.in_flight else _ASK_IDLE):
            self._asked_at = now
            self._http.ping(b"are you?")
            self._flush()
        self._watch()

    # The end

    def connection_lost(self, error: Exception | None) -> None:
        self._break(self.why_gone(error))
        self._timer.cancel()

    def _break(self, why: str, *, at_once: bool = False, is_forbidden: bool = False) -> None:
        """It has failed; `at_once` drops what waits to be sent."""
        if self._is_closed:
            return
        if at_once and self._tcp is not None:
            self._tcp.abort()
        self._end()
        self._carried.failed(self, Response(0, failure=why, is_forbidden=is_forbidden))

    def abandon(self) -> list[Begun]:
        """The requests that had no answer when it broke."""
        return self._http.abandon()

    def _end(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._timer.cancel()
        if self._tcp is not None:
            self._tcp.close()
            # A peer that stops reading would keep it for ever.
            self._timer = self._loop.call_later(self._doubt, self._tcp.abort)
        elif not self._dialling.done() and self._dialling is not asyncio.current_task(self._loop):
            self._dialling.cancel()


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    reason: Any = getattr(error, "reason", None)
    return f"TLS failed: {reason or error}"
