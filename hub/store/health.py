"""Whether a store does what it is asked for: which operations fail, since when and why, and whether it works again."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

from hub.errors import StoreError
from hub.facts import StoreFailed, StoreRecovered
from hub.loops import Pulse
from hub.observer import Observer
from hub.store.contracts.store import Store

OPERATIONS: Mapping[str, str] = {
    "accept": "accept",
    "replay": "accept",
    "backlog": "count",
    "take": "take",
    "take_orphans": "take",
    "give_back": "give_back",
    "pass_on": "postpone",
    "postpone": "postpone",
    "expand": "expand",
    "hold": "postpone",
    "silence": "postpone",
    "begin_late": "postpone",
    "release_silenced": "postpone",
    "held": "count",
    "hold_until": "postpone",
    "quiet": "count",
    "zones": "read",
    "end_held": "record",
    "record": "record",
    "sum_up": "record",
    **dict.fromkeys(
        ("audiences", "targets", "target_columns", "templates", "get_installation", "get_registration", "details"),
        "read",
    ),
    **dict.fromkeys(("queue_states", "registrations_by_platform", "unpublished", "offsets", "duplicates"), "read"),
    **dict.fromkeys(
        (
            "devices",
            "device",
            "registrations",
            "registrations_of",
            "notifications",
            "notification",
            "letters",
            "letter",
            "letter_usage",
            "audit",
        ),
        "read",
    ),
    **dict.fromkeys(("registrations", "registrations_of", "dead_channels"), "read"),
    **dict.fromkeys(
        ("phone", "phone_registered", "phones_of", "phones_with", "subscriptions", "unwritten_phones"), "read"
    ),
    **dict.fromkeys(("put_phone", "phone_written", "rewrite_phones", "forget_phones"), "write"),
    **dict.fromkeys(
        (
            "count_person",
            "export_person",
            "journaled",
            "journal",
            "journal_usage",
            "trace",
            "preview",
            "sent",
            "tallies",
            "received",
        ),
        "read",
    ),
    **dict.fromkeys(
        ("put_installations", "add_installation", "change_installation", "import_installations", "delete_installation"),
        "write",
    ),
    **dict.fromkeys(("put_registration", "delete_registration", "erase_user", "erase_person"), "write"),
    **dict.fromkeys(
        ("published", "drop_dead_letters", "cancel", "stop", "approve", "put_direct", "add_reports"), "write"
    ),
    **dict.fromkeys(("add_silence", "remove_silence", "forget_silences"), "write"),
    "silence_usage": "read",
    **dict.fromkeys(("advance_offsets", "forget_offsets"), "write"),
    **dict.fromkeys(("mark_channels_dead", "rename_channels", "revive"), "write"),
    **dict.fromkeys(("unreported", "sink_usage", "follow_up_usage"), "read"),
    **dict.fromkeys(("reported", "postpone_reports", "bound_sinks", "follow_up"), "write"),
    **dict.fromkeys(("account", "account_again", "known_quotas", "held_texts"), "read"),
    **dict.fromkeys(("job", "jobs"), "read"),
    "share_quotas": "write",
    **dict.fromkeys(("put_job", "take_jobs", "write_job", "release_job", "forget_jobs"), "write"),
    **dict.fromkeys(
        ("due_devices", "mirrored", "mirrored_before", "mirror_state", "mirror_backlog", "newer_here", "newer_there"),
        "read",
    ),
    **dict.fromkeys(
        ("hold_mirror", "release_mirror", "want_listing", "forget_mirrors", "name_there", "written_there"), "write"
    ),
    **dict.fromkeys(("postpone_there", "take_found", "rewrite_mirror", "forget_mirrored", "seed_mirror"), "write"),
    **dict.fromkeys(("begin_listing", "listed", "listing_failed", "add_compared", "add_audit"), "write"),
    **dict.fromkeys(("forget_ended", "forget_dead", "bound_dead_letters", "bound_journal", "fold", "tally"), "write"),
    **dict.fromkeys(("clear_ended", "overwrite_cleared", "forget_texts"), "write"),
}
"""What each method of a store is called in metrics and messages."""

_QUICK = frozenset(["accept", "backlog", "take", "give_back", "postpone", "expand", "record"])
"""Methods that take milliseconds; an import or a deletion of old rows may take as long as it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthTiming:
    """Seconds of real time."""

    stalled: float = 5.0
    """After this time a call without an answer counts as a failure: the disk hangs, or another program has the file."""
    stale: float = 2.0
    """After this time a failure that has not come again may be past; a retry in place comes more often."""
    look_every: float = 0.5
    """Between two looks for calls that hang, and between two probes of a store that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTrouble:
    """`since` is when the store began to fail, in seconds since 1970 UTC; the others tell of the latest failure."""

    operation: str
    cause: str
    since: float


@dataclass(slots=True)
class _Failure:
    error: Exception
    failed_at: float


class StoreHealth:
    """Watches a store: all calls go through `store`, which is the one given but for that.

    A failing method counts until the same method works. A failure that nothing will repeat (a request of the API, which
    was answered) counts until a probe could write.
    """

    def __init__(
        self,
        store: Store,
        *,
        observer: Observer,
        clock: Callable[[], float] = time.time,
        timing: HealthTiming = HealthTiming(),
    ) -> None:
        self.store = cast(Store, _Watched(store, self))
        self._unwatched = store
        self._observer = observer
        self._clock = clock
        self._timing = timing
        self._since = 0.0
        self._failing: dict[str, _Failure] = {}
        self._under_way: dict[int, tuple[str, float]] = {}
        self._stalled: set[int] = set()
        self._repeated: Counter[str] = Counter()
        self._numbers = count()
        self._worth_a_try = asyncio.Event()
        self.pulse = Pulse()
        """Of `watch`."""

    @property
    def trouble(self) -> StoreTrouble | None:
        """What fails, None while everything works."""
        if not self._failing:
            return None
        method, failure = max(self._failing.items(), key=lambda item: item[1].failed_at)
        return StoreTrouble(operation=OPERATIONS[method], cause=str(failure.error), since=self._since)

    @contextmanager
    def repeating(self, operation: str) -> Iterator[None]:
        """While an operation, or a method, is repeated until it works, only that says that it works again."""
        self._repeated[operation] += 1
        try:
            yield
        finally:
            self._repeated[operation] -= 1

    async def pause(self, seconds: float) -> None:
        """Wait before another try, and no longer than until the store could be written to again."""
        self._worth_a_try.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._worth_a_try.wait()
        except TimeoutError:
            pass

    async def watch(self) -> None:
        """Until cancelled: notice calls that hang, and probe a store that fails."""
        while True:
            self.pulse.beat()
            await asyncio.sleep(self._timing.look_every)
            self._look_for_stalls()
            if self._failing and not self._stalled:
                await self._probe()

    async def call(self, method: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do `work`, and note how it went."""
        number = next(self._numbers)
        started = time.monotonic()
        self._under_way[number] = (method, started)
        hung = False
        try:
            answer = await work()
        except StoreError as error:
            self._failed(method, error)
            raise
        finally:
            del self._under_way[number]
            if number in self._stalled:
                self._stalled.discard(number)
                hung = True
        # An answer to a call that began before the failure says nothing, unless the call is what hung.
        if method in self._failing and (hung or started >= self._failing[method].failed_at):
            self._works({method})
        return answer

    def _failed(self, method: str, error: Exception) -> None:
        if not self._failing:
            self._since = self._clock()
        self._failing[method] = _Failure(error, time.monotonic())
        self._observer.observe(StoreFailed(operation=OPERATIONS[method], error=error))

    def _works(self, methods: set[str]) -> None:
        for method in methods & self._failing.keys():
            del self._failing[method]
            if not self._failing:
                self._observer.observe(StoreRecovered(seconds=max(0.0, self._clock() - self._since)))

    def _look_for_stalls(self) -> None:
        now = time.monotonic()
        for number, (method, started) in self._under_way.items():
            if method in _QUICK and number not in self._stalled and now - started >= self._timing.stalled:
                self._stalled.add(number)
                self._failed(method, StoreError(f"no answer for {self._timing.stalled:g} s"))

    async def _probe(self) -> None:
        try:
            await self._unwatched.probe()
        except StoreError:
            return  # nothing new: what failed has told of it
        self._worth_a_try.set()
        now = time.monotonic()
        self._works(
            {
                method
                for method, failure in self._failing.items()
                if not (self._repeated[method] or self._repeated[OPERATIONS[method]])
                and now - failure.failed_at > self._timing.stale
            }
        )


class _Watched:
    """A store whose operations are noted."""

    def __init__(self, store: Store, health: StoreHealth) -> None:
        self._store = store
        self._health = health

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if name not in OPERATIONS:
            return attribute

        async def noted(*args: Any, **kwargs: Any) -> Any:
            return await self._health.call(name, lambda: attribute(*args, **kwargs))

        return noted
