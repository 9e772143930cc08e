"""Runs tests of rules: each on a store and a clock of its own, step by step, through the pipeline of the daemon."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bridge.config.models.document import Settings
from bridge.decode import Decoded
from bridge.intake.pipeline import Route
from bridge.observe.facts import EventOutcome
from bridge.trial.given import given_message
from bridge.trial.payloads import NO_CREDENTIAL, Payload
from bridge.trial.suite.compare import Difference, Seen, SeenPush, differences
from bridge.trial.suite.coverage import FIRED, Coverage
from bridge.trial.suite.following import FollowedPhones
from bridge.trial.suite.load import START, LoadedFile, LoadedStep, LoadedTest
from bridge.trial.suite.models import GivenEvent
from bridge.trial.suite.quieting import HeldPushes
from bridge.trial.suite.stores import SuiteClock, SuiteStores
from bridge.trial.trial import Trial, TriedEvent, TriedNotification
from bridge.wiring import routes_of
from connectors.base import Message
from hub.acceptance import HandedOver, Ingest
from hub.installation import Installation
from hub.notification import Notification
from hub.store.contracts.outbox import AcceptanceResult
from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.store import SqliteStore
from hub.work import Lane
from rules.event import Event
from rules.explain import RuleResult
from rules.node import Mark, Node

_MOST = 100_000
"""Templates of one notification that are rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """A step that did not come to what was expected: its number from 1, its place, and each difference with its own."""

    number: int
    place: Mark
    differences: Sequence[tuple[Mark, Difference]]
    tried: Sequence[TriedEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTestResult:
    """How a test went: `failed` is its first step that did, None where all went as expected; `seconds` of time."""

    file: Path
    name: str
    place: Mark
    seconds: float
    steps: int
    failed: FailedStep | None


class SuiteRunner:
    """Runs the tests of one configuration, and counts what they cover of its rules."""

    def __init__(self, settings: Settings, stores: SuiteStores) -> None:
        self._settings = settings
        self._stores = stores
        self._routes = routes_of(settings)
        self.coverage = Coverage(settings.rules)

    async def run(self, loaded: LoadedFile, test: LoadedTest) -> RuleTestResult:
        """Run a test up to its first step that fails. Raises: StoreError: there is no place for temporary files."""
        started = time.perf_counter()
        failed = None
        async with AsyncExitStack() as stack:
            bench = await self._bench(stack, test)
            for number, step in enumerate(test.steps, start=1):
                failed = await self._failed(bench, number, step)
                if failed is not None:
                    break
        return RuleTestResult(
            file=loaded.file,
            name=test.test.name,
            place=test.node.mark,
            seconds=time.perf_counter() - started,
            steps=len(test.steps),
            failed=failed,
        )

    async def _bench(self, stack: AsyncExitStack, test: LoadedTest) -> "_Bench":
        clock = SuiteClock(test.test.clock or START)
        window = SeenWindow(seconds=self._settings.bridge.store.seen_window)
        store = await stack.enter_async_context(self._stores.opened(clock, window=window))
        bench = _Bench(self._settings, self._routes, store, clock, test)
        stack.push_async_callback(bench.trial.close)
        await bench.register()
        return bench

    async def _failed(self, bench: "_Bench", number: int, step: LoadedStep) -> FailedStep | None:
        seen = await bench.take(step)
        for tried in seen.tried:
            if tried.event is not None and not _is_repeated(tried):
                self.coverage.see(tried.event, tried.explanations)
        expected = step.step.expect
        found = [] if expected is None else differences(expected, seen)
        if not found:
            return None
        placed = [(_place(step.node.find(("expect",)), each), each) for each in found]
        return FailedStep(number=number, place=step.node.mark, differences=placed, tried=seen.tried)


class _Bench:
    """One test under way."""

    def __init__(
        self,
        settings: Settings,
        routes: Mapping[str, Route],
        store: SqliteStore,
        clock: SuiteClock,
        test: LoadedTest,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._test = test
        self._messages = 0
        self._fresh = ""
        self._followed = FollowedPhones()
        self._shown: set[str] = set()
        self._quiet = HeldPushes({(hub, each.id): each for hub, each in test.devices})
        self._devices: dict[tuple[str, str, str], str] = {}
        self.trial = Trial(
            settings,
            registrations=store,
            hub=_Accepting(store),
            routes={name: self._with_fresh_ids(route) for name, route in routes.items()},
            clock=clock.now,
            most=_MOST,
        )

    async def register(self) -> None:
        """Put the devices of the test into the store."""
        by_hub: dict[str, list[Installation]] = {}
        for hub, installation in self._test.devices:
            by_hub.setdefault(hub, []).append(installation)
            self._devices[hub, installation.platform.value, installation.push_channel] = installation.id
        for hub, installations in by_hub.items():
            await self._store.put_installations(hub, installations)

    async def take(self, step: LoadedStep) -> Seen:
        """What a step comes to."""
        given = step.step
        if given.advance is not None:
            self._clock.advance(given.advance)
        if given.advance_to is not None:
            self._clock.advance((given.advance_to - self._clock.now()).total_seconds())
        unopened = self._followed.due(now=self._clock.now())
        self._followed.opened(given.opened)
        digests = await self._digests() if given.advance is not None or given.advance_to is not None else []
        seen = Seen() if given.event is None else await self._come_in(given.event, step)
        self._shown |= {push.tried.notification.id for push in seen.pushes}
        released = self._quiet.due(now=self._clock.now())
        came = self._quiet.sort([*digests, *seen.pushes], now=self._clock.now())
        pushes = [*released.pushes, *came.pushes]
        followed = self._followed.pushed(pushes, now=self._clock.now())
        return replace(
            seen,
            pushes=pushes,
            unopened=[*unopened, *followed],
            held=released.held + came.held,
            quiet=released.suppressed + came.suppressed,
        )

    async def _digests(self) -> list[SeenPush]:
        """The notifications whose time has come, and that no event has shown: digests."""
        due = await self._store.take(Lane.SINGLE, {None: _MOST})
        sent = [piece.notification for piece in due if piece.notification.id not in self._shown]
        return [self._push(await self.trial.tried(each)) for each in sent]

    async def _come_in(self, event: GivenEvent, step: LoadedStep) -> Seen:
        self._messages += 1
        name = str(self._messages)
        tried: list[TriedEvent] = []
        for _ in range(step.step.repeat):
            if event.fresh_id:
                self._messages += 1
                name = self._fresh = str(self._messages)
            tried += await self.trial.each(self._message(event, step, name))
            self._fresh = ""
        return self._seen(tried)

    def _seen(self, tried: Sequence[TriedEvent]) -> Seen:
        results = {
            (explanation.rule, explanation.result): None
            for each in tried
            if not _is_repeated(each)
            for explanation in each.explanations
        }
        return Seen(
            tried=tried,
            fired=list(dict.fromkeys(rule for rule, result in results if result in FIRED)),
            observed=[rule for rule, result in results if result is RuleResult.OBSERVED],
            pushes=[self._push(notification) for each in tried for notification in each.notifications],
            duplicates=sum(map(_is_repeated, tried)),
        )

    def _push(self, tried: TriedNotification) -> SeenPush:
        """The devices that get it: one without a credential counts while its hub has none at all, as one being set up."""
        hub = tried.notification.hub
        has_none = not self._settings.hubs[hub].platforms.configured
        sent = [
            payload for payload in tried.payloads if payload.is_ready and (has_none or payload.refused != NO_CREDENTIAL)
        ]
        devices = self._devices_of(hub, sent)
        expires_at = tried.notification.expires_at
        ttl = None if expires_at is None else (expires_at - self._clock.now()).total_seconds()
        failed = self._devices_of(hub, tried.payloads) - devices
        return SeenPush(tried=tried, ttl=ttl, devices=sorted(devices), payloads=sent, failed=sorted(failed))

    def _devices_of(self, hub: str, payloads: Iterable[Payload]) -> set[str]:
        return {self._devices[hub, each.platform.value, channel] for each in payloads for channel in each.push_channels}

    def _message(self, event: GivenEvent, step: LoadedStep, name: str) -> Message:
        return given_message(
            self._settings.sources[step.source].connector,
            source=step.source,
            body=step.body,
            headers=event.headers,
            meta=event.meta,
            content_type=event.content_type,
            name=name,
            at=self._clock.now(),
        )

    def _with_fresh_ids(self, route: Route) -> Route:
        """A route whose events have another id for each message that is to have a fresh one, whatever its `map` says."""

        def to_event(message: Message, decoded: Decoded, now: datetime) -> Event:
            event = route.to_event(message, decoded, now)
            return replace(event, id=f"{event.id}~{self._fresh}") if self._fresh else event

        return replace(route, to_event=to_event)


class _Accepting:
    """The hub of a test: a store where nothing is taken from the outbox."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def full_for(self, notifications: Sequence[Notification]) -> Collection[str]:
        return ()

    async def hand_over(
        self,
        notifications: Sequence[Notification],
        *,
        arrivals: Callable[[], Sequence[Ingest]],
        withdrawn: Callable[[], bool],
    ) -> HandedOver:
        return HandedOver()

    async def accept(self, arrivals: Sequence[Ingest], *, withdrawn: Callable[[], bool]) -> AcceptanceResult:
        return await self._store.accept(arrivals, start=0)


def _is_repeated(tried: TriedEvent) -> bool:
    return tried.outcome is EventOutcome.DUPLICATE


def _place(expect: Node, difference: Difference) -> Mark:
    return expect.find(difference.at).mark
