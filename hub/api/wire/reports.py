"""Reports of phones as JSON: what they said of their pushes, and what became of each report."""

import re
from collections.abc import Mapping
from typing import Any, Final

from hub.errors import InvalidRequestError
from hub.phone_report import ACTION, MOST_REPORTS, PhoneEvent, PhoneReport, TakenReports

MAX_BODY: Final = 16 * 1024  # bytes

_PUSH: Final = re.compile(r"[0-9a-fA-F]{32}")
_MEMBERS: Final = frozenset(["push", "event", "action"])
_EVENTS: Final[Mapping[str, PhoneEvent]] = {each.value: each for each in PhoneEvent}


def reports_in(document: Mapping[str, Any]) -> list[PhoneReport]:
    """Of `{"reports": [{"push": …, "event": …, "action": …}, …]}`. Raises: InvalidRequestError: names the place.

    There is no member for a time: the clock of a phone may be wrong, and a report counts when it comes.
    """
    if strangers := sorted(document.keys() - {"reports"}):
        raise InvalidRequestError(f"{strangers[0][:60]!r} is no member; there is 'reports'")
    given = document.get("reports")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_REPORTS:
        raise InvalidRequestError(f"reports: a list of 1 to {MOST_REPORTS} reports is needed")
    return [_report(f"reports[{index}]", each) for index, each in enumerate(given)]


def taken_document(taken: TakenReports) -> dict[str, Any]:
    """What became of each, in the order of the request."""
    return {"reports": [{"outcome": outcome.value} for outcome in taken.outcomes]}


def _report(place: str, given: Any) -> PhoneReport:
    if not isinstance(given, dict):
        raise InvalidRequestError(f'{place}: an object is needed, such as {{"push": "…", "event": "opened"}}')
    if strangers := sorted(given.keys() - _MEMBERS):
        raise InvalidRequestError(
            f"{place}: {strangers[0][:60]!r} is no member; there are {', '.join(sorted(_MEMBERS))}"
        )
    push, event, action = given.get("push"), given.get("event"), given.get("action", "")
    if not isinstance(push, str) or not _PUSH.fullmatch(push):
        raise InvalidRequestError(f"{place}.push: the 32 hex digits that came with the push are needed")
    if not isinstance(event, str) or event not in _EVENTS:
        raise InvalidRequestError(f"{place}.event: one of {', '.join(_EVENTS)} is needed")
    if event == PhoneEvent.ACTED.value:
        if not isinstance(action, str) or not ACTION.fullmatch(action):
            raise InvalidRequestError(f"{place}.action: 1 to 64 letters, digits and . _ - are needed")
    elif action != "":
        raise InvalidRequestError(f"{place}.action: only the event acted has an action")
    return PhoneReport(notification_id=push.lower(), event=_EVENTS[event], action=action)
