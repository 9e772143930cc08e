"""HTTP/1.1 requests to one origin over libcurl, one at a time on each connection."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import pycurl

from hub.egress import Proxy
from hub.requests import RequestGroup
from hub.transport.curl_multi import EventedMulti, Failed
from hub.transport.feed import Feed
from hub.transport.handles import Handle, Handles, failure_of, response_of
from hub.transport.requests import Batch

_URL, _HTTPHEADER, _POSTFIELDS = pycurl.URL, pycurl.HTTPHEADER, pycurl.POSTFIELDS  # looked up once: the hot path
_PROXY, _RESPONSE_CODE = pycurl.PROXY, pycurl.RESPONSE_CODE


class Progress(Protocol):
    """Called when requests were answered."""

    def __call__(self) -> None: ...


class CurlCarrier:
    """See `Carrier`."""

    is_new = False

    def __init__(self, handles: Handles, progress: Progress, *, connections: int, proxy: Proxy | None) -> None:
        self._handles = handles
        self._progress = progress
        self._connections = connections
        self._proxy = proxy
        self._under_way: dict[Any, Handle] = {}
        self._multi = EventedMulti(self._done, connections=connections)
        self.start = self._multi.start

    @property
    def answered_at(self) -> float:
        """When an answer came last, in the loop's time."""
        return self._multi.answered_at

    @property
    def room(self) -> int:
        """How many more requests it takes now."""
        return self._connections - len(self._under_way)

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet."""
        return len(self._under_way)

    def begin(self, feed: Feed, group: RequestGroup, limit: int) -> int:
        """See `Carrier.begin`."""
        prefix, shared, id_name, proxy = group.origin + group.path, group.headers, group.id_name, self._proxy
        begun = min(limit, feed.left)
        for position, tail, id_, body, key in islice(feed.rows, begun):
            handle = self._handles.take()
            curl = handle.curl
            curl.setopt(_URL, prefix + tail)
            if handle.proxy is not proxy:
                curl.setopt(_PROXY, "" if proxy is None else proxy.url)
                handle.proxy = proxy
            own = [f"{group.key_name}: {key}".encode()] if key else []
            curl.setopt(_HTTPHEADER, [*shared, *own, f"{id_name}: {id_}".encode()])
            if handle.body is not body:  # the phones of a page share it
                curl.setopt(_POSTFIELDS, body)
                handle.body = body
            handle.batch = feed.batch
            handle.position = position
            self._under_way[curl] = handle
            self._multi.add(curl)
        return begun

    def batches(self) -> set[Batch]:
        """See `Carrier.batches`."""
        return {handle.batch for handle in self._under_way.values() if handle.batch is not None}

    def give_up(self, batch: Batch) -> list[int]:
        """See `Carrier.give_up`."""
        mine = [curl for curl, handle in self._under_way.items() if handle.batch is batch]
        positions = []
        for curl in mine:
            self._multi.remove(curl)
            handle = self._under_way.pop(curl)
            positions.append(handle.position)
            self._handles.put_back(handle)
        return positions

    def close(self) -> None:
        """See `Carrier.close`."""
        self._multi.close()

    def _done(self, answered: Sequence[Any], failed: Sequence[Failed]) -> None:
        ended: dict[Batch, None] = {}
        for curl in answered:
            self._multi.remove(curl)
            handle = self._under_way.pop(curl)
            status = curl.getinfo(_RESPONSE_CODE)
            is_plain = status == 200 and not handle.chunks and not handle.header_lines
            self._settle(handle, None if is_plain else response_of(handle, status), ended)
        for curl, code, words in failed:
            self._multi.remove(curl)
            handle = self._under_way.pop(curl)
            self._settle(handle, failure_of(handle, code, words), ended)
        for batch in ended:
            batch.end_if_answered()
        self._progress()

    def _settle(self, handle: Handle, response: Any, ended: dict[Batch, None]) -> None:
        batch = handle.batch
        assert batch is not None
        batch.settle(handle.position, response)
        self._handles.put_back(handle)
        if not batch.open:
            ended[batch] = None
