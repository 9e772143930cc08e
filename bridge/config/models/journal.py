"""`journal`: what is kept of each event."""

from typing import Annotated

from pydantic import Field

from bridge.config.section import NotNegative, Positive, Section, form
from connectors.size import Size


class JournalSettings(Section):
    """What is kept of each event, so that `pushbridge why` can say what became of it."""

    off: bool = False
    """Keep nothing."""
    events: Positive = 7 * 86_400.0
    """How long outcome, rules and failed conditions of an event are kept, without any value of the event."""
    bodies: NotNegative = 86_400.0
    """How long the values of an event are kept; 0s keeps none, and conditions then show kinds and lengths alone."""
    max_bytes: Annotated[Size, Field(gt=0)] = 1024**3
    """How much all of it may have together; the oldest make place."""
    redact: tuple[Annotated[str, form(r"(data|meta)(\.[^.\[\]]+)*", "a path such as data.iban")], ...] = ()
    """Paths of values that are never kept, such as data.iban; kind and length stand in their place."""
    no_match_per_second: int = Field(default=50, ge=0)
    """How many events that no rule matched are kept of each source in a second; a topic may hold little else.
    Where values are redacted or not kept, the conditions of as many that a rule matched are kept too."""
