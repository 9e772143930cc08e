"""Who writes next: deficit round robin (Shreedhar and Varghese, 1996) over flows, for groups with one commit (pure)."""

from collections import OrderedDict, deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_QUANTUM = 64
"""Rows of a flow's credit for each round: what is smaller waits for no more than a round."""
_JOBS, _ROWS = 64, 256
"""Jobs and rows in one group at most, but for a job of more rows, which is a group of its own: this bounds how long the
first of them waits for the last."""


class Entry(NamedTuple, Generic[T]):
    """A job of so many `rows`, about; with `is_last`, nothing may stand behind it in its group."""

    job: T
    rows: int
    is_last: bool


class Turns(Generic[T]):
    """Jobs that wait, by flow. Those of a flow keep their order; flows take turns, and share by rows, not by jobs.

    So a flow that has little to write waits for what is being written, and for one round of the others, however
    much more they have waiting.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[str, deque[Entry[T]]] = OrderedDict()
        self._credit: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._flows)

    def add(self, flow: str, job: T, *, rows: int, is_last: bool = False) -> None:
        """Let a job wait behind those of its flow."""
        self._flows.setdefault(flow, deque()).append(Entry(job, rows, is_last))

    def group(self) -> list[T]:
        """Take what is written next with one commit: one job at least, if any waits."""
        jobs: list[T] = []
        rows = 0
        while self._flows:
            flow, waiting = next(iter(self._flows.items()))
            self._credit[flow] = self._credit.get(flow, 0) + _QUANTUM
            while waiting and waiting[0].rows <= self._credit[flow]:
                if jobs and (len(jobs) >= _JOBS or rows + waiting[0].rows > _ROWS):
                    self._credit[flow] -= _QUANTUM  # the flow is the next to have its turn
                    return jobs
                entry = waiting.popleft()
                self._credit[flow] -= entry.rows
                jobs.append(entry.job)
                rows += entry.rows
                if entry.is_last:
                    self._pass_on(flow)
                    return jobs
            self._pass_on(flow)
        return jobs

    def _pass_on(self, flow: str) -> None:
        """The next flow has its turn. Nothing is saved up by a flow that has nothing to write."""
        if self._flows[flow]:
            self._flows.move_to_end(flow)
        else:
            del self._flows[flow], self._credit[flow]
