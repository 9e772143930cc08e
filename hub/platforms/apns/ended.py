"""Tokens of Live Activities end with their activity: a 410 says nothing of the registry (Apple, "ActivityKit")."""

from dataclasses import replace
from typing import Final

from hub.outcome import Reaction
from hub.platforms.apns.broadcast import LIVE_ACTIVITY
from hub.platforms.apns.handle import PREFIX
from hub.push import PageVerdict, PushGroup, PushPage

_ENDED: Final = frozenset({"ExpiredToken", "Unregistered"})


def with_routine_ends(page: PushPage, said: PageVerdict) -> PageVerdict:
    """The verdict on a page, in which tokens of Live Activities that have ended are routine."""
    ended = {position for position, result in said.exceptions.items() if result.reason in _ENDED}
    if not ended:
        return said
    routine = {
        position
        for group, run in page.runs()
        if _is_live_activity(group)
        for position in ended.intersection(run)
        if not page.push_channels[position].startswith(PREFIX)
    }
    exceptions = {
        position: replace(result, routine=True) if position in routine and result.reaction is Reaction.GONE else result
        for position, result in said.exceptions.items()
    }
    return PageVerdict(delivered=said.delivered, exceptions=exceptions)


def _is_live_activity(group: PushGroup) -> bool:
    return any(name.lower() == "apns-push-type" and kind == LIVE_ACTIVITY for name, kind in group.headers.items())
