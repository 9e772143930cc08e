"""One request for many pushes, where a service takes a list of push channels and answers for each that is bad."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from hub.push import PageVerdict, PushPage, SendResult

SEPARATOR: Final = "\n"
"""Stands between the push channels of a request, which are one text on the way to its body; in no push channel is one."""

Sending = Callable[[PushPage, float], Awaitable[PageVerdict]]
"""Sends a page within so many seconds; each of its push channels may be several."""


async def send_in_batches(page: PushPage, send: Sending, *, most: int, deadline: float) -> PageVerdict:
    """The verdict on each push of a page of which up to `most` neighbours that share a group go as one request.

    A request that was refused because one of its push channels may be bad, and nobody said which, goes again as two halves.
    The id of a request is that of its first push.
    """
    ends_at = asyncio.get_running_loop().time() + deadline
    joined, members = _joined(page, most)
    said = await send(joined, deadline)
    exceptions: dict[int, SendResult] = {}
    unclear: list[int] = []
    for place, result in said.exceptions.items():
        positions = members[place]
        named = [position for position in positions if page.push_channels[position] in (result.only or ())]
        if result.only is not None and not named and len(positions) > 1:
            unclear += positions
        else:
            exceptions |= dict.fromkeys(named or positions, result)
    if unclear:
        left = ends_at - asyncio.get_running_loop().time()
        again = await send_in_batches(page.select(unclear), send, most=(most + 1) // 2, deadline=left)
        exceptions |= {unclear[place]: result for place, result in again.exceptions.items()}
    return PageVerdict(delivered=len(page) - len(exceptions), exceptions=dict(sorted(exceptions.items())))


def _joined(page: PushPage, most: int) -> tuple[PushPage, list[range]]:
    """The page with a position a request, and the positions that each stands for."""
    joined, members = PushPage(in_order=page.in_order), []
    for group, run in page.runs():
        batches = [run[first : first + most] for first in range(0, len(run), most)]
        channels: list[Sequence[str]] = [page.push_channels[batch.start : batch.stop] for batch in batches]
        joined.add(group, list(map(SEPARATOR.join, channels)), [page.ids[batch.start] for batch in batches])
        members += batches
    return joined, members
