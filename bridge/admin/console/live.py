"""The live feed of the page: what changed, sent to each browser at most ten times a second, in a flood once.

Events and status have the shapes of `/api/v1/events/{number}` and `/api/v1/status`.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from bridge.admin.api.events import event_of
from bridge.admin.api.status import Status
from bridge.admin.console.phones import PhoneFeed
from bridge.observe.recent import Entry, RecentEvents

SHOWN = 100
"""Events that a browser gets at once, the latest ones: more than it shows."""

_INTERVAL = 0.1
_INTERVAL_EACH = 0.01
"""Seconds between two messages at least, and for each event in the first: in a flood, one a second."""


def events_as_dict(recent_events: RecentEvents, entries: Sequence[Entry]) -> dict[str, Any]:
    """`entries` as JSON types, with how many events there were in all."""
    return {"count": recent_events.count, "events": [event_of(entry).model_dump(mode="json") for entry in entries]}


def phones_as_dict(phones: PhoneFeed | None) -> dict[str, Any]:
    """All phones as JSON types; None where the process has no phones."""
    return {"phones": None if phones is None else [phone.as_dict() for phone in phones.phones()]}


class Viewer:
    """One browser that looks on; `status` is asked each `look_every` seconds.

    Changes are collected by event, so a burst costs it one message and little memory. After `alive_every` seconds of
    silence it hears that the process lives: a connection alone does not show that it does.
    """

    def __init__(
        self,
        recent_events: RecentEvents,
        phones: PhoneFeed | None,
        *,
        status: Callable[[], Status],
        look_every: float = 0.5,
        alive_every: float = 2.0,
    ) -> None:
        self._look_every, self._alive_every = look_every, alive_every
        self._recent_events = recent_events
        self._phones = phones
        self._status = status
        self._sent_status: Status | None = None
        self._changed: OrderedDict[int, Entry] = OrderedDict()
        self._phones_changed = False
        self._woken = asyncio.Event()

    async def messages(self, closing: asyncio.Event) -> AsyncGenerator[str, None]:
        """Server-sent events until `closing` is set: a `snapshot` of everything, then an `update` for what changed.

        While nothing changes, `alive` comes each `alive_every` seconds (HTML Standard, 9.2.7: no event without data).
        A browser that comes back after a break gets a snapshot again, so nothing has to be remembered for it.
        """
        loop = asyncio.get_running_loop()
        unsubscribe = [self._recent_events.subscribe(self._on_entry)]
        if self._phones is not None:
            unsubscribe.append(self._phones.subscribe(self._on_phones))
        watch = asyncio.create_task(closing.wait())
        watch.add_done_callback(lambda _: self._woken.set())
        try:
            self._sent_status = self._status()
            events = events_as_dict(self._recent_events, self._recent_events.entries()[-SHOWN:])
            content = events | phones_as_dict(self._phones) | _status_as_dict(self._sent_status)
            yield _message("snapshot", content)
            silent_since = loop.time()
            while True:
                await self._wait()
                if closing.is_set():
                    return
                told_of = len(self._changed)
                if update := self._taken():
                    yield _message("update", update)
                    silent_since = loop.time()
                    await asyncio.sleep(max(_INTERVAL, told_of * _INTERVAL_EACH))
                elif loop.time() - silent_since >= self._alive_every:
                    yield _message("alive", {})
                    silent_since = loop.time()
        finally:
            watch.cancel()
            for end in unsubscribe:
                end()

    def _on_entry(self, entry: Entry) -> None:
        self._changed[entry.number] = entry
        if len(self._changed) > SHOWN:
            self._changed.popitem(last=False)
        self._woken.set()

    def _on_phones(self) -> None:
        self._phones_changed = True
        self._woken.set()

    async def _wait(self) -> None:
        """Wait for a change, but not past the time when the status is to be looked at."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_every):
                await self._woken.wait()

    def _taken(self) -> dict[str, Any]:
        """What changed since it was taken last; empty if nothing did."""
        status = self._status()
        is_news = self._sent_status is None or _lasting(status) != _lasting(self._sent_status)
        if not self._woken.is_set() and not is_news:
            return {}
        self._woken.clear()
        update = events_as_dict(self._recent_events, list(self._changed.values()))
        self._changed.clear()
        if self._phones_changed:
            self._phones_changed = False
            update |= phones_as_dict(self._phones)
        if is_news:
            self._sent_status = status
            update |= _status_as_dict(status)
        return update


def _lasting(status: Status) -> Status:
    """What of a status makes news: `pending` changes with every event, and the page does not show the number."""
    return status.model_copy(update={"pending": 0})


def _status_as_dict(status: Status) -> dict[str, Any]:
    return {"status": status.model_dump(mode="json")}


def as_json(content: dict[str, Any]) -> str:
    """One line of ASCII, whatever text an event held."""
    return json.dumps(content, separators=(",", ":"))


def _message(name: str, content: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {as_json(content)}\n\n"
