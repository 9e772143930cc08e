"""The pages of a broadcast, dealt to queues."""

import random
from collections.abc import Sequence


def deal(pages: int, queues: Sequence[int]) -> list[int]:
    """A queue for each page, so that all processes work on a broadcast; a few pages begin at any queue."""
    first = random.randrange(len(queues)) if len(queues) > 1 else 0
    dealt = [queues[(first + number) % len(queues)] for number in range(min(pages, len(queues)))]
    dealt.sort()  # so that their order is that of their numbers
    return [dealt[number % len(dealt)] for number in range(pages)]
