"""Who writes next: deficit round robin (Shreedhar and Varghese, 1996) over flows, for groups with one commit (pure)."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

RESULTS = "results"
"""The flow of what is recorded of pushes, which has turns with the sources; nobody waits for it."""

_QUANTUM = 64
"""Rows of a flow's credit for each round: what is smaller waits for no more than a round."""
_JOBS, _ROWS = 64, 256
"""Jobs and rows in one group at most, but for a job of more rows, which is a group of its own: this bounds how long the
first of them waits for the last."""
_FLOOD = 128
"""Rows that wait, from which on a flow with few of them is written before the others, with a commit of its own. With fewer
rows a common commit is as soon done, and costs the disk one wait less."""
_LIGHT = 16
"""Rows that wait of a light flow, at most."""


class Entry(NamedTuple, Generic[T]):
    """A job of so many `rows`, about; with `is_last`, nothing may stand behind it in its group."""

    job: T
    rows: int
    is_last: bool


class Turns(Generic[T]):
    """Jobs that wait, by flow. Those of a flow keep their order; flows take turns, and share by rows, not by jobs.

    So a flow that has little to write waits for what is being written, and for one round of the others, however
    much more they have waiting. Beside a flood it does not wait for a round: every other group is of light flows alone, if
    any waits. The flow of `RESULTS` is never light.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[str, deque[Entry[T]]] = OrderedDict()
        self._credit: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._were_light = False

    def __bool__(self) -> bool:
        return bool(self._flows)

    def add(self, flow: str, job: T, *, rows: int, is_last: bool = False) -> None:
        """Let a job wait behind those of its flow."""
        self._flows.setdefault(flow, deque()).append(Entry(job, rows, is_last))
        self._waiting[flow] = self._waiting.get(flow, 0) + rows

    def group(self) -> list[T]:
        """Take what is written next with one commit: one job at least, if any waits."""
        light = [] if self._were_light else self._light_beside_a_flood()
        self._were_light = bool(light)
        return self._all_of(light) if light else self._next_round()

    def _light_beside_a_flood(self) -> list[str]:
        if len(self._flows) == 1 or sum(self._waiting.values()) < _FLOOD:
            return []
        return [flow for flow in self._flows if flow != RESULTS and self._waiting[flow] <= _LIGHT]

    def _all_of(self, flows: Sequence[str]) -> list[T]:
        jobs: list[T] = []
        rows = 0
        for flow in flows:
            waiting = self._flows[flow]
            while waiting:
                if jobs and (len(jobs) >= _JOBS or rows + waiting[0].rows > _ROWS):
                    return jobs  # the flow is the first of the next such group
                entry = self._take(flow)
                jobs.append(entry.job)
                rows += entry.rows
                if entry.is_last:
                    self._pass_on(flow)
                    return jobs
            self._pass_on(flow)
        return jobs

    def _next_round(self) -> list[T]:
        jobs: list[T] = []
        rows = 0
        while self._flows:
            flow, waiting = next(iter(self._flows.items()))
            self._credit[flow] = self._credit.get(flow, 0) + _QUANTUM
            while waiting and waiting[0].rows <= self._credit[flow]:
                if jobs and (len(jobs) >= _JOBS or rows + waiting[0].rows > _ROWS):
                    self._credit[flow] -= _QUANTUM  # the flow is the next to have its turn
                    return jobs
                entry = self._take(flow)
                self._credit[flow] -= entry.rows
                jobs.append(entry.job)
                rows += entry.rows
                if entry.is_last:
                    self._pass_on(flow)
                    return jobs
            self._pass_on(flow)
        return jobs

    def _take(self, flow: str) -> Entry[T]:
        entry = self._flows[flow].popleft()
        self._waiting[flow] -= entry.rows
        return entry

    def _pass_on(self, flow: str) -> None:
        """The next flow has its turn. Nothing is saved up by a flow that has nothing to write."""
        if self._flows[flow]:
            self._flows.move_to_end(flow)
        else:
            del self._flows[flow], self._waiting[flow]
            self._credit.pop(flow, None)
