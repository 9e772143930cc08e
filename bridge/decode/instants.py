"""Text to a point in time."""

from datetime import UTC, datetime


def parse_instant(text: str) -> datetime:
    """The instant that RFC 3339 or ISO 8601 text names, in UTC.

    Raises: ValueError: not a date and time, without a zone (a local time is no instant), or outside years 1 to 9999.
    """
    try:
        # RFC 3339, section 5.6: "T" and "Z" may be written in lower case.
        instant = datetime.fromisoformat(text.upper())
        if instant.tzinfo is None:
            raise ValueError("no time zone")
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error
