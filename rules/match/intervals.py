"""Which of many ranges a value is in. Their bounds cut the values into intervals: before a bound, at it, after it."""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from rules.match.bits import Bits, Rules, flipped, packed
from rules.match.clauses import Range
from rules.numbers import EXACT_FLOATS

T = TypeVar("T")

_INT64 = 1 << 63

_STRIDE = 16
"""The answer is kept for one of so many intervals; from there the next ones are found by what changes."""


class Cuts:
    """The intervals, numbered from below."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        ends = {bound.exact: bound for each in ranges for bound in each if bound is not None}
        self._exact: Sequence[Any] = _compact(sorted(ends))
        self._near: Sequence[Any] = _compact([ends[exact].near for exact in sorted(ends)])
        self._number = {exact: at for at, exact in enumerate(sorted(ends))}
        self.count = 2 * len(ends) + 1

    def of_range(self, wanted: Range) -> range:
        """The intervals of one of the ranges; empty where its bounds shut each other out."""
        low, high = wanted
        first = 0 if low is None else 2 * self._number[low.exact] + (1 if low.is_in else 2)
        end = self.count if high is None else 2 * self._number[high.exact] + (2 if high.is_in else 1)
        return range(first, end)

    def of_value(self, value: Any, *, as_float: bool) -> int:
        """The interval that a value is in; `as_float`: it is compared with the floats that the bounds are."""
        bounds = self._near if as_float else self._exact
        at = bisect_left(bounds, value)
        return 2 * at + (at < len(bounds) and bounds[at] == value)


def _compact(bounds: list[Any]) -> Sequence[Any]:
    """The same numbers side by side in memory, if they are integers of 64 bits, or floats and integers that those hold."""
    kinds = {type(bound) for bound in bounds}
    if kinds == {int} and max(map(abs, bounds)) < _INT64:
        return array("q", bounds)
    if kinds and kinds <= {int, float} and all(type(bound) is float or abs(bound) <= EXACT_FLOATS for bound in bounds):
        return array("d", bounds)
    return bounds


class Intervals:
    """Sets of many rules, whose ranges may all overlap."""

    def __init__(self, ranges: Iterable[tuple[Range, int]]) -> None:
        ranges = list(ranges)
        self._cuts = Cuts(each for each, _ in ranges)
        begun: defaultdict[int, list[int]] = defaultdict(list)
        ended: defaultdict[int, list[int]] = defaultdict(list)
        for each, position in ranges:
            if intervals := self._cuts.of_range(each):
                begun[intervals.start].append(position)
                ended[intervals.stop].append(position)
        open_ranges: Counter[int] = Counter()
        self._changes: list[Rules] = []
        self._kept: list[Bits] = []
        bits = 0
        for interval in range(self._cuts.count):
            open_ranges.update(begun[interval])
            open_ranges.subtract(ended[interval])
            touched = {*begun[interval], *ended[interval]}
            changed = [
                position for position in touched if (open_ranges[position] > 0) is not bool(bits >> position & 1)
            ]
            self._changes.append(packed(changed) if changed else ())
            bits = flipped(bits, self._changes[-1])
            if interval % _STRIDE == 0:
                self._kept.append(bits)

    def find(self, value: Any, *, as_float: bool = False) -> Bits:
        """The rules that have a value in a range; `as_float` as in `Cuts.of_value`."""
        interval = self._cuts.of_value(value, as_float=as_float)
        kept = interval // _STRIDE
        bits = self._kept[kept]
        for changed in self._changes[kept * _STRIDE + 1 : interval + 1]:
            if changed:
                bits = flipped(bits, changed)
        return bits


class Stabs(Generic[T]):
    """What is kept for the rules of each interval, where a few overlap: `kept_for` makes it of their positions."""

    def __init__(self, ranges: Sequence[tuple[Range, int]], kept_for: Callable[[Iterable[int]], T]) -> None:
        self._cuts = Cuts(each for each, _ in ranges)
        inside: defaultdict[int, list[int]] = defaultdict(list)
        for each, position in ranges:
            for interval in self._cuts.of_range(each):
                inside[interval].append(position)
        self._kept = [kept_for(inside[interval]) for interval in range(self._cuts.count)]

    def find(self, value: Any, *, as_float: bool = False) -> T:
        """What is kept for the interval of a value; `as_float` as in `Cuts.of_value`."""
        return self._kept[self._cuts.of_value(value, as_float=as_float)]


def overlaps(ranges: Sequence[tuple[Range, int]], most: int) -> dict[int, int]:
    """Of each rule with how many a value in its ranges may be shared, itself among them; above `most` it is not exact.

    No interval is looked at more often than `most` times, or once for each range that ends at one with more.
    """
    cuts = Cuts(each for each, _ in ranges)
    steps: Counter[int] = Counter()
    for each, _ in ranges:
        if intervals := cuts.of_range(each):
            steps[intervals.start] += 1
            steps[intervals.stop] -= 1
    inside, counts = 0, []
    for interval in range(cuts.count):
        inside += steps[interval]
        counts.append(inside)
    found: dict[int, int] = {}
    for each, position in ranges:
        own = found.get(position, 0)
        for interval in cuts.of_range(each):
            own = max(own, counts[interval])
            if own > most:
                break
        found[position] = own
    return found
