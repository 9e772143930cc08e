"""Whether push channels are dead, or we are wrong: services say the same of both."""

import math
from dataclasses import replace
from typing import Final, Protocol

from hub.outcome import OutcomeName, Reaction
from hub.push import PageVerdict, SendResult

_MEMORY: Final = 100.0
"""Verdicts that are remembered; what came before weighs less and less."""

_SUSPECT: Final = 20
"""Channels called wrong from which on it is asked how many were not."""

_NEARLY_ALL: Final = 9
"""Channels called wrong for each push taken from which on it is not the channels."""


class MassInvalidationGuard:
    """Listens to one service and credential; believes that channels are wrong unless it is said of nearly all of them.

    A wrong topic, a key of another project or the other environment makes every channel look wrong, and a broadcast
    would hide every phone of the hub.
    """

    def __init__(self) -> None:
        self._taken = 0.0
        self._doubted = 0.0
        self.reason = ""
        """What was last said and not believed; empty while all is believed."""

    def weigh(self, verdict: PageVerdict) -> PageVerdict:
        """The verdict on a page; results not to be believed are the fault of the credential, and touch no registration."""
        taken, doubted = verdict.delivered, 0
        for result in verdict.exceptions.values():
            taken += result.reaction is Reaction.DELIVERED
            doubted += result.suspect
        self._taken += taken
        self._doubted += doubted
        is_believed = self._doubted < _SUSPECT or self._doubted <= _NEARLY_ALL * self._taken
        self._forget()
        if is_believed:
            self.reason = ""
        if is_believed or not doubted:
            return verdict
        weighed = {
            position: _our_fault(result) if result.suspect else result
            for position, result in verdict.exceptions.items()
        }
        self.reason = next(result.reason for result in weighed.values() if result.suspect)
        return PageVerdict(delivered=verdict.delivered, exceptions=weighed)

    def _forget(self) -> None:
        total = self._taken + self._doubted
        if total > _MEMORY:
            self._taken *= _MEMORY / total
            self._doubted *= _MEMORY / total


_COUNTED: Final = 1000
"""Answers after which the share of dead channels says something."""

_TOO_MANY: Final = 0.2
"""The share of dead channels among the answers above which no registration is touched."""

_KEPT: Final = 5 * _COUNTED
"""Answers that are remembered; what came before weighs less and less."""

_REPORTED_EVERY: Final = 60.0
"""Seconds between two changes that are reported: a share may waver about the limit."""


class BrakeListener(Protocol):
    """Hears of a brake on removals, once when it comes on and once when it ends; returns at once and never raises."""

    def braked(self, share: float) -> None:
        """No phone is removed from now on: so large a part of the answers called a push channel dead."""

    def released(self, share: float, why: str) -> None:
        """Phones are removed again."""


class RemovalBrake:
    """Stops that phones are removed while too many of one service and credential are said to be gone.

    Phones go one by one. When more than a fifth of over 1,000 pushes come back for dead channels, then a service errs, or a
    registry was restored from long ago; a hub that believed it would be empty before somebody looks. The answers count as
    what they are, and the registrations stay until the share has fallen. Channels that end as a matter of routine are
    neither counted nor kept: with a match that is over, those of its Live Activities end all at once.
    """

    def __init__(self) -> None:
        self._answered = 0.0
        self._gone = 0.0
        self._reported_at = -math.inf
        self._is_reported = False

    @property
    def is_on(self) -> bool:
        """Whether no registration is touched."""
        return self._answered > _COUNTED and self._gone > _TOO_MANY * self._answered

    @property
    def share(self) -> float:
        """The part of the latest answers that called a push channel dead; 0 before the first."""
        return self._gone / self._answered if self._answered else 0.0

    def report(self, listener: BrakeListener, now: float) -> None:
        """Report that it came on or let go since the last report; once a minute at most."""
        if self.is_on is self._is_reported or now - self._reported_at < _REPORTED_EVERY:
            return
        self._reported_at = now
        if self.is_on:
            self._is_reported = True
            listener.braked(self.share)
        else:
            self.report_end(listener, "the share has fallen")

    def report_end(self, listener: BrakeListener, why: str) -> None:
        """Report its end where it was reported to be on."""
        if self._is_reported:
            self._is_reported = False
            listener.released(self.share, why)

    def weigh(self, verdict: PageVerdict) -> PageVerdict:
        """The verdict on a page; while the brake is on, no result removes a phone."""
        gone = sum(_is_odd(result) for result in verdict.exceptions.values())
        delivered = sum(result.reaction is Reaction.DELIVERED for result in verdict.exceptions.values())
        self._answered += verdict.delivered + delivered + gone
        self._gone += gone
        is_on = self.is_on
        if self._answered > _KEPT:
            self._gone *= _KEPT / self._answered
            self._answered = _KEPT
        if not (is_on and gone):
            return verdict
        kept = {
            position: replace(result, reaction=Reaction.DROP) if _is_odd(result) else result
            for position, result in verdict.exceptions.items()
        }
        return PageVerdict(delivered=verdict.delivered, exceptions=kept)


def _is_odd(result: SendResult) -> bool:
    """Whether a push channel is dead that might have lived on."""
    return result.reaction is Reaction.GONE and not result.routine


def _our_fault(result: SendResult) -> SendResult:
    return replace(
        result,
        reaction=Reaction.CONFIG,
        outcome=OutcomeName.INVALID_CREDENTIALS,
        reason=f"{result.reason} for nearly every phone: is it our topic, key or environment?",
        gone_since=None,
    )
