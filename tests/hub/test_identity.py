"""What is known by several texts is known by all of them, wherever one ends and the next begins."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.identity import digest_of, joined
from hub.store.decide.acceptance import mark_of

texts = st.text(alphabet="ab\0\1\2", max_size=4) | st.text(max_size=4)


@given(one=st.tuples(texts, texts, texts), other=st.tuples(texts, texts, texts))
def test_other_texts_join_to_another_text(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (joined(*one) == joined(*other)) is (one == other)


@pytest.mark.parametrize(
    "one, other",
    [
        (("a\0b", "c"), ("a", "b\0c")),
        (("a\1\2b", "c"), ("a\0b", "c")),
        (("a", "\1b\0c"), ("a\0b", "\1c")),
        (("", "\0"), ("\0", "")),
        (("a\1", "b"), ("a", "\1b")),
    ],
)
def test_a_separator_inside_of_a_text_separates_nothing(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert mark_of(joined("origin", one[0]), one[1]) != mark_of(joined("origin", other[0]), other[1])


def test_ordinary_events_are_known_as_they_were_before() -> None:
    """What was seen by the version before is known to this one: an upgrade pushes nothing twice."""
    before = hashlib.blake2b(b"bank\0/ledger\0posting-1", digest_size=16).digest()
    assert mark_of(joined("bank", "/ledger"), "posting-1") == before
    assert digest_of(joined("bank", "/ledger", "posting-1")) == before
