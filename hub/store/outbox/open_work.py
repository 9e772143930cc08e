"""What this process knows of the open work in its queues: what is in hand, how much waits where, and until when."""

import asyncio
import math
import time
from collections.abc import Callable, Collection

from hub.store.contracts.outbox import Service, Work
from hub.store.decide.recording import Key
from hub.store.outbox.in_hand import InHand, Place
from hub.store.outbox.interval import Interval
from hub.store.outbox.queues import Queues
from hub.store.outbox.tally import Tally
from hub.store.rows import HELD, LANES, SCHEDULED, SINGLE, service_key
from hub.work import Lane


def place_of(work: Work) -> Place:
    return Place(work.queue, LANES[work.lane], service_key(work.service))


class OpenWork:
    """Memory alone: each part of the outbox says here what it wrote, and asks here what waits.

    Belongs to the event loop; jobs may ask whether something is in `hand`. `own` are this process's queues; `recounted`
    is how many seconds lie between two counts of what waits; `monotonic` is in seconds.
    """

    def __init__(self, own: Queues, *, recounted: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self.hand = InHand(monotonic=monotonic)
        self.tally = Tally()
        self.pieces: dict[Key, Work] = {}
        """What is in hand, whole."""
        self.taking = asyncio.Lock()
        """Who holds it knows that what was read before is in hand by now."""
        self.recount = Interval(recounted, monotonic=monotonic)
        self.next_release: dict[int, float] = {}
        """When something of a queue that waits for a time of day is to go on."""
        self.followers_from = -math.inf
        """When, by `monotonic`, it is worth a look which notifications need not wait for another of their key."""

    def is_in_hand(self, queue: int, n: int) -> bool:
        return (queue, n) in self.hand

    # What is in hand

    def leave(self, work: Work) -> None:
        """Nobody has it in hand any more."""
        key = (work.queue, work.n)
        self.hand.leave(key)
        self.pieces.pop(key, None)

    def shelve(self, work: Work) -> None:
        """Its rows say that it is held."""
        self.leave(work)
        self.uncount(work)
        self.tally.add(HELD, "")

    def uncount(self, work: Work) -> None:
        """It waits no more in its lane."""
        self.tally.add(LANES[work.lane], service_key(work.service), -1)

    def withdraw(self, gone: Collection[str]) -> None:
        """The rows of these notifications, by id, were deleted or ended: what of them is in hand is not to be sent."""
        for work in [work for work in self.pieces.values() if work.notification.id in gone]:
            work.is_withdrawn = True
            self.leave(work)
        if gone:
            self.recount.end()  # so that the next second counts what waits

    def lose(self, queue: int) -> None:
        """Another process may own the queue: what is in hand of it is not to be begun here."""
        self.hand.lose(queue)
        self.next_release.pop(queue, None)
        for key in [key for key in self.pieces if key[0] == queue]:
            self.pieces.pop(key).is_withdrawn = True
        self.recount.end()

    def move_in_time(self, step: float) -> None:
        """The rows were moved by so many seconds."""
        for work in self.pieces.values():
            work.accepted_at += step
            work.due_at += step
        self.hand.read_again()

    # What waits

    def add_page(self, queue: int, lane: Lane, service: Service, due: float) -> None:
        """A page was written, which its owner finds where that is another process."""
        if not self._own.owns(queue):
            return
        place = Place(queue, LANES[lane], service_key(service))
        self.tally.add(place.lane, place.service)
        self.hand.waits(place, due)

    def add_held(self, queue: int, until: float) -> None:
        """Something was written that quiet hours hold until a time of day."""
        if self._own.owns(queue):
            self.tally.add(SCHEDULED, "")
            self.releases_at(queue, until)

    def releases_at(self, queue: int, at: float) -> None:
        """Something of a queue waits until this time of day: look again by then."""
        self.next_release[queue] = min(self.next_release.get(queue, math.inf), at)

    def go_on(self, queue: int, count: int, *, lane: int, due: float) -> None:
        """Notifications that waited in a lane of their own wait for their turn now, if the queue is ours still."""
        if self._own.owns(queue):
            self.tally.move_lane(lane, SINGLE, count)
            self.hand.waits(Place(queue, SINGLE, ""), due)
