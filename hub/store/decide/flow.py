"""Flow control decided: `step(state, intent, now)`, pure, and the fold of a batch over the states of its keys.

States are JSON by short names, so that a version can add to them. Times are seconds by the clock of the marks, which no
step of a host's clock moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from hub.flow import Dedupe, Digest, Suppression, SuppressionCause, Throttle
from hub.identity import digest_of, joined

_GRACE = 60.0
"""Seconds for which a state is kept beyond its time: clocks of several processes differ by less."""


_STEPPED = 1.0
"""Seconds by which the time of day was set, since a window began, for a digest that begins to go out by the new one: at the
old one each event of the window might go out as a digest of its own."""


class FlowState(NamedTuple):
    """The state of a key as it is stored: `due` is when it says nothing any more, and its row may go."""

    state: bytes
    due: float


class Fired(NamedTuple):
    """The notifications of the event go."""

    after: FlowState


class Dropped(NamedTuple):
    """Nothing of the event is sent."""

    cause: SuppressionCause


class Digested(NamedTuple):
    """The event is counted into a digest."""

    after: FlowState
    digest: Digest

    def as_suppression(self, rule: str, notification: str) -> Suppression:
        """What became of the event by itself; `notification` is the one it is counted into."""
        return Suppression(rule=rule, cause=SuppressionCause.THROTTLE, digest=notification)


def dedupe_step(state: bytes | None, intent: Dedupe, now: float) -> Fired | Dropped:
    """Fires unless the key fired within `intent.seconds`; what is suppressed makes that no longer."""
    if state is not None and now < orjson.loads(state)["t"] + intent.seconds:
        return Dropped(SuppressionCause.DEDUPE)
    return Fired(FlowState(orjson.dumps({"t": now}), now + intent.seconds + _GRACE))


def throttle_step(
    state: bytes | None, intent: Throttle, now: float, *, wall: float, waiting: bool = True
) -> Fired | Dropped | Digested:
    """The next event of a key in its window; the window's end is fixed when it begins.

    `wall` is the time of day by which a digest goes out. `waiting` is whether the digest that the state names still waits;
    if not, an event of the same window begins another.
    """
    window = None if state is None else orjson.loads(state)
    if window is None or now >= window["e"]:
        window = {"e": now + intent.seconds, "w": wall + intent.seconds, "n": 0, "o": now}
    if window["n"] < intent.most:
        return Fired(_kept({**window, "n": window["n"] + 1}))
    if intent.digest is None:
        return Dropped(SuppressionCause.THROTTLE)
    before = window.get("d") if waiting else None
    time = intent.time.timestamp()
    if before is None:
        if abs((at := wall + window["e"] - now) - window["w"]) > _STEPPED:
            window = {**window, "w": at}
        number = window.get("s", 0) + 1
        before = {"i": _digest_id(intent.key, window["o"], number), "c": 0, "f": time, "l": time}
        window = {**window, "s": number}
    counted = {**before, "c": before["c"] + 1, "f": min(before["f"], time), "l": max(before["l"], time)}
    digest = Digest(
        id=counted["i"],
        count=counted["c"],
        first=datetime.fromtimestamp(counted["f"], UTC),
        last=datetime.fromtimestamp(counted["l"], UTC),
        at=datetime.fromtimestamp(window["w"], UTC),
    )
    return Digested(_kept({**window, "d": counted}), digest)


def digest_in(state: bytes | None) -> str | None:
    """The id of the digest that a state of `throttle` names, as 32 hex digits."""
    return None if state is None else orjson.loads(state).get("d", {}).get("i")


def _kept(window: Mapping[str, object]) -> FlowState:
    end = window["e"]
    assert isinstance(end, float)
    return FlowState(orjson.dumps(window), end + _GRACE)


def _digest_id(key: bytes, opened: float, number: int) -> str:
    return digest_of(joined("digest", key.hex(), repr(opened), str(number))).hex()


@dataclass(slots=True)
class FlowFold:
    """The states of a batch's keys, as its events are taken in order; `changed` are those that the batch changed.

    `waiting` are ids of digests that still wait in the store, or began in this batch.
    """

    states: Mapping[bytes, bytes]
    now: float
    wall: float
    waiting: set[str] = field(default_factory=set)
    changed: dict[bytes, FlowState] = field(default_factory=dict)

    def take(self, rule: str, dedupe: Dedupe | None, throttle: Throttle | None) -> Suppression | Digested | None:
        """What becomes of a rule that fired: None where its notifications go."""
        first = None if dedupe is None else dedupe_step(self._state(dedupe.key), dedupe, self.now)
        if isinstance(first, Dropped):
            return Suppression(rule=rule, cause=first.cause)
        then = None
        if throttle is not None:
            state = self._state(throttle.key)
            waits = digest_in(state) in self.waiting
            then = throttle_step(state, throttle, self.now, wall=self.wall, waiting=waits)
            if isinstance(then, Dropped):
                return Suppression(rule=rule, cause=then.cause)
            self.changed[throttle.key] = then.after
        if dedupe is not None and isinstance(first, Fired):
            self.changed[dedupe.key] = first.after
        if isinstance(then, Digested):
            self.waiting.add(then.digest.id)
            return then
        return None

    def _state(self, key: bytes) -> bytes | None:
        changed = self.changed.get(key)
        return self.states.get(key) if changed is None else changed.state
