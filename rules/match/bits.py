"""Sets of rules as integers: the bit of each rule in it is set.

Sets of a few rules are kept as tuples of their positions, as there may be as many sets as rules.
"""

from collections.abc import Iterable, Sequence

Bits = int

Rules = Bits | tuple[int, ...]
"""A set of rules: their bits, or a few positions."""

_FEW = 6
"""So many positions take less memory than the bits of ten thousand rules, and less time than to join those."""

_SMALL = 256
"""The bits of so many rules take no more memory than positions do."""


def bits_of(positions: Iterable[int]) -> Bits:
    """The set of these rules."""
    bits = 0
    for position in positions:
        bits |= 1 << position
    return bits


def packed(positions: Sequence[int]) -> Rules:
    """The set of these rules, one at least, in the form that takes less memory."""
    is_sparse = len(positions) <= _FEW and max(positions) >= _SMALL
    return tuple(positions) if is_sparse else bits_of(positions)


def joined(bits: Bits, rules: Rules) -> Bits:
    """The rules of both."""
    if type(rules) is tuple:
        for position in rules:
            bits |= 1 << position
        return bits
    assert isinstance(rules, int)
    return bits | rules


def flipped(bits: Bits, rules: Rules) -> Bits:
    """The rules of one of both."""
    if type(rules) is tuple:
        for position in rules:
            bits ^= 1 << position
        return bits
    assert isinstance(rules, int)
    return bits ^ rules
