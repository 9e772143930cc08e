"""What keeps a hub the same as another one while phones move: what waits to be written there, and what was found there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyroaring import BitMap

from hub.installation import Installation, Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredDevice:
    """What is known of a device by its key (`i:` and the id of an installation, `r:` and that of a single registration).

    `waits_since` is in seconds since 1970, None where nothing waits to be written there; `attempt` counts the tries that
    the other hub refused, for `reason`. `there` is the id of a single registration there; `said` and `print` stand for the
    document and for the listed form of what is there, both empty for nothing; `at` is when that was made so.
    """

    key: str
    version: int = 0
    waits_since: float | None = None
    attempt: int = 0
    reason: str = ""
    there: str = ""
    said: str = ""
    print: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a list of the other hub says of a device: put it here as it is there, or with `gone` take it away.

    `etag` is that of the device as it was read here, 0 where there was none; with None nothing changes here, and only what
    is known of it is written down. `again`: what is here is to be written there.
    """

    key: str
    there: str
    said: str
    print: str
    etag: int | None
    installation: Installation | None = None
    registration: Registration | None = None
    gone: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorBacklog:
    """How many devices wait to be written there, `refused` of them for the other hub takes them not, and since when the
    oldest waits; None: none does."""

    waiting: int = 0
    refused: int = 0
    since: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorState:
    """How a mirrored hub fares; times are in seconds since 1970, 0 for never. `counts` is of the last whole list.

    `is_wanted`: somebody asked for a list now, and with `may_remove` for one that takes away whatever it lacks.
    """

    listed_began: float = 0.0
    listed_at: float = 0.0
    failed_at: float = 0.0
    failure: str = ""
    is_wanted: bool = False
    may_remove: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


class Mirrors(Protocol):
    """Every method but `write_through` may raise StoreError."""

    def write_through(self, hubs: Collection[str]) -> None:
        """From now on each write of a device in one of these hubs leaves a row, in its own transaction, that says to write
        it there too. What `take_found` writes leaves none."""

    async def hold_mirror(self, hub: str, *, owner: str, lease: float) -> MirrorState | None:
        """Have, or keep, a hub for this process for `lease` seconds; None: another one has it.

        Times that lie ahead are of a clock that was set back since: nothing waits for them."""

    async def release_mirror(self, hub: str, *, owner: str) -> None:
        """Let another process have it at once."""

    async def want_listing(self, hub: str, *, may_remove: bool = False) -> None:
        """Have the process that has the hub list the other one now. `may_remove`: it takes away what the list lacks,
        however much that is."""

    async def begin_listing(self, hub: str) -> None:
        """A list begins: what was wanted until now is on its way, and what is wanted from now on waits for the next."""

    async def rewrite_mirror(self, hub: str, *, after: str = "", limit: int) -> tuple[int, str]:
        """Have a part of all that is known written there again, as it is here: the other hub has lost it. How many devices,
        and the key to go on after; empty: there are no more. What nothing is known of is `seed_mirror`'s."""

    async def mirror_state(self, hub: str) -> MirrorState:
        """As any process may read it."""

    async def forget_mirrors(self, kept: Collection[str]) -> bool:
        """Forget a slice of what is known of hubs that are mirrored no more; whether more is left."""

    # To the other hub

    async def due_devices(self, hub: str, *, limit: int) -> Sequence[MirroredDevice]:
        """Those whose time has come, the first to be due first."""

    async def name_there(self, hub: str, key: str, there: str) -> None:
        """Remember the id that the other hub gave for a registration, before anything is put under it."""

    async def written_there(self, hub: str, written: Sequence[MirroredDevice]) -> None:
        """These are there as they were in their `version`: one that was written here since goes on waiting."""

    async def postpone_there(self, hub: str, key: str, *, delay: float, reason: str) -> None:
        """The other hub does not take it: it is tried again after `delay` seconds."""

    async def mirror_backlog(self, hub: str) -> MirrorBacklog:
        """What waits."""

    # From the other hub

    async def mirrored(self, hub: str, keys: Sequence[str], *, there: Sequence[str] = ()) -> Sequence[MirroredDevice]:
        """What is known of these devices, and of the registrations that are called so there; in any order."""

    async def mirrored_before(
        self, hub: str, before: float, *, after: str = "", limit: int
    ) -> Sequence[MirroredDevice]:
        """Those that were made the same before a time and do not wait, by key."""

    async def take_found(self, hub: str, found: Sequence[Found], *, began: float) -> Sequence[bool]:
        """Write what a list says that began then; for each whether it was. What waits to be written there, was written
        there since, or is not as it was read here any more, is left to the next list."""

    async def forget_mirrored(self, hub: str, keys: Sequence[str], *, began: float) -> None:
        """These are on neither side, by a list that began then."""

    async def seed_mirror(self, hub: str) -> int:
        """Have written there what lives here alone, as of the first whole list; how many devices."""

    async def listed(self, hub: str, *, began: float, counts: Mapping[str, int]) -> None:
        """A list that began then was read to its end, and all of it was taken."""

    async def listing_failed(self, hub: str, failure: str) -> None:
        """A list was not read to its end."""

    # What is compared

    async def newer_here(self, hub: str, since: float) -> BitMap:
        """Ordinals of what waits to be written there, or was written there since."""

    async def newer_there(self, hub: str, since: float) -> BitMap:
        """Ordinals of what a list of the other hub changed here since."""

    async def add_compared(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add to the sums of this hour how many sends of a hub compared how (`TallyKind.MIRROR`)."""
