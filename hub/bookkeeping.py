"""The hub's books, checked each minute: what was accepted has ended or is on its way, and nothing else is in the store."""

import asyncio
from collections import Counter

from hub.books import Balance, Discrepancy, Unaccounted
from hub.errors import StoreError
from hub.facts import BooksChecked, Crashed
from hub.loops import Pulse
from hub.observer import Observer
from hub.store.contracts.accounting import Accounting, AccountPlace, AccountStep

_STEPS = 100
"""Steps of a check: 200,000 rows at most, which take a fifth of a second of one processor (measured)."""

_SURE = 3
"""Checks that have to find a row before it is named: a notification whose last page has ended is summed within seconds."""

_MOST = 1000
"""Rows that are known at most; of more than that no operator reads the names."""


class Bookkeeping:
    """Run `run` as a task. `unaccounted` are the rows that have not been as they should be for some checks.

    Of the processes that share a store one checks; the others know of nothing. A look through all rows takes as many checks
    as it needs, and begins again. `every` are the seconds between two checks, `pause` those between two steps.
    """

    def __init__(self, store: Accounting, *, observer: Observer, every: float, pause: float = 0.02) -> None:
        self._store = store
        self._observer = observer
        self._every = every
        self._pause = pause
        self._found: dict[Unaccounted, int] = {}
        self._place = AccountPlace()
        self._notifications = self._ended = self._lost = 0
        self.pulse = Pulse()
        self.unaccounted: list[Unaccounted] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.pulse.sleep(self._every)
            try:
                await self.check()
            except StoreError:
                continue  # reported, and looked at again
            except Exception as error:  # events go on
                self._observer.observe(Crashed(work="the check of the books", error=error))

    async def check(self) -> None:
        """Look at what was found before, and at the next rows. Raises: StoreError."""
        still = await self._store.account_again(list(self._found)) if self._found else ()
        self._found = {each: self._found[each] + 1 for each in still}
        balance, is_ours = None, True
        for _ in range(_STEPS):
            step = await self._store.account(self._place)
            if step is None:  # another process does it by now
                self._forget()
                is_ours = False
                break
            self._take(step)
            if step.next is None:
                balance = self._balance()
                self._begin_again()
                break
            await asyncio.sleep(self._pause)
        self._tell(balance, is_ours=is_ours)

    def _take(self, step: AccountStep) -> None:
        self._notifications += step.notifications
        self._ended += step.ended
        self._place = step.next or AccountPlace()
        for each in step.found:
            if each.kind is Discrepancy.NO_WORK:
                self._lost += 1
            if each in self._found or len(self._found) < _MOST:
                self._found.setdefault(each, 1)

    def _balance(self) -> Balance:
        return Balance(
            accepted=self._notifications,
            ended=self._ended,
            in_flight=self._notifications - self._ended - self._lost,
            unaccounted=self._lost,
        )

    def _begin_again(self) -> None:
        self._place = AccountPlace()
        self._notifications = self._ended = self._lost = 0

    def _forget(self) -> None:
        self._found = {}
        self._begin_again()

    def _tell(self, balance: Balance | None, *, is_ours: bool) -> None:
        before = self.unaccounted
        self.unaccounted = [each for each, times in self._found.items() if times >= _SURE]
        self._observer.observe(
            BooksChecked(
                counts=Counter(each.kind for each in self.unaccounted),
                new=[each for each in self.unaccounted if each not in before],
                settled=[each for each in before if each not in self._found] if is_ours else (),
                balance=balance,
                is_ours=is_ours,
            )
        )
