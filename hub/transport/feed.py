"""Requests of one batch for one origin that wait to be begun."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

from hub.requests import RequestGroup
from hub.transport.requests import Batch

Row = tuple[int, str, str, bytes, str]
"""A request that waits: its position, tail, id, body and key, which is empty in a group without keys."""

_NO_ROWS: Final[Iterator[Row]] = iter(())


@dataclass(slots=True, eq=False)
class Feed:
    """`group` is the one whose `rows` are being begun, `tries` how often the other side has refused them before."""

    batch: Batch
    in_order: bool = False
    groups: deque[RequestGroup] = field(default_factory=deque)
    group: RequestGroup | None = None
    rows: Iterator[Row] = _NO_ROWS
    left: int = 0
    tries: int = 0

    @property
    def is_again(self) -> bool:
        """Whether these are requests that the other side has refused; no others join them."""
        return bool(self.tries)

    def next_group(self) -> RequestGroup | None:
        """The group to begin from now, None if there is none left; `left` says how many requests it still has."""
        if not self.left:
            if not self.groups:
                return None
            self.group = group = self.groups.popleft()
            self.left = len(group.ids)
            keys = group.keys if group.key_name else repeat("")
            self.rows = zip(group.positions, group.tails, group.ids, group.bodies, keys, strict=False)
        return self.group

    def unstarted(self) -> list[int]:
        """The positions of all that waits here."""
        waiting = [position for position, *_ in self.rows]
        for group in self.groups:
            waiting += group.positions
        return waiting
