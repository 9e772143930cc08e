"""The live feed of the page: what changed, told to each browser at most ten times a second, in a flood once a second."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from bridge.console.phones import PhoneFeed
from bridge.health import Part
from bridge.trail import Entry, Trail

SHOWN = 100
"""Events that a browser is told of at once, the latest ones: more than it shows."""

_INTERVAL = 0.1
_INTERVAL_EACH = 0.01
"""Seconds between two messages at least, and for each event that the first of them tells of."""

_LOOK_EVERY = 0.5
"""Seconds between two looks at the health of the parts, which do not all tell when they change."""

_BEAT = 5.0
"""Seconds of silence before a message that says nothing: the page takes three of them missing for a lost connection."""

Health = Callable[[], Sequence[Part]]


def health_as_dict(health: Health) -> dict[str, Any]:
    """All parts as JSON types."""
    return {"health": [part.as_dict() for part in health()]}


def trail_as_dict(trail: Trail, entries: Sequence[Entry]) -> dict[str, Any]:
    """`entries` of a trail as JSON types, with how many events there were in all."""
    return {"count": trail.count, "events": [entry.as_dict() for entry in entries]}


def phones_as_dict(phones: PhoneFeed | None) -> dict[str, Any]:
    """All phones as JSON types; None where there is nobody to ask."""
    return {"phones": None if phones is None else [phone.as_dict() for phone in phones.phones()]}


class Viewer:
    """One browser that looks on. Changes are collected by event, so a burst costs it one message and little memory."""

    def __init__(self, trail: Trail, phones: PhoneFeed | None, health: Health) -> None:
        self._trail = trail
        self._phones = phones
        self._health = health
        self._told_health: dict[str, Any] = {}
        self._changed: OrderedDict[int, Entry] = OrderedDict()
        self._phones_changed = False
        self._woken = asyncio.Event()

    async def messages(self, closing: asyncio.Event) -> AsyncGenerator[str, None]:
        """Server-sent events until `closing` is set: a `snapshot` of everything, then an `update` for what changed.

        In silence a `beat` comes now and then. A browser that comes back after a break gets a snapshot again, so nothing
        has to be remembered for it.
        """
        unsubscribe = [self._trail.subscribe(self._on_entry)]
        if self._phones is not None:
            unsubscribe.append(self._phones.subscribe(self._on_phones))
        watch = asyncio.create_task(closing.wait())
        watch.add_done_callback(lambda _: self._woken.set())
        clock = asyncio.get_running_loop().time
        try:
            yield _message("snapshot", self._everything())
            told_at = clock()
            while True:
                await self._wait(_LOOK_EVERY)
                if closing.is_set():
                    return
                events = len(self._changed)
                if update := self._taken():
                    yield _message("update", update)
                    told_at = clock()
                    await asyncio.sleep(max(_INTERVAL, events * _INTERVAL_EACH))
                elif clock() - told_at >= _BEAT:
                    yield _message("beat", {})
                    told_at = clock()
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

    async def _wait(self, seconds: float) -> None:
        """Wait for a change, but no longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _everything(self) -> dict[str, Any]:
        self._told_health = health_as_dict(self._health)
        events = trail_as_dict(self._trail, self._trail.entries()[-SHOWN:])
        return events | phones_as_dict(self._phones) | self._told_health

    def _taken(self) -> dict[str, Any]:
        """What changed since it was taken last; empty if nothing did."""
        self._woken.clear()
        update: dict[str, Any] = {}
        if self._changed:
            update |= trail_as_dict(self._trail, list(self._changed.values()))
            self._changed.clear()
        if self._phones_changed:
            self._phones_changed = False
            update |= phones_as_dict(self._phones)
        health = health_as_dict(self._health)
        if health != self._told_health:
            self._told_health = health
            update |= health
        return update


def as_json(content: dict[str, Any]) -> str:
    """One line of ASCII, whatever text an event held."""
    return json.dumps(content, separators=(",", ":"))


def _message(name: str, content: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {as_json(content)}\n\n"
