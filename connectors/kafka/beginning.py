"""Where a partition begins when it comes to us (pure)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """`warning` says which messages were not read, or are read as new ones, and is empty where there are none."""

    position: int
    warning: str = ""
    is_made_again: bool = False
    """Whether the partition has other messages than those whose offsets are known."""


def beginning_of(partition: str, *, first: int, end: int, known: int | None, begins_at_end: bool) -> Beginning:
    """Where to read on in a log that keeps the offsets from `first` to before `end`.

    `known` is the next offset by the store, or by the group where the store knows none; None where nothing was read yet,
    and then `begins_at_end` counts. A group that has read something never begins at the end: it would pass over messages.
    """
    if known is None:
        return Beginning(position=end if begins_at_end else first)
    if known > end:
        return Beginning(
            position=first,
            warning=f"{partition} ends at {end}, and {known} was accepted: made again, so read from {first}",
            is_made_again=True,
        )
    if known < first:
        lost = f"offsets {known} to {first - 1} of {partition} are no longer kept and were not read"
        return Beginning(position=first, warning=lost)
    return Beginning(position=known)
