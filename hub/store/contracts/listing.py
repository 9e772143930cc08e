"""Lists for operators come in parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

ListedT = TypeVar("ListedT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage(Generic[ListedT]):
    """A part of a list; `next` is the `after` of the part that follows, empty at the end.

    With filters a part may hold fewer than were asked for, or none, and another may follow all the same. A list takes
    memory for one part alone. An `after` that is none of the list's raises InvalidRequestError.
    """

    items: Sequence[ListedT]
    next: str = ""
