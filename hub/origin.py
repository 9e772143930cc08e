"""Where a send of another pushbridge comes from: the event there, its rule and configuration, for `why` on this side."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

import orjson

from hub.acceptance import MAX_INDEXED, NO_CONFIGURATION, ConfigurationVersion, JournalEntry
from hub.frozen import frozen_dataclass
from hub.notification import Notification
from hub.people import people_of

ORIGIN_HEADER: Final = "pushbridge-origin"
"""Of a send, URL-encoded: `source`, `event`, `rule`, `revision`, `hash`. Notification Hubs does not know it."""

FORWARDED: Final = "forwarded"
"""The member of a journal entry's `detail` that says that another pushbridge took the event."""

_MAX_HEADER: Final = 4096
_MAX_SOURCE: Final = 500
"""Bytes, as UTF-8."""
_SOURCE: Final = re.compile(r"[\w.-]{1,100}/[\w .-]{1,200}")
"""The other's name and its source. No source of one configuration has `/` in its name, so none is taken for the other's."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """`source` is the name of the bridge that took the event, `/`, and its own source."""

    source: str
    event_id: str
    rule: str
    configuration: ConfigurationVersion

    @property
    def header(self) -> str:
        """The value of `ORIGIN_HEADER`; empty for one too long to send along: it tells of a send and must not cost it."""
        said = urlencode(
            {
                "source": self.source,
                "event": self.event_id.encode("utf-8", "replace"),
                "rule": self.rule,
                "revision": self.configuration.revision,
                "hash": self.configuration.hash,
            }
        )
        return said if len(said) <= _MAX_HEADER else ""

    def entry(self, notification: Notification) -> JournalEntry:
        """What is kept of the event here: one for each of its notifications, without any value."""
        detail = {FORWARDED: True, "rules": [self.rule], "notifications": [[self.rule, notification.id]]}
        return JournalEntry(
            source=self.source,
            event_id=self.event_id,
            outcome="accepted",
            detail=orjson.dumps(detail),
            trace=notification.trace,
            person=next(iter(people_of(notification)), ""),
        )


def origin_in(headers: Mapping[str, str]) -> Origin | None:
    """What a request's headers say; None where they say nothing, or nothing that can be understood."""
    text = headers.get(ORIGIN_HEADER, "")
    if not text or len(text) > _MAX_HEADER:
        return None
    said = dict(parse_qsl(text))
    source, event_id, rule = said.get("source", ""), said.get("event", ""), said.get("rule", "")
    if not _SOURCE.fullmatch(source) or not event_id or not rule or any("\0" in value for value in said.values()):
        return None  # a NUL is what PostgreSQL cannot keep
    if len(source.encode()) > _MAX_SOURCE or len(event_id.encode()) > MAX_INDEXED:
        return None
    version = ConfigurationVersion(revision=said.get("revision", "")[:200], hash=said.get("hash", "")[:64])
    return Origin(source=source, event_id=event_id, rule=rule, configuration=version)


class Origins:
    """Reads the origins of requests, and takes no more than `most` different configurations from them.

    The store keeps each configuration for ever, and whoever may send can say that there was another one for each send.
    """

    def __init__(self, *, most: int = 1000) -> None:
        self._most = most
        self._versions: set[ConfigurationVersion] = set()

    def read(self, headers: Mapping[str, str]) -> Origin | None:
        """As `origin_in`; without the configuration where there were too many."""
        origin = origin_in(headers)
        if origin is None or origin.configuration in self._versions:
            return origin
        if len(self._versions) >= self._most:
            return replace(origin, configuration=NO_CONFIGURATION)
        self._versions.add(origin.configuration)
        return origin
