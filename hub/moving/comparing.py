"""A send that another hub made, compared with whom it would have reached here: the numbers of pushes by platform.

The other hub tells its numbers as telemetry of the message (Notification Hubs REST API, "Get notification message
telemetry"); Azure does so in the tier Standard alone.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from lxml import etree
from pyroaring import BitMap

from hub.delivery.remote import detail_of
from hub.delivery.remote_api import RemoteApi
from hub.errors import RemoteUnreachableError, StoreError
from hub.facts import Compared, SendCompared
from hub.moving.explaining import MOST as MOST_DIFFERENCES
from hub.moving.explaining import Counted, Difference, Explaining, Registered, counted, is_explained
from hub.notification import Notification, Platform
from hub.observer import Observer
from hub.outcome import OutcomeName
from hub.platforms.table import platforms

MOST_OPEN: Final = 1000
"""Sends that wait for the other hub's numbers; more are not compared."""
AT_A_LOOK: Final = 32
"""Sends that the other hub is asked for together. There is a look a second, and so a bound on the log."""
GIVES_UP_AFTER: Final = 600.0
"""Seconds after which a send counts as unknown whose numbers are not final."""

_EVERY: Final = 1.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_ENDED: Final = frozenset(["Completed", "NoTargetFound", "Abandoned", "Cancelled", "Canceled"])
_NO_LOCATION: Final = "the other hub names no id for the message: Azure does so in the tier Standard alone"

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedHub:
    """A client of the other hub, and after how many seconds it is listed again."""

    api: RemoteApi
    list_every: float


@dataclass(slots=True, kw_only=True)
class _Open:
    """A send whose numbers there are not known yet."""

    notification: Notification
    id: str
    counted: Counted
    ask_at: float
    gives_up_at: float
    pause: float = _FIRST_PAUSE

    @property
    def here(self) -> Mapping[Platform, int]:
        return self.counted.counts


class Comparing:
    """`sent` is told of each send, `run` is the task that compares; who is registered here is read within a second.

    What is not compared yet when the process ends is not compared. `clock` is in seconds and steady.
    """

    def __init__(self, *, observer: Observer, clock: Callable[[], float], sleep: Sleep = asyncio.sleep) -> None:
        self._observer = observer
        self._clock = clock
        self._sleep = sleep
        self._hubs: dict[str, ComparedHub] = {}
        self._explaining = Explaining()
        self._sums = Counter[tuple[str, str]]()
        self._leaving: list[RemoteApi] = []
        self._new: list[tuple[Notification, str]] = []
        self._open: list[_Open] = []

    def apply(self, hubs: Mapping[str, ComparedHub]) -> None:
        """Compare the sends of these hubs from now on, by name here; the clients of before are closed."""
        self._leaving += [hub.api for hub in self._hubs.values()]
        self._hubs = dict(hubs)

    def sent(self, notification: Notification, id: str) -> None:
        """Another hub took the notification, and calls it by this id; empty where it names none."""
        if not id:
            self._tell(notification, Compared.UNKNOWN, detail=_NO_LOCATION)
        elif len(self._new) + len(self._open) >= MOST_OPEN:
            self._tell(notification, Compared.PASSED_OVER, detail=f"{MOST_OPEN} others are being compared")
        else:
            self._new.append((notification, id))

    async def run(self, registered: Registered) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look(registered)
                await self._sleep(_EVERY)
        finally:
            self.apply({})
            await self._close_leaving()

    async def look(self, registered: Registered) -> None:
        """Count here what is new, and ask the other hubs for those that are due."""
        await self._close_leaving()
        await self._count(registered)
        now = self._clock()
        due = [each for each in self._open if each.ask_at <= now][:AT_A_LOOK]
        asked = {id(each) for each in due}
        ended = await asyncio.gather(*map(self._ask, due))
        done = {id(each) for each, has_ended in zip(due, ended, strict=True) if has_ended}
        # What was asked for goes behind the others: one that takes long does not keep them from being compared.
        again = [each for each in due if id(each) not in done]
        self._open = [each for each in self._open if id(each) not in asked] + again
        with suppress(StoreError):  # reported by the store's health, and asked again
            for difference, explained in await self._explaining.look(registered):
                self._tell_difference(difference, is_explained=explained)
            if self._sums:
                sums, self._sums = self._sums, Counter()
                try:
                    await registered.add_compared(sums)
                except StoreError:
                    self._sums.update(sums)

    async def _close_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        for api in leaving:
            await api.close()

    async def _count(self, registered: Registered) -> None:
        new, self._new = self._new, []
        if not new:
            return
        try:
            all_counted = await counted([notification for notification, _ in new], registered)
        except StoreError as error:
            for notification, _ in new:
                self._tell(notification, Compared.UNKNOWN, detail=f"who is registered here cannot be read: {error}")
            return
        now = self._clock()
        for (notification, id), one in zip(new, all_counted, strict=True):
            self._open.append(
                _Open(
                    notification=notification,
                    id=id,
                    counted=one,
                    ask_at=now,
                    gives_up_at=now + GIVES_UP_AFTER,
                )
            )

    async def _ask(self, send: _Open) -> bool:
        """Whether there is nothing more to ask."""
        hub = self._hubs.get(send.notification.hub)
        if hub is None:
            return True  # it is mirrored no more
        try:
            answer = await hub.api.request("GET", f"messages/{quote(send.id, safe='')}")
        except RemoteUnreachableError as error:
            return self._later(send, str(error))
        if answer.status_code in (401, 403):
            detail = detail_of(answer.content) or "its tier has no telemetry, or the policy may not read it"
            self._tell(
                send.notification,
                Compared.UNKNOWN,
                here=send.here,
                detail=f"the other hub tells no numbers: HTTP {answer.status_code}: {detail}",
            )
            return True
        if answer.status_code != 200:
            return self._later(send, f"HTTP {answer.status_code} {detail_of(answer.content)}".rstrip())
        try:
            state, there = numbers_in(answer.content)
        except ValueError as error:
            return self._later(send, str(error))
        if state not in _ENDED:
            return self._later(send, f"the message is {state}")
        if there == send.here:
            self._tell(send.notification, Compared.EQUAL, here=send.here, there=there)
            return True
        before = send.counted
        difference = Difference(
            notification=send.notification,
            before=before,
            there=there,
            gives_up_at=before.at + 3 * hub.list_every + GIVES_UP_AFTER,
        )
        if is_explained(before, there, before.members, BitMap()):
            self._tell_difference(difference, is_explained=True)
        elif self._explaining.is_full:
            detail = f"{MOST_DIFFERENCES} differences wait for the next list already"
            self._tell(send.notification, Compared.PASSED_OVER, here=send.here, there=there, detail=detail)
        else:
            self._explaining.add(difference)
        return True

    def _tell_difference(self, difference: Difference, *, is_explained: bool) -> None:
        result = Compared.NEWER if is_explained else Compared.DIFFERENT
        self._tell(difference.notification, result, here=difference.before.counts, there=difference.there)

    def _later(self, send: _Open, why: str) -> bool:
        now = self._clock()
        if now >= send.gives_up_at:
            detail = f"no final numbers of the other hub within {GIVES_UP_AFTER:g} s: {why}"
            self._tell(send.notification, Compared.UNKNOWN, here=send.here, detail=detail)
            return True
        send.ask_at, send.pause = now + send.pause, min(2 * send.pause, _LONGEST_PAUSE)
        return False

    def _tell(
        self,
        notification: Notification,
        result: Compared,
        *,
        here: Mapping[Platform, int] | None = None,
        there: Mapping[Platform, int] | None = None,
        detail: str = "",
    ) -> None:
        self._sums[notification.hub, result.value] += 1
        self._observer.observe(
            SendCompared(notification=notification, result=result, here=here or {}, there=there or {}, detail=detail)
        )


def numbers_in(details: bytes) -> tuple[str, dict[Platform, int]]:
    """The state of a message, and its pushes by platform; `Skipped` is none. Raises: ValueError: it is no telemetry.

    What the other hub counts as GCM is FCM here, as it is for a registration that was brought over.
    """
    try:
        root = etree.fromstring(details, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"the telemetry is no XML: {error}") from error
    if etree.QName(root).localname != "NotificationDetails":
        raise ValueError(f"the telemetry is no NotificationDetails, its root is {etree.QName(root).localname!r}")
    elements = {each.counts_element: each.platform for each in platforms() if each.counts_element}
    elements |= {"GcmOutcomeCounts": Platform.FCM, "FcmOutcomeCounts": Platform.FCM}
    counts = Counter[Platform]()
    for element in root.iterchildren("*"):
        name = etree.QName(element).localname
        if (platform := elements.get(name)) is not None:
            counts[platform] += sum(map(_count, element.iterchildren("{*}Outcome")))
    return root.findtext("{*}State") or "", {platform: count for platform, count in counts.items() if count}


def _count(outcome: etree._Element) -> int:
    if outcome.findtext("{*}Name") == OutcomeName.SKIPPED.value:
        return 0
    text = outcome.findtext("{*}Count") or ""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"the telemetry counts {text[:20]!r} pushes")
    return int(text)
