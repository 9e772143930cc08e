"""Who works on a store, and how its queues are shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A process; `queues` is how many it owns, `silent_for` the seconds since its beat was seen to change, 0 for one
    that is heard as it should be."""

    id: str
    version: str
    queues: int
    share: int
    silent_for: float = 0.0
    is_this: bool = False
    is_dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """`queues` of the store, of which `unowned` have no live owner."""

    queues: int
    unowned: int
    members: Sequence[Member]

    @property
    def live(self) -> int:
        """How many of the processes are alive, this one among them."""
        return max(1, sum(not member.is_dead for member in self.members))


@dataclass(slots=True, kw_only=True)
class OwnershipCounts:
    """Since the process began: queues taken from dead processes, queues lost to others, renewals that failed.

    `owned` is of now.
    """

    owned: int = 0
    taken_over: int = 0
    lost: int = 0
    renewals_failed: int = 0


class Fleet(Protocol):
    def fleet(self) -> FleetState:
        """As this process saw all at its last renewal."""

    def ownership(self) -> OwnershipCounts: ...
