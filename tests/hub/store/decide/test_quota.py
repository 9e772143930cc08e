"""Quotas are learnt and kept to: processes with meters of their own push to a service with a quota, in played time."""

import heapq
import math
import random
from collections.abc import Callable
from functools import partial
from itertools import count

import orjson
import pytest

from hub.delivery.quota import QuotaMeter
from hub.quota import QuotaReport
from hub.store.decide.quota import QuotaState

LATENCY = 0.05
START = 1e6


class Service:
    """It takes `quota` pushes in each minute, and says in whole seconds, rounded up, when the next minute begins.

    Minutes follow each other; `from_push` counts each from the first push after the one before, as FCM's stand-in does.
    `early` is how many seconds before the first push the first minute began.
    """

    def __init__(self, quota: int, *, from_push: bool = False, early: float = 0.0) -> None:
        self.quota = quota
        self.begin = START - early
        self.used = self.taken = self.refused = 0
        self._from_push = from_push

    def push(self, now: float) -> float | None:
        if now - self.begin >= 60:
            self.begin = now if self._from_push else now - (now - self.begin) % 60
            self.used = 0
        if self.used >= self.quota:
            self.refused += 1
            return math.ceil(self.begin + 60 - now)
        self.used += 1
        self.taken += 1
        return None


class Fleet:
    """Processes that want to push without end, ten at a time, each with at most a hundred under way."""

    def __init__(self, service: Service, processes: int, *, names_time: bool = True) -> None:
        self.now = START
        self.service = service
        self.state = QuotaState()
        self._names_time = names_time
        self._random = random.Random(processes)
        self._meters = [QuotaMeter(clock=lambda: self.now) for _ in range(processes)]
        self._paused = [0.0] * processes
        self._under_way = [0] * processes
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        for process in range(processes):
            self._at(START + self._random.random() / 2, partial(self._report, process))
            self._at(START + 0.001 * process, partial(self._push, process))

    def run(self, minutes: float) -> None:
        until = self.now + 60 * minutes
        while self._due[0][0] < until:
            self.now, _, step = heapq.heappop(self._due)
            step()

    def _at(self, when: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), step))

    def _report(self, process: int) -> None:
        meter = self._meters[process]
        if self.state.limit is not None:
            meter.know(self.state.limit)
        if meter.is_due:
            grant = self.state.take(meter.report(), process=str(process), now=self.now)
            self.state = QuotaState.of(orjson.loads(orjson.dumps(self.state.said())))
            meter.granted(grant)
        self._at(self.now + 0.25 + self._random.random() / 5, partial(self._report, process))

    def _push(self, process: int) -> None:
        while self.now >= self._paused[process] and self._under_way[process] < 100:
            pushes = self._meters[process].admit(10)
            if not pushes:
                break
            self._under_way[process] += pushes
            self._at(self.now + self._way(), partial(self._arrive, process, pushes))
        self._at(self.now + 0.05, partial(self._push, process))

    def _arrive(self, process: int, pushes: int) -> None:
        said = [self.service.push(self.now) for _ in range(pushes)]
        waits = [wait for wait in said if wait is not None]
        self._at(self.now + self._way(), partial(self._answer, process, pushes, waits))

    def _answer(self, process: int, pushes: int, waits: list[float]) -> None:
        self._under_way[process] -= pushes
        if waits:
            self._paused[process] = max(self._paused[process], self.now + (waits[0] if self._names_time else 60.0))
        retry_after = waits[0] if waits and self._names_time else None
        self._meters[process].answered(pushes, refused=len(waits), retry_after=retry_after)

    def _way(self) -> float:
        return LATENCY * (0.25 + self._random.random() / 2)


@pytest.mark.slow
@pytest.mark.parametrize("from_push", [False, True], ids=["minutes of a clock", "minutes from a push"])
@pytest.mark.parametrize("processes", [1, 3])
def test_of_a_quota_at_least_98_percent_is_used_and_less_than_a_thousandth_refused(
    processes: int, from_push: bool
) -> None:
    """Once it was learnt, which takes a refusal or two; more is tried now and then, and that is counted.

    `Retry-After` is rounded up, so the reset is believed up to a second late: the first pushes of a minute count too.
    """
    service = Service(3000, from_push=from_push, early=0.6)
    fleet = Fleet(service, processes)
    fleet.run(5)
    assert service.refused <= 4 * 100 * processes, "what was under way at the first refusals"
    taken, refused = service.taken, service.refused
    fleet.run(12)
    assert service.taken - taken >= 0.98 * 12 * service.quota
    assert service.refused - refused < 0.001 * (service.taken - taken)


@pytest.mark.slow
def test_a_quota_that_was_raised_is_found() -> None:
    service = Service(600)
    fleet = Fleet(service, 1)
    fleet.run(3)
    service.quota = 2400
    fleet.run(45)
    taken = service.taken
    fleet.run(3)
    assert service.taken - taken > 3 * 0.9 * 2400


@pytest.mark.slow
def test_a_service_that_names_no_time_is_used_for_the_most_part() -> None:
    service = Service(1200)
    fleet = Fleet(service, 2, names_time=False)
    fleet.run(15)
    taken, refused = service.taken, service.refused
    fleet.run(10)
    assert service.taken - taken > 0.8 * 10 * service.quota
    assert service.refused - refused < 0.01 * (service.taken - taken)


def test_a_service_that_was_busy_for_a_moment_is_not_held_to_what_it_had_taken_then() -> None:
    state = QuotaState()
    grant = state.take(QuotaReport(spent=[(1.0, 10)], refused=1, retry_after=5.0, wanted=1e6), process="a", now=1000.0)
    assert grant.limit == 10
    now = 1005.0
    for _ in range(1200):  # ten minutes in which all that is granted is spent
        now += 0.5
        grant = state.take(QuotaReport(spent=[(0.0, math.floor(grant.pushes))], wanted=1e6), process="a", now=now)
    assert grant.limit is not None
    assert grant.limit > 10_000


def test_the_first_pushes_of_a_minute_count_though_the_reset_is_named_a_second_late() -> None:
    """The minute began at 0.2 s, so 58.3 s are left at 1.9 s, which `Retry-After` says as 59: until 60.9 s."""
    state = QuotaState()
    report = QuotaReport(spent=[(1.65, 600)], refused=1, retry_after=59.0, wanted=1e6)
    assert state.take(report, process="a", now=1e6 + 1.9).limit == 600


def test_a_wait_of_hours_teaches_nothing_of_a_minute() -> None:
    state = QuotaState()
    grant = state.take(QuotaReport(spent=[(1.0, 50)], refused=1, retry_after=7200.0, wanted=9.0), process="a", now=1e4)
    assert grant.limit is None


def test_a_quota_without_a_refusal_for_a_week_is_forgotten() -> None:
    state = QuotaState()
    state.take(QuotaReport(spent=[(1.0, 600)], refused=1, retry_after=30.0, wanted=9.0), process="a", now=1e6)
    assert state.take(QuotaReport(wanted=9.0), process="a", now=1e6 + 6 * 86_400).limit == 600
    assert state.take(QuotaReport(wanted=9.0), process="a", now=1e6 + 8 * 86_400).limit is None


def test_who_wants_little_leaves_the_rest_to_others() -> None:
    state = QuotaState()
    state.take(QuotaReport(spent=[(20.0, 6000)], refused=1, retry_after=1.0, wanted=1e6), process="a", now=1e6)
    now, taken, spent = 1e6 + 120, 0.0, 0
    for _ in range(240):
        now += 0.25
        assert state.take(QuotaReport(spent=[(0.0, 1)], wanted=2.0), process="b", now=now).pushes <= 2
        now += 0.25
        grant = state.take(QuotaReport(spent=[(0.0, spent)], wanted=1e6), process="a", now=now)
        spent = math.floor(grant.pushes)
        taken += spent
    assert taken > 0.9 * 2 * 6000
