"""`schedule`: a time of the event, or a window, in which a notification is sent, in place of at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from hub.times import is_no_time, parse_time
from hub.windows import Window
from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.render import Text
from rules.windows import opening

MAX_AHEAD = timedelta(days=366)
"""A time beyond this is taken for a mistake, such as the year 9999 that stands for "no end"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`at` names the time in any form of `hub.times`; one without an offset is in `timezone`. `key` is its path. A time
    outside of `only_in` is put off until that window next opens."""

    at: Text | None = None
    only_in: Window | None = None
    timezone: tzinfo = UTC
    key: str = "schedule.at"

    def due(self, event: Event, *, now: datetime) -> datetime | None:
        """When to send; None: at once, as the event names no time or one that has passed, and a window is open.

        Raises: RenderError: it names none, and something else.
        """
        at = self._named(event, now=now)
        if self.only_in is None:
            return at
        opens = opening(self.only_in, at or now)
        return opens if opens > now else None

    def is_put_off(self, event: Event, *, now: datetime) -> bool:
        """Whether it is sent later than it could be, as the window is not open. Raises: as `due`."""
        return self.only_in is not None and self.due(event, now=now) != self._named(event, now=now)

    def _named(self, event: Event, *, now: datetime) -> datetime | None:
        if self.at is None:
            return None
        value = self.at.render(event)
        if is_no_time(value):
            return None
        try:
            at = parse_time(value, self.timezone)
        except ValueError as error:
            raise RenderError(f"schedule.at: {error}") from None
        if at > now + MAX_AHEAD:
            raise RenderError(f"schedule.at: more than {MAX_AHEAD.days} days ahead")
        return at if at > now else None

    def explain(self, event: Event) -> FailedCondition | None:
        """Why there is no time, as of that of the event; None where there is one, or none is wanted."""
        if self.at is None:
            return None
        if (failed := self.at.explain(event, self.key)) is not None:
            return failed
        try:
            self.due(event, now=event.time)
        except RenderError as error:
            return FailedCondition(place=Place(self.key, self.at.mark), wanted=str(self.at), seen={}, error=str(error))
        return None
