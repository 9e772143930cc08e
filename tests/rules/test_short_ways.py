"""Tests that take a shorter way for the usual values say what the longer way says."""

from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.errors import TypeClashError
from rules.match.patterns import Match, compile_match
from rules.problems import Problems
from tests.rules.support import event, node

BOUNDS = [0, 1, 2, 0.95, 2.5, -1.0, 2**53 + 1]
NUMBERS = [
    *BOUNDS,
    0.1,
    1.0,
    10**30,
    Decimal("0.95"),
    Decimal("1.00"),
    float("nan"),
    float("inf"),
    True,
    None,
    "1",
    [3, 1],
]


@pytest.mark.parametrize(
    ("first", "second"), [("gte", "lt"), ("gt", "lte"), ("lt", "gte"), ("lte", "gt"), ("gt", "gte"), ("gte", "lte")]
)
def test_two_comparisons_together_say_what_each_says_by_itself(first: str, second: str) -> None:
    for low in BOUNDS:
        for high in BOUNDS:
            both = _match({first: low, second: high})
            each = [_match({name: bound}) for name, bound in ((first, low), (second, high))]
            between = _match({"between": [low, high]}) if low <= high else both
            for value in NUMBERS:
                if type(value) is not list:
                    answers = [_answer(one, value) for one in each]
                    expected = False if False in answers else None if None in answers else True
                    assert _answer(both, value) is expected, (low, high, value)
                elif (first, second) == ("gte", "lte"):
                    assert _answer(both, value) is _answer(between, value) is any(low <= one <= high for one in value)


@given(
    network=st.ip_addresses().flatmap(
        lambda address: st.integers(0, address.max_prefixlen).map(
            lambda bits: ip_network((address, bits), strict=False)
        )
    ),
    address=st.ip_addresses(),
    is_near=st.booleans(),
)
@example(network=ip_network("::/0"), address=ip_address("10.0.0.1"), is_near=False)
@example(network=ip_network("0.0.0.0/0"), address=ip_address("::1"), is_near=False)
def test_an_address_is_in_the_networks_that_the_standard_library_has_it_in(
    network: Any, address: Any, is_near: bool
) -> None:
    if is_near:
        address = network[int(address) % network.num_addresses]
    plain = getattr(address, "ipv4_mapped", None) or address
    if getattr(network.network_address, "ipv4_mapped", None) is None:
        assert _answer(_match({"cidr": str(network)}), str(address)) is (plain in network)


NO_ADDRESSES = ["010.0.0.1", "10.1", "10.0.0.256", "10.0.0.1\0", "10.0.0.1/8", "", "١٠.0.0.1", "\ud800", "0x0a.0.0.1"]


@pytest.mark.parametrize("text", NO_ADDRESSES, ids=ascii)
def test_what_the_standard_library_takes_for_no_address_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        ip_address(text.strip())
    assert _answer(_match({"cidr": "0.0.0.0/0"}), text) is None


@pytest.mark.parametrize("text", [" 10.0.0.1", "10.0.0.1\n", "::ffff:10.0.0.1"])
def test_an_address_with_blanks_around_it_or_written_as_ipv6_is_one(text: str) -> None:
    assert _answer(_match({"cidr": "10.0.0.0/8"}), text) is True


def _match(pattern: Any) -> Match:
    return compile_match(node({"data": {"a": pattern}}), Problems())


def _answer(match: Match, value: Any) -> bool | None:
    try:
        return match.test(event({"a": value}))
    except TypeClashError:
        return None
