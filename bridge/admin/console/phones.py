"""Phones that the page may show. The process itself knows none; the demo describes its virtual ones in these words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A notification on a phone's screen. `push_id` is the id its push had on the wire."""

    push_id: str
    at: datetime
    title: str = ""
    subtitle: str = ""
    body: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "push_id": self.push_id,
            "at": self.at.isoformat(),
            "title": self.title,
            "subtitle": self.subtitle,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One phone, tablet or computer: what it is, what it registered for, and its screen, oldest first.

    `platform` is the name in installations (`apns`, `fcmv1`, `wns`, `browser`).
    """

    id: str
    name: str
    platform: str
    user: str
    tags: Sequence[str]
    screen: Sequence[Shown]

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "platform": self.platform,
            "user": self.user,
            "tags": list(self.tags),
            "screen": [shown.as_dict() for shown in self.screen],
        }


class PhoneFeed(Protocol):
    """Where the page asks for phones."""

    def phones(self) -> Sequence[Phone]:
        """All phones as they are now; the latest few notifications of each are enough."""

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when a screen has changed; the answer ends that."""
