"""Dates as the SDKs of the wire contract write them."""

import re
from datetime import UTC, datetime

from hub.errors import InvalidRequestError
from hub.times import parse_time

_QUOTED_T = re.compile(r"'T'")
_ZONE_NAME = re.compile(r"\s*\([^)]*\)$")
_LONGEST = 200
"""Characters; the longest form, of JavaScript with the name of its zone, has about eighty."""

_JAVASCRIPT = "%a %b %d %Y %H:%M:%S GMT%z"
"""A Date turned to text."""
_HEADERS = "%m/%d/%Y %H:%M:%S"
"""Of .NET and Java."""


def parse_date(text: str) -> datetime:
    """The instant meant, in UTC: in one of the forms of `hub/times.py`, or what some SDKs write instead.

    A date without a zone is UTC. Fractions of a second beyond microseconds are cut.

    Raises: InvalidRequestError.
    """
    if len(text) > _LONGEST:
        raise InvalidRequestError(f"{text[:60]!r}… of {len(text)} characters is no date; {_LONGEST} are allowed")
    plain = _ZONE_NAME.sub("", _QUOTED_T.sub("T", text.strip()))
    try:
        return parse_time(_sdk_date(plain) or plain)
    except ValueError as error:
        raise InvalidRequestError(f"{text[:60]!r} is no date; write it like 2030-01-31T12:00:00Z") from error


def _sdk_date(text: str) -> datetime | None:
    """The date where it begins like one of an SDK: to try a pattern costs ten times what a date of ISO 8601 does."""
    pattern = _JAVASCRIPT if text[:1].isalpha() else _HEADERS if "/" in text[:3] else None
    if pattern is None:
        return None
    try:
        return datetime.strptime(text, pattern)
    except ValueError:
        return None


def format_date(moment: datetime) -> str:
    """ISO 8601 in UTC with seven decimals, as .NET writes it and the service sends it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
