"""One HTTP/2 connection of a client that only pushes (RFC 9113): bytes in, bytes out, no socket and no clock.

Requests of a slice become bytes together (request_bytes.py). The other side is told that there is no table for its
headers, so an answer whose block begins with a known byte is a 200 without decoding.
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Final, NamedTuple

from hpack import Decoder, HPACKError

from hub.characters import CONTROLS
from hub.requests import RequestGroup
from hub.transport.feed import Row
from hub.transport.http2 import frames
from hub.transport.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    HEAD,
    HEAD_SIZE,
    WINDOW,
    Code,
    Kind,
    Setting,
    answers_alike,
    code_name,
)
from hub.transport.http2.request_bytes import SHORT, RequestEncoder, Shared, header_block, whole_requests
from hub.transport.requests import Batch, Response

MAX_ANSWER: Final = 65_536
"""Bytes of an answer's body; a push service needs a few hundred."""
_ANSWER_WINDOW: Final = 2 * MAX_ANSWER
"""Of a stream: an answer over the limit shows itself before it waits for more room."""
_CONNECTION_WINDOW: Final = 1 << 24
_MAX_HEADERS: Final = 1 << 16
"""Bytes of the header block of an answer, and of its fields decoded."""
_MAX_NOISE: Final = 1000
"""Frames that answer nothing in a row, such as SETTINGS and PING: more is an attack or a defect."""
_MAX_RAISES: Final = 10_000
"""WINDOW_UPDATEs in a row that let nothing be sent; a peer may send two a request."""
_LATE: Final = 4
"""Frames that may still come of a request that was taken back."""
_LAST_STREAM: Final = frames.MAX_STREAM - 200_000
"""A new connection takes over before the ids run out."""
_FEW: Final = 3
"""Requests below which one by one is quicker than all at once."""

_PLAIN: Final = 0x88
""":status 200, as a block (RFC 7541, appendix A)."""
_HEADERS: Final = int(Kind.HEADERS)
_RESET: Final = int(Kind.RST_STREAM)
_RESET_SIZE: Final = 4
_WHOLE: Final = END_STREAM | END_HEADERS
"""Flags of a frame that is the last of its headers and of its stream."""
_UNLIMITED: Final = 1 << 30


class Http2Error(Exception):
    """The other side broke the protocol, or asks too much: the connection ends. `code` is what it is told."""

    def __init__(self, code: Code, words: str) -> None:
        super().__init__(words)
        self.code = code


class Begun(NamedTuple):
    """A request on its way."""

    batch: Batch
    group: RequestGroup
    row: Row
    tries: int


@dataclass(slots=True)
class _Answer:
    """What has come of an answer that is more than a bare 200."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Http2Connection:
    """What `begin` and `receive` have to send is got by `take_output`; answers go to the batches of their requests.

    `not_processed` has the requests that the other side says it has not looked at: they may be sent again. `finished` has
    the batches that may have got their last answer.
    """

    def __init__(self, authority: str, *, streams: int, answer_headers: bool, first_stream: int = 1) -> None:
        self._encoder = RequestEncoder(authority)
        self._streams = streams
        self._answer_headers = answer_headers
        self._decoder = Decoder(max_header_list_size=_MAX_HEADERS)
        self._next = first_stream
        self._limit = 0  # until the other side has said what it takes
        self._frame_size = FRAME_SIZE
        self._window = WINDOW
        self._stream_window = WINDOW
        self._credit: dict[int, int] = {}  # windows of streams that differ from what all have
        self._unsent: dict[int, memoryview] = {}  # bodies that wait for a window
        self._open: dict[int, tuple[Batch, RequestGroup, Row, int]] = {}  # a `Begun` each, when one is asked for
        self._answers: dict[int, _Answer] = {}
        self._received = 0  # bytes of DATA since the window of the connection was raised
        self._noise = 0
        self._raises = 0
        self._rest = b""
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags and header block until its last frame
        self._output: list[bytes] = [
            frames.PREFACE,
            frames.settings(
                {
                    Setting.HEADER_TABLE_SIZE: 0,
                    Setting.ENABLE_PUSH: 0,
                    Setting.MAX_CONCURRENT_STREAMS: 0,
                    Setting.INITIAL_WINDOW_SIZE: _ANSWER_WINDOW,
                    Setting.MAX_HEADER_LIST_SIZE: _MAX_HEADERS,
                }
            ),
            frames.window_update(0, _CONNECTION_WINDOW - WINDOW),
        ]
        self.is_ready = False
        """Whether the other side has said what it takes."""
        self.has_answered = False
        """Whether a request was answered."""
        self.is_leaving = False
        """Whether the other side takes no new requests."""
        self.said = ""
        """Why it leaves, in its own words."""
        self.not_processed: list[Begun] = []
        self.finished: list[Batch] = []

    @property
    def in_flight(self) -> int:
        return len(self._open)

    @property
    def room(self) -> int:
        """How many more requests it takes now."""
        if self.is_leaving or self._unsent or self._window <= 0:
            return 0
        return min(self._limit, self._streams) - len(self._open)

    def batches(self) -> set[Batch]:
        """Those with requests that have no answer."""
        return {batch for batch, *_ in self._open.values()}

    def take_output(self) -> bytes:
        output, self._output = self._output, []
        return b"".join(output)

    # Requests

    def begin(self, batch: Batch, group: RequestGroup, rows: Sequence[Row], *, tries: int) -> None:
        """Send requests, no more than there is room for; how often the other side has refused them before is kept."""
        count = len(rows)
        first = self._next
        self._next = last = first + 2 * count
        if last > _LAST_STREAM:
            self.is_leaving = True
        streams = range(first, last, 2)
        self._open.update(
            zip(streams, zip(repeat(batch), repeat(group), rows, repeat(tries), strict=False), strict=True)
        )
        self._encoder.renew_if_full()
        shared, is_lasting = self._encoder.shared(group)
        if not is_lasting:
            self._one(shared, group, first, rows[0])
            rows, streams = rows[1:], streams[1:]
            shared, _ = self._encoder.shared(group)
        if len(rows) < _FEW or not self._many(shared, group, streams, rows):
            for stream, row in zip(streams, rows, strict=True):
                self._one(shared, group, stream, row)

    def _many(self, shared: Shared, group: RequestGroup, streams: Sequence[int], rows: Sequence[Row]) -> bool:
        """Send requests at once; False where their blocks differ in shape, or windows hold them back."""
        sizes = [len(row[3]) for row in rows]
        total = sum(sizes)
        if max(sizes) > self._most_at_once or total > self._window:
            return False
        output = whole_requests(shared, group.path, streams, rows)
        if output is None:
            return False
        self._window -= total
        self._output.append(output)
        return True

    def _one(self, shared: Shared, group: RequestGroup, stream: int, row: Row) -> None:
        """Send a request; its body may have to wait for a window, or take several frames."""
        body = row[3]
        size = len(body)
        self._output.append(frames.headers(stream, header_block(shared, group.path, row), size=self._frame_size))
        if size <= self._most_at_once and size <= self._window:
            self._window -= size
            self._output.append(frames.frame(Kind.DATA, body, flags=END_STREAM, stream=stream))
        else:
            self._unsent[stream] = memoryview(body)
            self._send_body(stream)

    @property
    def _most_at_once(self) -> int:
        """Bytes of a body that go in one frame."""
        return min(self._frame_size, self._stream_window, SHORT - 1)

    def _send_body(self, stream: int) -> None:
        """Send what the windows let through."""
        left = self._unsent[stream]
        credit = self._credit.get(stream, self._stream_window)
        while True:
            size = max(0, min(len(left), self._frame_size, self._window, credit))
            if left and not size:
                self._unsent[stream], self._credit[stream] = left, credit
                return
            part, left = left[:size], left[size:]
            self._window -= size
            credit -= size
            flags = 0 if left else END_STREAM
            self._output.append(frames.frame(Kind.DATA, bytes(part), flags=flags, stream=stream))
            if not left:
                del self._unsent[stream]
                self._credit.pop(stream, None)
                return

    def _send_bodies(self) -> None:
        for stream in list(self._unsent):
            if self._window <= 0:
                return
            self._send_body(stream)

    def cancel(self, batch: Batch) -> list[Begun]:
        """Take back the requests of a batch: the other side frees their streams. Which those are."""
        mine = [stream for stream, begun in self._open.items() if begun[0] is batch]
        taken = []
        for stream in mine:
            self._output.append(frames.reset(stream, Code.CANCEL))
            taken.append(self._forget(stream))
            self._noise -= _LATE  # its answer may be on the way
        return taken

    def ping(self, data: bytes) -> None:
        """Ask whether the other side is there; `data` are 8 bytes."""
        self._output.append(frames.frame(Kind.PING, data))

    def leave(self, code: Code = Code.NO_ERROR, words: str = "") -> None:
        """Say good-bye."""
        self.is_leaving = True
        self._output.append(frames.goaway(code, words))

    def abandon(self) -> list[Begun]:
        """The connection is broken: the requests that have no answer."""
        return [self._forget(stream) for stream in list(self._open)]

    def _forget(self, stream: int) -> Begun:
        self._answers.pop(stream, None)
        self._unsent.pop(stream, None)
        self._credit.pop(stream, None)
        return Begun(*self._open.pop(stream))

    # Answers

    def receive(self, data: bytes) -> None:
        """Take bytes from the other side. Raises: Http2Error."""
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        open_, unpack = self._open, HEAD.unpack_from
        quick = not self._answer_headers
        tried_to = 0  # where the answers end that were looked at together
        while at + HEAD_SIZE <= size:
            upper, lower, kind, flags, stream = unpack(data, at)
            length = upper << 8 | lower
            if length > FRAME_SIZE:
                raise Http2Error(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            end = at + HEAD_SIZE + length
            if end > size:
                break
            if (
                quick
                and kind == _HEADERS
                and flags == _WHOLE
                and length
                and data[at + HEAD_SIZE] == _PLAIN
                and self._block is None
                and stream in open_
                and stream not in self._answers
                and stream not in self._unsent
            ):
                if at >= tried_to:
                    alike, tried_to = answers_alike(data, at, end)
                    if alike and self._take_plain(alike):
                        at = tried_to
                        continue
                batch = open_.pop(stream)[0]
                batch.plain += 1
                batch.open -= 1
                if not batch.open:
                    self.finished.append(batch)
                self._noise = 0
                self.has_answered = True
            elif (
                kind == _RESET
                and length == _RESET_SIZE
                and stream % 2
                and stream < self._next
                and stream not in open_
                and self._block is None
                and self._noise < _MAX_NOISE
            ):  # of a request that was answered before its body was read
                self._noise += 1
            else:
                self._take(kind, flags, stream & frames.MAX_STREAM, data[at + HEAD_SIZE : end])
            at = end
        self._rest = data[at:]

    def _take_plain(self, streams: Sequence[int]) -> bool:
        """Each of these was answered by a bare 200. False, and none is taken, where one awaits no such answer."""
        wanted = set(streams)
        if len(wanted) < len(streams) or not self._open.keys() >= wanted:
            return False
        if not (wanted.isdisjoint(self._answers) and wanted.isdisjoint(self._unsent)):
            return False
        for batch, count in Counter(map(itemgetter(0), map(self._open.pop, streams))).items():
            batch.plain += count
            batch.open -= count
            if not batch.open:
                self.finished.append(batch)
        self._noise = 0
        self.has_answered = True
        return True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if (self._block is not None) is not (kind == Kind.CONTINUATION):
            raise Http2Error(Code.PROTOCOL_ERROR, "a header block is interrupted, or goes on without a beginning")
        if not self.is_ready and kind != Kind.SETTINGS:
            raise Http2Error(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if kind != Kind.WINDOW_UPDATE:
            # A SETTINGS frame counts by what it says: each value may cost as much as a frame.
            self._noise += max(1, len(payload) // 6) if kind == Kind.SETTINGS else 1
            self._raises = 0
            if self._noise > _MAX_NOISE:
                raise Http2Error(Code.ENHANCE_YOUR_CALM, f"{_MAX_NOISE} frames in a row that answer nothing")
        if kind == Kind.HEADERS:
            self._headers(flags, stream, payload)
        elif kind == Kind.CONTINUATION:
            self._continuation(flags, stream, payload)
        elif kind == Kind.DATA:
            self._data(flags, stream, payload)
        elif kind == Kind.RST_STREAM:
            self._reset(stream, _numbers(payload, 1)[0])
        elif kind == Kind.SETTINGS:
            self._settings(flags, stream, payload)
        elif kind == Kind.PING:
            self._ping(flags, stream, payload)
        elif kind == Kind.GOAWAY:
            self._goaway(stream, payload)
        elif kind == Kind.WINDOW_UPDATE:
            self._window_update(stream, _numbers(payload, 1)[0] & frames.MAX_WINDOW)
        elif kind == Kind.PUSH_PROMISE:
            raise Http2Error(Code.PROTOCOL_ERROR, "a pushed stream, which was refused in the settings")
        # Others, such as PRIORITY and kinds that are not known, mean nothing here (section 5.5).

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        self._check_stream(stream)
        try:
            block = frames.unpadded(flags, payload)
        except ValueError as error:
            raise Http2Error(Code.PROTOCOL_ERROR, str(error)) from error
        if flags & END_HEADERS:
            self._fields(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block))

    def _continuation(self, flags: int, stream: int, payload: bytes) -> None:
        assert self._block is not None
        of, first_flags, block = self._block
        if of != stream:
            raise Http2Error(Code.PROTOCOL_ERROR, "a header block goes on on another stream")
        block += payload
        if len(block) > _MAX_HEADERS:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "a header block without an end")
        if flags & END_HEADERS:
            self._block = None
            self._fields(stream, first_flags, bytes(block))

    def _fields(self, stream: int, flags: int, block: bytes) -> None:
        # A bare status needs no decoding; a block that may change a table is decoded, whoever waits for it.
        if block == b"\x88" and not self._answer_headers:
            fields = {":status": "200"}
        else:
            try:
                fields = {str(name): str(value) for name, value in self._decoder.decode(block)}
            except (HPACKError, UnicodeDecodeError) as error:
                raise Http2Error(
                    Code.COMPRESSION_ERROR, f"a header block that cannot be read: {str(error)[:80]}"
                ) from error
        if stream not in self._open:
            return
        answer = self._answers.get(stream)
        if answer is None:
            status = fields.get(":status", "")
            if not (len(status) == 3 and status.isascii() and status.isdigit()):
                self._end(stream, Response(0, failure="an answer without a status"), reset=True)
                return
            if status[0] == "1":  # a final answer follows (RFC 9110, section 15.2)
                if flags & END_STREAM:
                    self._end(stream, Response(0, failure="an answer that is not the last, and nothing behind it"))
                return
            self._answers[stream] = answer = _Answer(int(status), self._shown(int(status), fields))
        if flags & END_STREAM:  # trailers too end here, and say nothing
            self._finish(stream, answer)

    def _shown(self, status: int, fields: Mapping[str, str]) -> Mapping[str, str]:
        if self._answer_headers:
            return {name: value for name, value in fields.items() if not name.startswith(":")}
        if status != 200 and "retry-after" in fields:
            return {"retry-after": fields["retry-after"]}
        return {}

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._check_stream(stream)
        self._received += len(payload)
        if self._received >= _CONNECTION_WINDOW // 2:
            self._output.append(frames.window_update(0, self._received))
            self._received = 0
        if stream not in self._open:
            return
        answer = self._answers.get(stream)
        if answer is None:
            self._end(stream, Response(0, failure="a body before its status"), reset=True)
            return
        try:
            body = frames.unpadded(flags & ~frames.PRIORITY, payload)
        except ValueError as error:
            raise Http2Error(Code.PROTOCOL_ERROR, str(error)) from error
        if body:
            self._noise = 0
        answer.body += body
        if len(answer.body) > MAX_ANSWER:
            self._end(stream, Response(0, failure=f"an answer of more than {MAX_ANSWER} bytes"), reset=True)
        elif flags & END_STREAM:
            self._finish(stream, answer)

    def _finish(self, stream: int, answer: _Answer) -> None:
        body = bytes(answer.body)
        is_plain = answer.status == 200 and not body and not answer.headers
        if stream in self._unsent:  # it did not want the rest of the body (section 8.1)
            self._output.append(frames.reset(stream, Code.CANCEL))
        self._end(stream, None if is_plain else Response(answer.status, answer.headers, body))

    def _end(self, stream: int, response: Response | None, *, reset: bool = False) -> None:
        if reset:
            self._output.append(frames.reset(stream, Code.CANCEL))
        begun = self._forget(stream)
        self._noise = 0
        if response is None or response.status:
            self.has_answered = True
        begun.batch.settle(begun.row[0], response)
        if not begun.batch.open:
            self.finished.append(begun.batch)

    def _reset(self, stream: int, code: int) -> None:
        self._check_stream(stream)
        if stream not in self._open:
            return
        if code == Code.REFUSED_STREAM and stream not in self._answers:  # what has begun to answer was looked at
            self.not_processed.append(self._forget(stream))
            return
        answer = self._answers.get(stream)
        if code == Code.NO_ERROR and answer is not None:  # it answered without the rest of the request (section 8.1)
            self._unsent.pop(stream, None)
            self._finish(stream, answer)
            return
        self._end(stream, Response(0, failure=f"the service reset the request: {code_name(code)}"))

    # The connection

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6 or (flags & ACK and payload):
            raise Http2Error(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong form")
        if flags & ACK:
            return
        if not self.is_ready:
            self.is_ready = True
            self._limit = _UNLIMITED
        for name, value in struct.iter_unpack(">HI", payload):
            self._set(name, value)
        self._output.append(frames.frame(Kind.SETTINGS, flags=ACK))
        self._send_bodies()

    def _set(self, name: int, value: int) -> None:
        if name == Setting.MAX_CONCURRENT_STREAMS:
            self._limit = value
        elif name == Setting.HEADER_TABLE_SIZE:
            self._encoder.resize(value)
        elif name == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise Http2Error(Code.FLOW_CONTROL_ERROR, "a window that is too large")
            for each in self._credit:
                self._credit[each] += value - self._stream_window
            self._stream_window = value
        elif name == Setting.MAX_FRAME_SIZE:
            if not FRAME_SIZE <= value < 1 << 24:
                raise Http2Error(Code.PROTOCOL_ERROR, "a frame size that is not allowed")
            self._frame_size = value

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) != 8:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "PING of a wrong form")
        if not flags & ACK:
            self._output.append(frames.frame(Kind.PING, payload, flags=ACK))

    def _goaway(self, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR, "GOAWAY of a wrong form")
        last, code = _numbers(payload, 2)
        self.is_leaving = True
        words = CONTROLS.sub(" ", payload[8:].decode("utf-8", "replace")[:200])
        self.said = f"{code_name(code)} {words}".strip()
        last &= frames.MAX_STREAM
        for each in [each for each in self._open if each > last and each not in self._answers]:
            self.not_processed.append(self._forget(each))

    def _window_update(self, stream: int, by: int) -> None:
        if not by:
            raise Http2Error(Code.PROTOCOL_ERROR, "a window raised by nothing")
        self._raises += 1
        if self._raises > _MAX_RAISES:
            raise Http2Error(
                Code.ENHANCE_YOUR_CALM, f"{_MAX_RAISES} times a window was raised, and nothing was answered"
            )
        if not stream:
            self._window += by
            if self._window > frames.MAX_WINDOW:
                raise Http2Error(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        else:
            self._check_stream(stream)
            if stream not in self._unsent:
                return  # its whole body is sent
            self._credit[stream] += by
            if self._credit[stream] > frames.MAX_WINDOW:
                raise Http2Error(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        before = self._window
        self._send_bodies()
        if self._window < before:
            self._noise = self._raises = 0

    def _check_stream(self, stream: int) -> None:
        """An answer can only be of a stream that was opened; of one that has ended it may still be on its way."""
        if not stream or not stream % 2 or stream >= self._next:
            raise Http2Error(Code.PROTOCOL_ERROR, f"a frame of stream {stream}, which was never opened")


def _numbers(payload: bytes, count: int) -> Sequence[int]:
    if len(payload) < 4 * count:
        raise Http2Error(Code.FRAME_SIZE_ERROR, "a frame that is too short")
    return struct.unpack(f">{count}I", payload[: 4 * count])
