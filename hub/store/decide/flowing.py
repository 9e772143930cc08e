"""Flow control of a batch, beside its acceptance: what is held back, which digests come of it, and what is withdrawn."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import orjson

from hub.acceptance import DeadLetter, DigestError, Ingest, JournalEntry
from hub.flow import SUPPRESSED, RuleFlow, Suppression, Withdrawal, flow_key, part_of_digest
from hub.notification import Notification
from hub.store.decide.flow import Digested, FlowFold, FlowState

_ORDERED_FOR = 7 * 86_400.0
"""Seconds for which the last notification of a key is known, whose end the next one waits for."""


class WaitingRow(NamedTuple):
    """A notification in the store that its key can withdraw: it has not started, or `in_part`, and quiet hours hold the
    rest."""

    queue: int
    n: int
    notification: Notification
    in_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowClaims:
    """What the store knows of the flow keys of a batch: `states` by key; `digests`, the ids of digests' notifications
    that wait still, each with the digest's own id; `waiting` by key what can be withdrawn; `open` the ids of
    notifications that have not ended, of those that others follow."""

    states: Mapping[bytes, bytes] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[bytes, Sequence[WaitingRow]] = field(default_factory=dict)
    open: Set[bytes] = frozenset()


NO_FLOW = FlowClaims()
"""Of a batch without flow control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResult:
    """What a batch comes to. Of digests, `begun` are new notifications, each with the index of its event and the place of
    that event's own notification, whose number it takes; `continued` are those that wait, with the index."""

    states: Mapping[bytes, FlowState]
    begun: Sequence[tuple[int, int, Notification]]
    continued: Sequence[tuple[int, Notification]]
    suppressed: Mapping[int, Sequence[Suppression]]
    withdrawn: Mapping[int, Sequence[Withdrawal]]
    failed: Mapping[int, Sequence[DeadLetter]]
    not_sent: int


class _OpenDigest(NamedTuple):
    """A digest with its latest event: the event's place in the batch, and its own notifications with theirs."""

    event: int
    flow: RuleFlow
    digested: Digested
    own: list[tuple[int, Notification]]


class BatchFlow:
    """Takes the events of a batch in order: `begin` for each, then `holds_back` for each of its notifications."""

    def __init__(self, claims: FlowClaims, *, now: float, wall: float) -> None:
        self._claims = claims
        self._fold = FlowFold(claims.states, now, wall, set(claims.digests.values()))
        self._index = 0
        self._flows: Mapping[str, RuleFlow] = {}
        self._verdicts: dict[str, Suppression | Digested | None] = {}
        self._open: dict[str, _OpenDigest] = {}
        self._waiting: dict[bytes, list[Notification]] = {}
        self._last: dict[bytes, bytes] = {}
        self._gone: set[str] = set()
        self._suppressed: dict[int, list[Suppression]] = {}
        self._withdrawn: dict[int, list[Withdrawal]] = {}
        self._not_sent = 0

    def begin(self, index: int, ingest: Ingest) -> None:
        """The next event; it withdraws what earlier events left waiting, not what it sends itself."""
        self._index = index
        self._verdicts = {}
        self._flows = {flow.rule: flow for flow in ingest.flow}
        for flow in ingest.flow:
            if flow.cancels is not None:
                self._withdraw(flow.rule, flow.cancels)

    def holds_back(self, notification: Notification, place: int) -> bool:
        """Whether this notification is not sent; all of a rule share one verdict, which is counted once."""
        rule = notification.rule
        flow = self._flows.get(rule)
        if flow is None or (flow.dedupe is None and flow.throttle is None):
            return False
        if rule not in self._verdicts:
            verdict = self._fold.take(rule, flow.dedupe, flow.throttle)
            self._verdicts[rule] = verdict
            if isinstance(verdict, Digested):
                id_ = verdict.digest.id
                self._open[id_] = _OpenDigest(self._index, flow, verdict, [])
                self._suppress(verdict.as_suppression(rule, part_of_digest(id_, notification.content)))
            elif verdict is not None:
                self._suppress(verdict)
        verdict = self._verdicts[rule]
        if isinstance(verdict, Digested):
            self._open[verdict.digest.id].own.append((place, notification))
        self._not_sent += verdict is not None
        return verdict is not None

    def waits(self, notification: Notification) -> None:
        """A notification that waits for its time or its turn, and that a later event of the batch may withdraw."""
        if notification.flow_key:
            self._waiting.setdefault(notification.flow_key, []).append(notification)

    def before(self, notification: Notification, id_: bytes) -> bytes | None:
        """The id of the notification of the same key that has to end before this one starts; None: it may start."""
        key = flow_key("order", notification.flow_key.hex())
        if (last := self._last.get(key)) is None:
            last = self._claims.states.get(key)
            last = last if last in self._claims.open else None
        self._last[key] = id_
        self._fold.changed[key] = FlowState(id_, self._fold.now + _ORDERED_FOR)
        return last

    def end(self) -> FlowResult:
        """Make the digests: each once, of its latest event."""
        begun: list[tuple[int, int, Notification]] = []
        continued: list[tuple[int, Notification]] = []
        failed: dict[int, list[DeadLetter]] = {}
        for index, flow, digested, own in self._open.values():
            assert flow.throttle is not None
            assert flow.throttle.digest is not None
            try:
                made = flow.throttle.digest(digested.digest)
            except DigestError as error:
                failed.setdefault(index, []).append(error.letter)
                continue
            for (place, _), notification in zip(own, made, strict=False):
                if notification.id in self._claims.digests:
                    continued.append((index, notification))
                else:
                    begun.append((index, place, notification))
        there = {notification.id for _, _, notification in begun} | self._claims.digests.keys()
        return FlowResult(
            states=self._fold.changed,
            begun=begun,
            continued=continued,
            suppressed=self._suppressed,
            withdrawn={index: left for index, those in self._withdrawn.items() if (left := self._there(those, there))},
            failed=failed,
            not_sent=self._not_sent,
        )

    def _there(self, withdrawn: Sequence[Withdrawal], made: Set[str]) -> list[Withdrawal]:
        """Without digests that could not be filled, and are not in the store."""
        return [each for each in withdrawn if each.notification not in self._gone or each.notification in made]

    def _suppress(self, suppression: Suppression) -> None:
        self._suppressed.setdefault(self._index, []).append(suppression)

    def _withdraw(self, rule: str, key: bytes) -> None:
        """End what waits in the store and in the batch under a key, digests among it."""
        ended = self._withdrawn.setdefault(self._index, [])
        done = {each.notification for those in self._withdrawn.values() for each in those}
        here = [row.notification for row in self._claims.waiting.get(key, ())]
        here += self._waiting.pop(key, [])
        for open_ in self._open.values():
            for _, notification in open_.own:
                if notification.flow_key == key:
                    id_ = part_of_digest(open_.digested.digest.id, notification.content)
                    self._gone.add(id_)
                    self._fold.waiting.discard(open_.digested.digest.id)
                    here.append(replace(notification, id=id_))
        for notification in here:
            self._fold.waiting.discard(self._claims.digests.get(notification.id, ""))
            if notification.id not in done:
                done.add(notification.id)
                ended.append(
                    Withdrawal(rule=rule, notification=notification.id, of=notification.rule, hub=notification.hub)
                )


def as_journaled(
    entry: JournalEntry, suppressed: Sequence[Suppression], withdrawn: Sequence[Withdrawal], *, is_all: bool
) -> JournalEntry:
    """With what flow control did; the event's outcome is `suppressed` where that is true of all its rules that notify."""
    flow = {
        "suppressed": [[each.rule, each.cause.value, each.digest] for each in suppressed],
        "withdrawn": [[each.rule, each.notification, each.of] for each in withdrawn],
    }
    is_suppressed = bool(suppressed) and is_all
    return replace(
        entry,
        flow=orjson.dumps({name: value for name, value in flow.items() if value}).decode(),
        outcome=SUPPRESSED if is_suppressed else entry.outcome,
    )
