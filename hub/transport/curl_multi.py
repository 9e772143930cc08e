"""A libcurl multi handle on the asyncio loop (libcurl, "multi_socket" interface)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import pycurl

_CROWD: Final = 64  # requests at once from which on answers are read together
_PAUSE: Final = 0.005  # seconds between two reads then

Failed = tuple[Any, int, str]
"""An easy handle, libcurl's error code (`CURLE_*`) and its words."""


class EventedMulti:
    """Runs easy handles over connections of its own; its sockets and its timer live on the running loop.

    At most `connections` are opened to one host, with at most `streams` requests at once on each, fewer if the peer says
    so (RFC 9113, 5.1.2). `on_done(multi, answered, failed)` is called with the easy handles that have finished.

    With `cautious` a connection that is new carries one request until that is answered. The peer's limit is not known
    before (libcurl takes it for 100, APNs begins with 1), and for a refused stream libcurl gives the whole
    connection up and tries the next, five times at most. This counts connections, so there may be only one.
    """

    def __init__(
        self,
        on_done: Callable[["EventedMulti", Sequence[Any], Sequence[Failed]], None],
        *,
        connections: int,
        streams: int,
        cautious: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_done = on_done
        self._most = connections * streams
        self._streams = streams
        self._cautious = cautious
        self._is_new = cautious  # the connection, until it has answered
        self._connection = -1  # libcurl's number of the one that answered last
        self._opening = False
        self._watched: dict[int, int] = {}  # what is watched of each socket, in libcurl's bits
        self._resting: set[int] = set()  # sockets that are watched, but left alone until the next look
        self._timer: asyncio.TimerHandle | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1 if cautious else streams)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self.in_flight = 0
        """How many easy handles are inside; the pool that adds and removes them keeps count."""
        self.answered_at = float("-inf")
        """When an answer came last, in the loop's time."""
        self.add = self._multi.add_handle
        self.remove = self._multi.remove_handle

    @property
    def room(self) -> int:
        """How many more requests it takes now."""
        return (1 if self._is_new else self._most) - self.in_flight

    @property
    def is_new(self) -> bool:
        """Whether `room` will grow once the first request is answered."""
        return self._is_new

    def connecting(self) -> None:
        """To be called when libcurl opens a connection (`SOCKOPTFUNCTION`)."""
        self._opening = self._cautious

    def start(self) -> None:
        """Send what was added."""
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def close(self) -> None:
        """Close the connections; every easy handle has to be removed before."""
        self._multi.close()
        for fd in list(self._watched):
            self._watch(pycurl.POLL_REMOVE, fd, self._multi, None)
        for timer in (self._timer, self._next_look):
            if timer is not None:
                timer.cancel()

    def _watch(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        now = 0 if what == pycurl.POLL_REMOVE else what
        before = self._watched.pop(fd, 0)
        if now:
            self._watched[fd] = now
        if now & ~before & pycurl.POLL_IN:
            self._loop.add_reader(fd, self._readable, fd)
        if before & ~now & pycurl.POLL_IN:
            self._loop.remove_reader(fd)
            self._resting.discard(fd)
        if now & ~before & pycurl.POLL_OUT:
            self._loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        if before & ~now & pycurl.POLL_OUT:
            self._loop.remove_writer(fd)

    def _act(self, fd: int, event: int) -> None:
        self._run(fd, event)
        self._set_timer()
        self._look_soon()

    def _readable(self, fd: int) -> None:
        # libcurl goes through all requests of a connection whenever it reads, so with many it should read seldom.
        if self._cautious and self.in_flight >= _CROWD:
            self._loop.remove_reader(fd)
            self._resting.add(fd)
            self._look_soon()
        else:
            self._act(fd, pycurl.CSELECT_IN)

    def _look_soon(self) -> None:
        if self._next_look is None and self._cautious and self.in_flight:
            self._next_look = self._loop.call_later(_PAUSE, self._look)

    def _look(self) -> None:
        """Read what has come, and what libcurl left behind in its TLS buffer: no event of the socket says so."""
        self._next_look = None
        resting, self._resting = self._resting, set()
        for fd in resting:
            self._loop.add_reader(fd, self._readable, fd)
        answers = [self._run(fd, pycurl.CSELECT_IN) for fd in list(self._watched)]
        self._set_timer()
        if any(answers):
            self._look_soon()

    def _run(self, fd: int, event: int) -> bool:
        """Let libcurl work and hand on what has finished; whether there were answers."""
        self._multi.socket_action(fd, event)
        if self._opening:
            # Not from inside the callback, where libcurl cannot be called; its handshake takes longer than this.
            self._opening = False
            self._is_new = True
            self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1)
        heard = False
        left = 1
        while left:
            left, answered, failed = self._multi.info_read(1000)
            if answered:
                heard = True
                self.answered_at = self._loop.time()
                if self._is_new:
                    self._get_to_know(answered)
            if answered or failed:
                self._on_done(self, answered, failed)
        return heard

    def _get_to_know(self, answered: Sequence[Any]) -> None:
        for curl in answered:
            connection = curl.getinfo(pycurl.CONN_ID)
            if connection != self._connection:  # and not one of those that the connection before still answers
                self._connection = connection
                self._is_new = False
                self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self._streams)
                return

    def _set_timer(self) -> None:
        # Asked for once in many requests: libcurl would call a `TIMERFUNCTION` for nearly every one.
        if self._timer is not None:
            self._timer.cancel()
        milliseconds = self._multi.timeout()
        self._timer = None if milliseconds < 0 else self._loop.call_later(milliseconds / 1000, self.start)
