"""Operators' silences, which all processes of a store keep to."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hub.silence import NewSilence, Silence, Silenced, SilenceUse
from hub.store.contracts.outbox import Work


class Silences(Protocol):
    """Acceptance asks for silences in its own transaction, so that none is late there. `silence` looks at what waits from
    before, when its turn comes. Every coroutine may raise StoreError."""

    @property
    def known_silences(self) -> Sequence[Silence]:
        """Those that are in force, and those that ended in the last 30 days, in the order of their begin; as of a second
        ago."""

    @property
    def silences_in_force(self) -> Sequence[Silence]:
        """As of a second ago, and empty nearly always: what is not covered by these needs no `silence`."""

    async def add_silence(self, new: NewSilence) -> Silence:
        """Begin one, with an audit row; it is in force for what any process accepts from now on. Raises: CapacityError:
        too many are in force."""

    async def remove_silence(self, silence_id: str, *, actor: str) -> Silence:
        """End one, with an audit row: what it holds is released. Raises: NotFoundError: none of this id is in force."""

    async def silence_usage(self) -> Mapping[str, SilenceUse]:
        """What each of `known_silences` holds and has dropped, in the queues of all processes, by id."""

    async def silence(self, work: Sequence[Work]) -> Silenced:
        """Hold or drop notifications in hand that have not begun and that a silence covers now; these leave the hand."""

    async def release_silenced(self) -> int:
        """Let a slice of what ended silences hold in queues of this process go on, while little waits already; how many."""

    async def forget_silences(self) -> bool:
        """Drop silences that ended more than 30 days ago; whether more is left."""
