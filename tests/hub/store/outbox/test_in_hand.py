"""What is in hand, and how far a queue was read, against lists of rows: no database."""

import random
from collections.abc import Iterable

import pytest

from hub.store.outbox.in_hand import Candidate, InHand, Look, Place
from tests.fakes.host_clock import HostClock

PLACE = Place(0, 0, "")
OTHER = Place(0, 0, "apns/main")


def row(due: float, n: int, place: Place = PLACE) -> Candidate:
    return Candidate(due, n, place, False)


def reads(look: Look, rows: Iterable[Candidate]) -> list[Candidate]:
    """What a database gives for a look: from where it starts, in order, up to its limit."""
    found: list[Candidate] = []
    for place, start in look.starts.items():
        mine = sorted(one for one in rows if one.place == place and (one.due, one.n) > start)
        found += mine[: look.limits[place]]
    return found


def take(hand: InHand, rows: Iterable[Candidate], wanted: int = 9, *places: Place) -> list[int]:
    asked = places or (PLACE,)
    look = hand.look(asked, {place.service: wanted for place in asked})
    return [one.n for one in hand.end(look, look.choose(reads(look, rows)))]


def test_rows_are_taken_once_in_order_and_passed_by_the_next_look() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    rows = [row(2, 1), row(1, 2), row(1, 3), row(3, 4)]
    assert take(hand, rows, 2) == [2, 3]
    look = hand.look([PLACE], {"": 1})
    assert look.starts == {PLACE: (1, 3)}
    hand.fail()
    assert take(hand, rows) == [1, 4]
    assert take(hand, rows) == []
    assert len(hand) == 4


def test_each_service_has_its_own_cursor_and_its_own_share() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    rows = [row(n, n, place) for n, place in enumerate([PLACE, OTHER, OTHER, PLACE, OTHER], start=1)]
    assert sorted(take(hand, rows, 1, PLACE, OTHER)) == [1, 2]
    assert take(hand, rows, 9, OTHER) == [3, 5]
    assert take(hand, rows) == [4]


def test_the_limit_leaves_room_for_all_that_is_in_hand() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    for n in range(1, 101):
        hand.hold((0, n), PLACE)
    assert take(hand, [row(1, n) for n in range(1, 200)], 3) == [101, 102, 103]


def test_what_waits_again_is_found_though_its_time_was_passed() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    rows = [row(1, 1), row(2, 2)]
    assert take(hand, rows) == [1, 2]
    hand.leave((0, 1))
    hand.waits(PLACE, 1)
    assert take(hand, rows) == [1]


def test_every_few_seconds_all_is_read_again_but_what_is_in_hand() -> None:
    clock = HostClock()
    hand = InHand(monotonic=clock.monotonic, again=5)
    assert take(hand, [row(2, 2)]) == [2]
    late = [row(1, 1), row(2, 2)]
    clock.advance(4.9)
    assert take(hand, late) == []
    clock.advance(0.1)
    assert take(hand, late) == [1]


def test_what_ends_between_reading_and_taking_is_not_taken() -> None:
    """The rows were read before its record, and are looked at after."""
    hand = InHand(monotonic=HostClock().monotonic)
    hand.hold((0, 1), PLACE)
    look = hand.look([PLACE], {"": 9})
    found = reads(look, [row(1, 1), row(2, 2)])
    hand.leave((0, 1))
    assert [one.n for one in hand.end(look, look.choose(found))] == [2]


def test_what_waits_again_between_reading_and_taking_is_found_by_the_next_look() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    rows = [row(1, 1), row(2, 2)]
    hand.hold((0, 1), PLACE)
    look = hand.look([PLACE], {"": 9})
    found = reads(look, rows)
    hand.leave((0, 1))
    hand.waits(PLACE, 1)
    assert [one.n for one in hand.end(look, look.choose(found))] == [2]
    assert take(hand, rows) == [1]


def test_rows_about_to_be_written_are_left_to_their_writer() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    hand.reserve(0, range(1, 4))
    rows = [row(1, n) for n in range(1, 6)]
    assert take(hand, rows, 9) == [4, 5]
    hand.release(0, range(1, 4))
    hand.hold((0, 1), PLACE)
    hand.waits(PLACE, 1)
    assert take(hand, rows) == [2, 3]


def test_nothing_of_a_lost_queue_is_in_hand() -> None:
    hand = InHand(monotonic=HostClock().monotonic)
    hand.hold((0, 1), PLACE)
    hand.hold((1, 1), PLACE._replace(queue=1))
    hand.lose(0)
    assert ((0, 1) in hand, (1, 1) in hand) == (False, True)


@pytest.mark.slow
def test_any_order_of_steps_takes_each_row_and_none_twice() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        clock = HostClock()
        hand = InHand(monotonic=clock.monotonic, again=5)
        rows: dict[int, Candidate] = {}
        held: set[int] = set()
        look: Look | None = None
        found: list[Candidate] = []
        for n in range(1, 300):
            clock.advance(0.01)
            step = chance.randrange(6)
            if step == 0:
                rows[n] = row(float(chance.randrange(n, n + 3)), n)
                hand.waits(PLACE, rows[n].due)
            elif step == 1 and held:
                ended = chance.choice(sorted(held))
                held.discard(ended)
                del rows[ended]
                hand.leave((0, ended))
            elif step == 2 and held:
                again = chance.choice(sorted(held))
                held.discard(again)
                hand.leave((0, again))
                hand.waits(PLACE, rows[again].due)
            elif step == 3 and look is None:
                look = hand.look([PLACE], {"": chance.randrange(1, 4)})
                found = look.choose(reads(look, list(rows.values())))
            elif look is not None:
                taken = {one.n for one in hand.end(look, found)}
                look = None
                assert not taken & held
                assert taken <= rows.keys()
                held |= taken
        if look is not None:
            held |= {one.n for one in hand.end(look, found)}
        assert {*take(hand, list(rows.values()), 999), *held} == rows.keys()
