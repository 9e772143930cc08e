"""A silence: for a while, notifications of a rule, a source or a hub are held, or dropped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.explained import Explained
from hub.frozen import frozen_dataclass
from hub.notification import Notification

LONGEST = 30 * 24 * 3600.0
"""Seconds that a silence may last: what is to be quiet for longer is a change of the configuration."""

SHORTEST = 1.0

MOST = 100
"""Silences that may be in force at once: every accepted batch reads them."""

MAX_REASON = 500
MAX_NAME = 256


class SilenceAction(Explained):
    """What becomes of a notification that a silence covers."""

    HOLD = "hold", "The notification waits, and goes out when the silence ends, if it is worth sending then."
    DROP = "drop", "The notification ends as cancelled, and goes to no phone."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSilence:
    """What an operator asks for. `rule`, `source` and `hub` say what it covers: all that are not empty, of which there is
    one at least. `seconds` is how long it lasts, `actor` who asks."""

    id: str
    action: SilenceAction
    seconds: float
    reason: str
    actor: str
    rule: str = ""
    source: str = ""
    hub: str = ""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One that is kept. `at` is when it began and `until` when it ends or has ended, in seconds since 1970 UTC;
    `removed_by` is who ended it before its time, empty for nobody."""

    id: str
    action: SilenceAction
    rule: str
    source: str
    hub: str
    reason: str
    actor: str
    at: float
    until: float
    removed_by: str = ""

    def covers(self, notification: Notification) -> bool:
        """Whether the silence names this rule, source and hub."""
        return (
            (not self.rule or self.rule == notification.rule)
            and (not self.source or self.source == notification.source)
            and (not self.hub or self.hub == notification.hub)
        )

    @property
    def target(self) -> str:
        """What it covers, in words."""
        named = {"rule": self.rule, "source": self.source, "hub": self.hub}
        return ", ".join(f"{kind} {name}" for kind, name in named.items() if name)


def silence_for(notification: Notification, silences: Iterable[Silence]) -> Silence | None:
    """The one of `silences` that decides; None: none covers it. One that drops goes before one that holds, and of those
    that hold the one that ends last decides."""
    covering = [silence for silence in silences if silence.covers(notification)]
    return max(covering, key=_weight, default=None)


def _weight(silence: Silence) -> tuple[bool, float]:
    return silence.action is SilenceAction.DROP, silence.until


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceUse:
    """How much a silence holds now, since when the oldest of that was accepted (None: nothing is held), and how many it
    has dropped, as far as they are kept still."""

    held: int = 0
    oldest: float | None = None
    dropped: int = 0


Silenced = Sequence[tuple[Notification, Silence]]
"""Notifications that were silenced, each with the silence that decided."""
