"""Atoms sorted by what a value of each kind needs: its text, its number, its place in a range."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from math import isfinite
from socket import AF_INET, inet_pton

from rules.match.clauses import (
    Absent,
    AnyNumber,
    AnyText,
    Atom,
    Bound,
    Constant,
    Network,
    NoneOf,
    Number,
    Present,
    Range,
    Text,
)
from rules.numbers import EXACT_FLOATS

_IPV6 = 1 << 33
"""IPv6 addresses are numbered from here, above all of IPv4."""


class Kinds:
    """Positions of rules by their atoms. `needs_…`: those that have no answer for values of other kinds."""

    def __init__(self, atoms: Iterable[tuple[Atom, int]]) -> None:
        self.texts: dict[bool, dict[str, defaultdict[str, list[int]]]] = {
            folds: {how: defaultdict(list) for how in ("equal", "prefix", "suffix")} for folds in (False, True)
        }
        self.near: defaultdict[int | float, list[int]] = defaultdict(list)
        self.exact: defaultdict[int | Decimal, list[int]] = defaultdict(list)
        self.constants: defaultdict[bool | None, list[int]] = defaultdict(list)
        self.ranges: dict[str, list[tuple[Range, int]]] = {"text": [], "number": [], "network": []}
        self.any_text: set[int] = set()
        self.any_number: set[int] = set()
        self.present: set[int] = set()
        self.absent: set[int] = set()
        self.denying: set[int] = set()
        self.needs_text: set[int] = set()
        self.needs_number: set[int] = set()
        self.needs_address: set[int] = set()
        for atom, position in atoms:
            self._add(atom, position)

    def _add(self, atom: Atom, position: int) -> None:
        match atom:
            case Text(text, how, folds, clashes):
                self.texts[folds][how][text].append(position)
                self.needs_text.update([position] * clashes)
            case Number(exact, near):
                self.near[near].append(position)
                self.exact[exact].append(position)
            case Constant(value):
                self.constants[value].append(position)
            case Range():
                self.ranges["text" if atom.is_text else "number"].append((atom, position))
                (self.needs_text if atom.is_text else self.needs_number).add(position)
            case Network():
                self.ranges["network"].append((network_range(atom), position))
                self.needs_text.add(position)
                self.needs_address.add(position)
            case AnyText():
                self.any_text.add(position)
                self.needs_text.add(position)
            case AnyNumber():
                self.any_number.add(position)
                self.needs_number.add(position)
            case Present():
                self.present.add(position)
            case Absent():
                self.absent.add(position)
            case NoneOf():
                self.denying.add(position)


def is_finite(number: int | float | Decimal) -> bool:
    """Whether a number has a place among others."""
    kind = type(number)
    return kind is int or (isfinite(number) if kind is float else number.is_finite())  # type: ignore[union-attr]


def is_held_by_float(number: int | float | Decimal) -> bool:
    """Whether a finite number compares with floats as exactly as with their digits."""
    kind = type(number)
    return kind is float or (kind is int and -EXACT_FLOATS <= number <= EXACT_FLOATS)


def address_of(text: str) -> int | None:
    """The number of an IP address; IPv4 written as IPv6 is IPv4. None: the text is no address."""
    try:
        return int.from_bytes(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return _address_of(text)


@lru_cache(maxsize=1024)
def _address_of(text: str) -> int | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return int(mapped)
    return int(address) if address.version == 4 else _IPV6 + int(address)


def network_atom(network: IPv4Network | IPv6Network) -> Network:
    """The addresses of a network."""
    start = 0 if network.version == 4 else _IPV6
    return Network(start + int(network.network_address), start + int(network.broadcast_address))


def network_range(network: Network) -> Range:
    """The numbers of a network's addresses."""
    return Range(*(Bound(end, end, is_in=True) for end in network))
