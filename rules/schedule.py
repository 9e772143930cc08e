"""`schedule`: a time of the event at which a notification is sent, in place of at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from hub.times import is_no_time, parse_time
from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.render import Text

MAX_AHEAD = timedelta(days=366)
"""A time beyond this is taken for a mistake, such as the year 9999 that stands for "no end"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`at` names the time in any form of `hub.times`; one without an offset is in `timezone`. `key` is its path."""

    at: Text
    timezone: tzinfo = UTC
    key: str = "schedule.at"

    def due(self, event: Event, *, now: datetime) -> datetime | None:
        """When to send; None: at once, as the event names no time or one that has passed.

        Raises: RenderError: it names none, and something else.
        """
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
        if (failed := self.at.explain(event, self.key)) is not None:
            return failed
        try:
            self.due(event, now=event.time)
        except RenderError as error:
            return FailedCondition(place=Place(self.key, self.at.mark), wanted=str(self.at), seen={}, error=str(error))
        return None
