"""A piece of work on its way: what is still out, what came back, and how far from the front all of it has come back."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import OutcomeName, Unreached
from hub.push import SendResult
from hub.store.contracts.outbox import Failed, HeldPart, Work
from hub.target import Target

Outcomes = dict[Platform, dict[OutcomeName, int]]


@dataclass(slots=True)
class PushResults:
    """What became of pushes: final outcomes, failures among them, and what is to be tried again."""

    counts: Outcomes = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    retries: list[tuple[Platform, int, SendResult]] = field(default_factory=list)
    gone: dict[Platform, int] = field(default_factory=dict)
    reasons: dict[Platform, Counter[str]] = field(default_factory=dict)

    def count(self, platform: Platform, outcome: OutcomeName, by: int = 1) -> None:
        """Add to the final outcomes."""
        # Plain dictionaries, here and below: most count one push, and a Counter costs more than the counting.
        counts = self.counts.get(platform)
        if counts is None:
            self.counts[platform] = {outcome: by}
        else:
            counts[outcome] = counts.get(outcome, 0) + by

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

    def add(self, other: "PushResults") -> None:
        for platform, counts in other.counts.items():
            for outcome, count in counts.items():
                self.count(platform, outcome, count)
        self.failures += other.failures
        self.retries += other.retries
        for platform, count in other.gone.items():
            self.gone[platform] = self.gone.get(platform, 0) + count
        for platform, reasons in other.reasons.items():
            self.reasons.setdefault(platform, Counter()).update(reasons)

    def main_reason(self, platform: Platform) -> str:
        """Why most of the pushes that ended badly did so; empty if none has."""
        reasons = self.reasons.get(platform)
        return reasons.most_common(1)[0][0] if reasons else ""


@dataclass(slots=True, eq=False)
class Piece:
    """Neighbours in a large page, from one ordinal to another, whose results are recorded together."""

    last: int
    results: PushResults = field(default_factory=PushResults)
    unanswered: int = 0


@dataclass(slots=True)
class PendingPage:
    """One notification or page with its pushes under way.

    It may wait for a try until `waits_until`; what fails after `gives_up_at` is not tried again. `started_at` is the
    store's time. `unanswered` counts the pushes without a verdict. `deferred` pushes, by platform and host, found a
    breaker open or a service busy: they were not attempted, nor were those that quiet hours have `held`. Services of the
    platforms `probed` were known to be away when their pushes were handed over.

    `results` are those that no record has yet. A large page has them in `pieces`, by ordinal; of the pieces at the front
    that were recorded, `recorded` has the results, and `done` counts the registrations.
    """

    work: Work
    started_at: float
    waits_until: float
    gives_up_at: float
    unanswered: int = 0
    ordinals: list[int] = field(default_factory=list)
    results: PushResults = field(default_factory=PushResults)
    deferred: dict[tuple[Platform, str], list[int]] = field(default_factory=dict)
    held: Sequence[HeldPart] = ()
    probed: frozenset[Platform] = frozenset()
    unreached: Unreached | None = None
    passed_over: int = 0
    pieces: deque[Piece] | None = None
    recorded: PushResults | None = None
    done: int = 0
    is_traced: bool = False
    """Whether its trace says already how it was taken and rendered."""

    @property
    def not_attempted(self) -> bool:
        """Whether nothing of it was sent and nothing ended: it can go back as it is."""
        return bool(self.deferred) and not (self.unanswered or self.results.counts or self.pieces or self.held)

    def defer(self, platform: Platform, host: str, targets: Sequence[Target]) -> None:
        """Pushes are not attempted; `host` is the one whose breaker is open, empty for the whole service."""
        self.deferred.setdefault((platform, host), []).extend(target.ordinal for target in targets)

    def take_front(self) -> PushResults | None:
        """The results of all pieces before the first that is not answered, None if there is no such piece.

        `done` says afterwards how many registrations are before it.
        """
        assert self.pieces is not None
        results, last = PushResults(), None
        while not self.pieces[0].unanswered:
            piece = self.pieces.popleft()
            results.add(piece.results)
            last = piece.last
        if last is None:
            return None
        results.add(self.results)
        self.results = PushResults()
        self.done = self.frozen.rank(last)
        self.recorded = self.recorded or PushResults()
        self.recorded.add(results)
        return results

    def to_be_tried_again(self) -> BitMap:
        """Those of the first `done` registrations that have no final outcome."""
        if not (self.deferred or self.held) and (self.recorded is None or not self.recorded.retries):
            return BitMap()  # nearly always; to look at a whole page for each of its pieces costs more than the pushes
        again = BitMap(ordinal for deferred in self.deferred.values() for ordinal in deferred)
        for part in self.held:
            again |= part.ordinals
        if self.recorded is not None:
            again.update(ordinal for _, ordinal, _ in self.recorded.retries)
        return again & self.frozen[: self.done]

    def finish(self) -> PushResults:
        """All results, once the last is there; `results` are then those that no record has yet."""
        for piece in self.pieces or ():
            self.results.add(piece.results)
        if self.recorded is None:
            return self.results
        whole = PushResults()
        whole.add(self.recorded)
        whole.add(self.results)
        return whole

    @property
    def frozen(self) -> BitMap:
        """The registrations of the page."""
        return BitMap(self.ordinals) if self.work.ordinals is None else self.work.ordinals


def without_push_channel(reason: str, target: Target) -> str:
    """A service's words, which go into logs and feedback, without the push channel that they may repeat."""
    channel = target.push_channel
    return reason.replace(channel, "[push channel]") if channel and channel in reason else reason
