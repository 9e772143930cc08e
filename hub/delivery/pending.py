"""A piece of work on its way: what is still out, and what came back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.notification import Platform
from hub.outcome import OutcomeName, Unreached
from hub.push import SendResult
from hub.store.base import Failed, Work
from hub.target import Target

Outcomes = dict[Platform, dict[OutcomeName, int]]


@dataclass(slots=True)
class PendingPage:
    """One notification or page with its pushes under way.

    It may wait for a try until `waits_until`; what fails after `gives_up_at` is not tried again. `unanswered` counts the
    pushes without a verdict. `deferred` pushes, by platform and host, found a breaker open or a service busy: they were
    not attempted.
    """

    work: Work
    started_at: float
    waits_until: float
    gives_up_at: float
    unanswered: int = 0
    ordinals: list[int] = field(default_factory=list)
    counts: Outcomes = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    retries: list[tuple[Platform, int, SendResult]] = field(default_factory=list)
    deferred: dict[tuple[Platform, str], list[int]] = field(default_factory=dict)
    gone: dict[Platform, int] = field(default_factory=dict)
    reasons: dict[Platform, Counter[str]] = field(default_factory=dict)
    nobody: Unreached | None = None

    @property
    def not_attempted(self) -> bool:
        """Whether nothing of it was sent and nothing ended: it can go back as it is."""
        return bool(self.deferred) and not self.unanswered and not self.counts

    def count(self, platform: Platform, outcome: OutcomeName, by: int = 1) -> None:
        """Add to the final outcomes."""
        # Plain dictionaries, here and below: most count one push, and a Counter costs more than the counting.
        counts = self.counts.get(platform)
        if counts is None:
            self.counts[platform] = {outcome: by}
        else:
            counts[outcome] = counts.get(outcome, 0) + by

    def defer(self, platform: Platform, host: str, targets: Sequence[Target]) -> None:
        """Pushes are not attempted; `host` is the one whose breaker is open, empty for the whole service."""
        self.deferred.setdefault((platform, host), []).extend(target.ordinal for target in targets)

    def end(
        self,
        target: Target,
        outcome: OutcomeName,
        reason: str,
        *,
        gone: bool = False,
        gone_since: float | None = None,
    ) -> None:
        """A push ended, and not well."""
        self.count(target.platform, outcome)
        reason = without_push_channel(reason, target)
        self.reasons.setdefault(target.platform, Counter())[reason] += 1
        if gone:
            self.gone[target.platform] = self.gone.get(target.platform, 0) + 1
        self.failures.append(
            Failed(ordinal=target.ordinal, outcome=outcome, reason=reason, gone=gone, gone_since=gone_since)
        )

    def main_reason(self, platform: Platform) -> str:
        """Why most of the pushes that ended badly did so; empty if none has."""
        reasons = self.reasons.get(platform)
        return reasons.most_common(1)[0][0] if reasons else ""


def without_push_channel(reason: str, target: Target) -> str:
    """A service's words, which go into logs and feedback, without the push channel that they may repeat."""
    channel = target.push_channel
    return reason.replace(channel, "[push channel]") if channel and channel in reason else reason
