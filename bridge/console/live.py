"""The live feed of the page: what changed, told to each browser at most ten times a second."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from bridge.console.phones import PhoneFeed
from bridge.trail import Entry, Trail

SHOWN = 100
"""Events that a browser is told of at once, the latest ones: more than it shows."""

_INTERVAL = 0.1
_KEEP_ALIVE = 15.0
"""Seconds of silence before a comment shows that the connection lives (HTML Standard, section 9.2.7)."""


def trail_as_dict(trail: Trail, entries: Sequence[Entry]) -> dict[str, Any]:
    """`entries` of a trail as JSON types, with how many events there were in all."""
    return {"count": trail.count, "events": [entry.as_dict() for entry in entries]}


def phones_as_dict(phones: PhoneFeed | None) -> dict[str, Any]:
    """All phones as JSON types; None where there is nobody to ask."""
    return {"phones": None if phones is None else [phone.as_dict() for phone in phones.phones()]}


class Viewer:
    """One browser that looks on. Changes are collected by event, so a burst costs it one message and little memory."""

    def __init__(self, trail: Trail, phones: PhoneFeed | None) -> None:
        self._trail = trail
        self._phones = phones
        self._changed: OrderedDict[int, Entry] = OrderedDict()
        self._phones_changed = False
        self._woken = asyncio.Event()

    async def messages(self, closing: asyncio.Event) -> AsyncGenerator[str, None]:
        """Server-sent events until `closing` is set: a `snapshot` of everything, then an `update` for what changed.

        A browser that comes back after a break gets a snapshot again, so nothing has to be remembered for it.
        """
        unsubscribe = [self._trail.subscribe(self._on_entry)]
        if self._phones is not None:
            unsubscribe.append(self._phones.subscribe(self._on_phones))
        watch = asyncio.create_task(closing.wait())
        watch.add_done_callback(lambda _: self._woken.set())
        try:
            snapshot = trail_as_dict(self._trail, self._trail.entries()[-SHOWN:]) | phones_as_dict(self._phones)
            yield _message("snapshot", snapshot)
            while True:
                is_change = await self._waited()
                if closing.is_set():
                    return
                if is_change:
                    yield _message("update", self._taken())
                    await asyncio.sleep(_INTERVAL)
                else:
                    yield ":\n\n"
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

    async def _waited(self) -> bool:
        """Wait for a change; False if there was none for so long that the browser should hear something."""
        try:
            async with asyncio.timeout(_KEEP_ALIVE):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def _taken(self) -> dict[str, Any]:
        """What changed since it was taken last."""
        self._woken.clear()
        update = trail_as_dict(self._trail, list(self._changed.values()))
        self._changed.clear()
        if self._phones_changed:
            self._phones_changed = False
            update |= phones_as_dict(self._phones)
        return update


def as_json(content: dict[str, Any]) -> str:
    """One line of ASCII, whatever text an event held."""
    return json.dumps(content, separators=(",", ":"))


def _message(name: str, content: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {as_json(content)}\n\n"
