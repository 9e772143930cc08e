"""`$filter` of a list of registrations: push channels by the names of their elements.

filter := equal ( ' and ' equal )*
equal  := Name 'eq' quoted text, a quote in it doubled; a first quote may be missing, as one SDK leaves it out
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from hub.errors import InvalidRequestError
from hub.notification import Platform
from hub.platforms.table import platforms
from hub.platforms.traits import Traits

_EQUAL = re.compile(r"\s*([A-Za-z0-9-]+)\s+eq\s+'?((?:[^']|'')*)'(?:\s+and\s+|\s*$)", re.IGNORECASE)
_LONGEST = 8192
_ANY_PLATFORM = "channeluri"

Channel = tuple[Platform, str]


def channels_of(text: str) -> list[Channel]:
    """The push channels that a filter names, none where no phone can have what it says.

    `ChannelUri` may be a handle of any platform, for two SDKs know no other name. Values are taken as they are and
    percent-decoded.

    Raises: InvalidRequestError: it is no filter for push channels.
    """
    given = _equals(text)
    wanted = frozenset(given)
    found: dict[Channel, None] = {}
    known = False
    for traits in platforms():
        for names in _names(traits):
            if frozenset(names) == wanted or (wanted == {_ANY_PLATFORM} and len(names) == 1):
                known = True
                values = [given[name] if name in given else given[_ANY_PLATFORM] for name in names]
                found |= dict.fromkeys(_channels(traits, values))
    if wanted == {_ANY_PLATFORM}:
        for traits in platforms():
            found |= dict.fromkeys(_channels(traits, [given[_ANY_PLATFORM]], is_whole=True))
    elif not known:
        raise InvalidRequestError(f"$filter: no registration has {', '.join(sorted(wanted))[:120]}")
    return list(found)


def _equals(text: str) -> Mapping[str, str]:
    given: dict[str, str] = {}
    at = 0
    if len(text) > _LONGEST:
        raise InvalidRequestError(f"$filter: {len(text)} characters are too many, {_LONGEST} are allowed")
    while at < len(text) or not given:
        equal = _EQUAL.match(text, at)
        if equal is None:
            raise InvalidRequestError("$filter: expected NAME eq 'VALUE', joined by and")
        given[equal[1].lower()] = equal[2].replace("''", "'")
        at = equal.end()
    return given


def _names(traits: Traits) -> Iterator[tuple[str, ...]]:
    """Under which names the push channel of a platform may be asked for."""
    for description in traits.descriptions:
        names = tuple(name.lower() for name in description.handles)
        yield names
        if len(names) > 1:
            yield ("-".join(names),)


def _channels(traits: Traits, values: list[str], *, is_whole: bool = False) -> Iterator[Channel]:
    for spelled in (values, [unquote(value) for value in values]):
        try:
            is_joined = is_whole or len(spelled) < len(traits.descriptions[0].handles)
            yield traits.platform, traits.push_channel(spelled[0]) if is_joined else traits.joined_handles(spelled)
        except (InvalidRequestError, IndexError):
            continue
