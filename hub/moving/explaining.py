"""Whether a difference between two hubs is only newer: a phone registered at one, and the other did not know it yet.

What was newer here is known at once, for it waits to be written there. What was newer there is known after the next list of
the other hub: until then a difference waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pyroaring import BitMap

from hub.notification import Notification, Platform
from hub.store.contracts.mirrors import MirrorState
from hub.store.contracts.outbox import Audience
from hub.target import Target

MOST: Final = 200
"""Differences that wait for a list; more are not explained."""
UNDER_WAY: Final = 5.0
"""Seconds before the other hub took a send in which what was written there may not have been in force."""

Members = Mapping[Platform, BitMap]


class Registered(Protocol):
    """The store of this hub. Every call but `now` may raise StoreError."""

    def now(self) -> float: ...

    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order."""

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]: ...

    async def newer_here(self, hub: str, since: float) -> BitMap: ...

    async def newer_there(self, hub: str, since: float) -> BitMap: ...

    async def mirror_state(self, hub: str) -> MirrorState: ...

    async def add_compared(self, counts: Mapping[tuple[str, str], int]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Whom a send would have reached here at `at`, by the store's clock: `members` by platform.

    `newer` are those of them that the other hub may not have known; `left` counts registrations that were taken away
    here, which it may have known still.
    """

    at: float
    members: Members
    newer: BitMap = field(default_factory=BitMap)
    left: int = 0

    @property
    def counts(self) -> dict[Platform, int]:
        return {platform: len(ordinals) for platform, ordinals in self.members.items() if ordinals}


async def counted(notifications: Sequence[Notification], store: Registered) -> list[Counted]:
    """Each as it is now. Raises: StoreError."""
    at = store.now()
    audiences = await store.audiences(notifications)
    newer: dict[str, tuple[BitMap, int]] = {}
    for hub in {each.hub for each in notifications}:
        ordinals = await store.newer_here(hub, at - UNDER_WAY)
        alive = BitMap(target.ordinal for target in await store.targets(hub, ordinals)) if ordinals else BitMap()
        newer[hub] = ordinals, len(ordinals - alive)
    return [
        Counted(at=at, members=members_of(audience), newer=newer[each.hub][0], left=newer[each.hub][1])
        for each, audience in zip(notifications, audiences, strict=True)
    ]


def members_of(audience: Audience) -> Members:
    """By platform, none for a platform without any."""
    members: dict[Platform, BitMap] = {}
    for target in audience.targets:
        members.setdefault(target.platform, BitMap()).add(target.ordinal)
    for platform, ordinals in audience.pages:
        members.setdefault(platform, BitMap()).update(ordinals)
    return members


def is_explained(before: Counted, there: Mapping[Platform, int], after: Members, taken: BitMap) -> bool:
    """Whether what is newer on one side makes up for the difference.

    `after` are those that it would reach here after a list, `taken` what that list brought. Of those before, the other hub
    may have lacked what was newer here and what is gone by now; it may have had what the list brought, and what had left.
    """
    left = before.left
    for platform in before.members.keys() | after.keys() | there.keys():
        were, are = before.members.get(platform, BitMap()), after.get(platform, BitMap())
        lacked = len(were & before.newer | were - are)
        had = len((are - were) & taken)
        difference = there.get(platform, 0) - len(were)
        if difference > had:
            left -= difference - had
        if difference < -lacked or left < 0:
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A send whose numbers differ; at `gives_up_at`, by the store's clock, no list came in time."""

    notification: Notification
    before: Counted
    there: Mapping[Platform, int]
    gives_up_at: float


class Explaining:
    """Keeps differences until a list that began after them was taken."""

    def __init__(self) -> None:
        self._waiting: list[Difference] = []

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= MOST

    def add(self, difference: Difference) -> None:
        self._waiting.append(difference)

    async def look(self, store: Registered) -> list[tuple[Difference, bool]]:
        """Those of which it is known by now, and whether they are explained. Raises: StoreError: ask again."""
        if not self._waiting:
            return []
        states = {hub: await store.mirror_state(hub) for hub in {each.notification.hub for each in self._waiting}}
        now = store.now()
        ripe = [each for each in self._waiting if states[each.notification.hub].listed_began > each.before.at]
        late = [each for each in self._waiting if each not in ripe and each.gives_up_at <= now]
        audiences = await store.audiences([each.notification for each in ripe]) if ripe else ()
        known: list[tuple[Difference, bool]] = [(each, False) for each in late]
        for each, audience in zip(ripe, audiences, strict=True):
            taken = await store.newer_there(each.notification.hub, each.before.at - UNDER_WAY)
            known.append((each, is_explained(each.before, each.there, members_of(audience), taken)))
        done = {id(each) for each, _ in known}
        self._waiting = [each for each in self._waiting if id(each) not in done]
        return known
