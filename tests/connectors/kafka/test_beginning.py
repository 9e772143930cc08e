"""Where a partition begins: nothing that is kept and was not read is passed over in silence."""

import pytest

from connectors.kafka.beginning import beginning_of


@pytest.mark.parametrize(
    ("known", "begins_at_end", "position", "warning"),
    [
        (None, True, 90, ""),
        (None, False, 10, ""),
        (50, True, 50, ""),
        (10, True, 10, ""),
        (90, False, 90, ""),  # all is read
        (3, True, 10, "offsets 3 to 9 of p are no longer kept and were not read"),
        (9, False, 10, "offsets 9 to 9 of p are no longer kept and were not read"),
        (91, True, 10, "p ends at 90, and 91 was accepted: made again, so read from 10"),
    ],
)
def test_a_group_that_has_read_something_never_begins_at_the_end(
    known: int | None, begins_at_end: bool, position: int, warning: str
) -> None:
    found = beginning_of("p", first=10, end=90, known=known, begins_at_end=begins_at_end)
    assert (found.position, found.warning) == (position, warning)
    assert found.is_made_again == ("made again" in warning)
