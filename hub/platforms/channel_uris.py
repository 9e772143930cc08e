"""Push channels that are URIs (WNS, MPNS): whoever registers a phone names them, so only some hosts are sent to."""

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Final

from hub.outcome import OutcomeName
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.results import refused
from hub.push import PushPage, SendResult
from hub.requests import Refused, RequestGroup

_CHANNEL = re.compile(r"https://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?][!-~]*)?")
_ORIGIN = re.compile(r"https://[^/?]+")
_FOREIGN: Final = refused(OutcomeName.BAD_CHANNEL, "the channel is not at an allowed host, or no https URI")


def hosts_and_below(hosts: Sequence[str]) -> tuple[str, ...]:
    """Hosts as `is_allowed` takes them, each with all below it."""
    bare = [host.removeprefix(".") for host in hosts]
    return (*bare, *(f".{host}" for host in bare))


def is_allowed(channel: str, allowed_hosts: Sequence[str]) -> bool:
    """Whether a channel is an https URI at one of these hosts; in doubt it is not (no user, no odd characters).

    A host that begins with a dot stands for all below it.
    """
    match = _CHANNEL.fullmatch(channel)
    if match is None:
        return False
    host = match[1].lower()
    return any(host.endswith(one) if one.startswith(".") else host == one for one in map(str.lower, allowed_hosts))


def requests_to(
    page: PushPage, run: range, lines: Sequence[bytes] | SendResult, payload: bytes, allowed_hosts: Sequence[str]
) -> Iterator[RequestGroup | Refused]:
    """The requests of a group: one for each origin of its channels, with the header lines that they share.

    A channel at another host is not taken for dead: its service has not said so, and a mistake in `allowed_hosts` must not
    end every registration.
    """
    by_origin: dict[str, list[int]] = {}
    foreign: list[int] = []
    for position in run:
        channel = page.push_channels[position]
        allowed = is_allowed(channel, allowed_hosts)
        (by_origin.setdefault(_origin_of(channel), []) if allowed else foreign).append(position)
    if foreign:
        yield Refused(foreign, _FOREIGN)
    for origin, positions in by_origin.items():
        if isinstance(lines, SendResult):
            yield Refused(positions, lines)
            continue
        tails = [page.push_channels[position][len(origin) :] for position in positions]
        ids = [page.ids[position] for position in positions]
        yield RequestGroup(origin, positions, "", tails, lines, PUSH_ID_HEADER, ids, repeat(payload))


def _origin_of(channel: str) -> str:
    """The origin of an allowed channel, which begins with it."""
    match = _ORIGIN.match(channel)
    assert match is not None
    return match[0].lower()
