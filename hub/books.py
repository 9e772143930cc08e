"""The words for what is wrong with the store's books: rows that do not explain each other."""

from typing import NamedTuple

from hub.explained import Explained


class Discrepancy(Explained):
    """What rows of the store say that cannot be; the label `kind` of `pushbridge_unaccounted_messages`."""

    NO_WORK = "no_work", "A notification has not ended, and none of its work waits or is under way: it would never end."
    WORK_AFTER_END = "work_after_end", "A notification has ended, and work of it waits: phones would get it again."
    STATE = "state", "A notification has ended by its time and not by its state, or the other way round."
    COUNTS = "counts", "A notification has ended without outcomes that its pages have: they are in no sum."
    NO_NOTIFICATION = "no_notification", "A page is of a notification that is not in the store."


class Unaccounted(NamedTuple):
    """A row, by queue and number: of a page for NO_NOTIFICATION, else of a notification, whose id stands beside."""

    kind: Discrepancy
    queue: int
    number: int
    notification_id: str = ""


class Balance(NamedTuple):
    """All notifications of a store: those accepted are those that ended, those on their way, and those unaccounted for."""

    accepted: int
    ended: int
    in_flight: int
    unaccounted: int
