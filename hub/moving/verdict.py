"""Whether a hub that mirrors another one may change sides: what speaks against it, in words for an operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.facts import Compared
from hub.notification import Platform
from hub.store.contracts.mirrors import MirrorBacklog, MirrorState

OVERDUE: Final = 3
"""Lists that may be missed."""
LONGEST_WAIT: Final = 300.0
"""Seconds that a device may wait to be written at the other hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A mirrored hub at `now`, in seconds since 1970. `compared` are the sends of the last day.

    `sends_here`: it has been cut over. `without_credential` are platforms with registrations that nothing is sent to.
    """

    now: float
    state: MirrorState
    backlog: MirrorBacklog
    list_every: float
    sends_here: bool
    compared: Mapping[Compared, int] = field(default_factory=dict)
    without_credential: Sequence[Platform] = ()


def reasons_against(mirror: Mirror) -> list[str]:
    """What speaks against the cut-over, or against the way back where it is done already; none: it loses no phone."""
    return [*_of_the_list(mirror), *_of_the_backlog(mirror), *([] if mirror.sends_here else _of_the_sends(mirror))]


def _of_the_list(mirror: Mirror) -> list[str]:
    state, found = mirror.state, []
    age = mirror.now - state.listed_at
    if not state.listed_at:
        found.append("the remote hub was never listed to the end")
    elif age > OVERDUE * mirror.list_every:
        found.append(
            f"the last whole list of the remote hub is {age:.0f} s old; list_every is {mirror.list_every:.0f} s"
        )
    if state.failure:
        found.append(f"the last list of the remote hub broke off: {state.failure}")
    if refused := state.counts.get("refused", 0):
        found.append(f"devices that the remote hub lists and this one cannot keep: {refused}")
    if missing := state.counts.get("missing", 0):
        found.append(
            f"devices that the remote hub lists no more: {missing}, which stay here until it is said whether it has lost"
            " them (pushbridge mirror rewrite) or they were deleted there (pushbridge mirror list --remove)"
        )
    return found


def _of_the_backlog(mirror: Mirror) -> list[str]:
    backlog, found = mirror.backlog, []
    if backlog.refused:
        found.append(f"devices that the remote hub refuses: {backlog.refused}, such as: {backlog.reason}")
    waited = 0.0 if backlog.since is None else mirror.now - backlog.since
    if waited > LONGEST_WAIT and not backlog.refused:
        found.append(f"devices that wait to be written at the remote hub: {backlog.waiting}, for up to {waited:.0f} s")
    elif backlog.waiting and mirror.sends_here:
        found.append(f"devices that the remote hub does not have yet: {backlog.waiting}")
    return found


def _of_the_sends(mirror: Mirror) -> list[str]:
    compared, found = mirror.compared, []
    if different := compared.get(Compared.DIFFERENT, 0):
        found.append(f"sends of the last day that reached others than they would have here: {different}")
    if not any(compared.get(each, 0) for each in (Compared.EQUAL, Compared.NEWER)):
        found.append("no send of the last day was compared and found the same")
    if mirror.without_credential:
        names = ", ".join(platform.value for platform in mirror.without_credential)
        found.append(f"phones are registered for which this hub has no credential: {names}")
    return found
