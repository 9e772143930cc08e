"""A libcurl multi handle on the asyncio loop (libcurl, "multi_socket" interface)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pycurl

Failed = tuple[Any, int, str]
"""An easy handle, libcurl's error code (`CURLE_*`) and its words."""


class EventedMulti:
    """Runs easy handles over HTTP/1.1 connections of its own; its sockets and its timer live on the running loop.

    At most `connections` are opened to one host. `on_done(answered, failed)` is called with the easy handles that have
    finished.
    """

    def __init__(self, on_done: Callable[[Sequence[Any], Sequence[Failed]], None], *, connections: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_done = on_done
        self._watched: dict[int, int] = {}  # what is watched of each socket, in libcurl's bits
        self._timer: asyncio.TimerHandle | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self.answered_at = float("-inf")
        """When an answer came last, in the loop's time."""
        self.add = self._multi.add_handle
        self.remove = self._multi.remove_handle

    def start(self) -> None:
        """Send what was added."""
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def close(self) -> None:
        """Close the connections; every easy handle has to be removed before."""
        self._multi.close()
        for fd in list(self._watched):
            self._watch(pycurl.POLL_REMOVE, fd, self._multi, None)
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        now = 0 if what == pycurl.POLL_REMOVE else what
        before = self._watched.pop(fd, 0)
        if now:
            self._watched[fd] = now
        if now & ~before & pycurl.POLL_IN:
            self._loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        if before & ~now & pycurl.POLL_IN:
            self._loop.remove_reader(fd)
        if now & ~before & pycurl.POLL_OUT:
            self._loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        if before & ~now & pycurl.POLL_OUT:
            self._loop.remove_writer(fd)

    def _act(self, fd: int, event: int) -> None:
        self._run(fd, event)
        self._set_timer()

    def _run(self, fd: int, event: int) -> None:
        """Let libcurl work and hand on what has finished."""
        self._multi.socket_action(fd, event)
        left = 1
        while left:
            left, answered, failed = self._multi.info_read(1000)
            if answered:
                self.answered_at = self._loop.time()
            if answered or failed:
                self._on_done(answered, failed)

    def _set_timer(self) -> None:
        # Asked for once in many requests: libcurl would call a `TIMERFUNCTION` for nearly every one.
        if self._timer is not None:
            self._timer.cancel()
        milliseconds = self._multi.timeout()
        self._timer = None if milliseconds < 0 else self._loop.call_later(milliseconds / 1000, self.start)
