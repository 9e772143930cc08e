"""What a batch comes to, as tables: no database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.acceptance import AuditEntry, Ingest, Partition
from hub.notification import Notification
from hub.outcome import State
from hub.store.decide.acceptance import Admission, Claims, decide_acceptance, mark_of, marks_of
from tests.hub.examples import arrival, notification
from tests.hub.store.suite.accepting import dead_letter

NOW, TIME_OF_DAY = 1000.0, 5000.0
A, B, C = (notification(id=digit * 32) for digit in "abc")


def decide(
    batch: Sequence[Ingest], *, start: int = 99, seen: str = "", known: Sequence[Notification] = ()
) -> Admission:
    keys = [bytes.fromhex(one.id) for ingest in batch for one in ingest.notifications]
    claims = Claims(
        marks={mark_of("orders", event_id) for event_id in seen},
        notifications={bytes.fromhex(one.id) for one in known},
    )
    return decide_acceptance(batch, marks_of(batch), keys, claims, start=start, now=NOW, time_of_day=TIME_OF_DAY)


def event(event_id: str, *notifications: Notification) -> Ingest:
    return Ingest(source="orders", event_id=event_id, notifications=notifications)


def later(seconds: float) -> Notification:
    return notification(id="d" * 32, schedule_at=datetime.fromtimestamp(TIME_OF_DAY + seconds, UTC))


@pytest.mark.parametrize(
    ("batch", "seen", "duplicates", "marks"),
    [
        ([event("x", A), event("y", B)], "", [], "xy"),
        ([event("x", A), event("y", B)], "x", [0], "y"),
        ([event("x", A), event("x", B)], "", [1], "x"),
        ([event("x", A), event("x", A)], "x", [0, 1], ""),
        ([event("x"), event("x")], "x", [], ""),
        ([event("", A), event("", B)], "", [], ""),
        ([Ingest(source="orders", event_id="x", remember=True)] * 2, "", [1], "x"),
        ([Ingest(source="orders", event_id="x", dead_letters=[dead_letter()])] * 2, "", [], ""),
    ],
)
def test_an_event_with_effects_is_known_again(
    batch: Sequence[Ingest], seen: str, duplicates: Sequence[int], marks: str
) -> None:
    admission = decide(batch, seen=seen)
    assert admission.duplicates == set(duplicates)
    assert admission.marks == [mark_of("orders", event_id) for event_id in marks]


@pytest.mark.parametrize(
    ("batch", "known", "admitted", "repeated"),
    [
        ([event("", A, B)], [], [A, B], []),
        ([event("", A, B)], [A], [B], [A]),
        ([event("", A, A), event("", A, B)], [], [A, B], [A]),
        ([event("x", A), event("y", A)], [], [A], [A]),
    ],
)
def test_a_notification_is_admitted_once(
    batch: Sequence[Ingest], known: Sequence[Notification], admitted: list[Notification], repeated: list[Notification]
) -> None:
    admission = decide(batch, known=known)
    assert [one.notification for one in admission.notifications] == admitted
    assert admission.repeated == {one.id for one in repeated}


@pytest.mark.parametrize(
    ("given", "start", "states"),
    [
        ([A, B, C], 2, [State.PROCESSING, State.PROCESSING, State.ENQUEUED]),
        ([later(1), B, C], 1, [State.SCHEDULED, State.PROCESSING, State.ENQUEUED]),
        ([later(0)], 1, [State.PROCESSING]),
        ([later(-9)], 0, [State.ENQUEUED]),
    ],
)
def test_what_is_due_starts_as_far_as_there_is_room(
    given: Sequence[Notification], start: int, states: Sequence[State]
) -> None:
    admission = decide([event("x", *given)], start=start)
    assert [one.state for one in admission.notifications] == states
    for one in admission.notifications:
        assert one.due == (NOW if one.state is not State.SCHEDULED else TIME_OF_DAY + 1)


def test_each_notification_keeps_its_number_whatever_is_left_out_before_it() -> None:
    admission = decide([event("x", A), event("", B), event("", C)], seen="x", known=[B])
    assert [(one.number, one.notification) for one in admission.notifications] == [(2, C)]


def test_a_duplicate_leaves_no_dead_letter_and_a_repetition_no_audit() -> None:
    entry = AuditEntry(actor="ann", action="notification.send", target="x")
    batch = [
        Ingest(source="orders", event_id="x", notifications=[A], dead_letters=[dead_letter("x")]),
        Ingest(source="orders", event_id="y", notifications=[B], dead_letters=[dead_letter("y")]),
        Ingest(source="", event_id="", notifications=[B], audit=entry),
        Ingest(source="", event_id="", notifications=[C], audit=entry),
    ]
    admission = decide(batch, seen="x")
    assert [letter.event_id for letter in admission.dead_letters] == ["y"]
    assert admission.audits == [entry]


def test_marks_tell_sources_and_ids_apart() -> None:
    batch = [arrival(A, event_id=event_id, source=source) for source, event_id in (("a", "b"), ("ab", "c"), ("b", "a"))]
    assert len(set(marks_of(batch))) == 3


P, Q = Partition("orders/bridge", "t", 0), Partition("orders/bridge", "t", 1)


@pytest.mark.parametrize(
    ("places", "before", "passed", "after"),
    [
        ([(P, 0), (P, 1), (Q, 7)], {}, [], {P: 2, Q: 8}),
        ([(P, 3), (P, 4), (P, 5)], {P: 5}, [0, 1], {P: 6}),
        ([(P, 3), (P, 4)], {P: 5, Q: 0}, [0, 1], {}),
        ([(P, 9), (P, 200)], {P: 5}, [], {P: 201}),
        ([(P, 5), (P, 5)], {}, [1], {P: 6}),
        ([None, (P, 5), None], {P: 6}, [1], {}),
    ],
    ids=["new partitions", "begins before", "all before", "gaps", "twice in a batch", "beside others"],
)
def test_what_is_before_the_next_offset_of_its_partition_was_accepted_before(
    places: Sequence[tuple[Partition, int] | None],
    before: dict[Partition, int],
    passed: Sequence[int],
    after: dict[Partition, int],
) -> None:
    batch = [
        Ingest(source="orders", event_id="", dead_letters=[dead_letter(str(number))], offset=place)
        for number, place in enumerate(places)
    ]
    admission = decide_acceptance(
        batch, marks_of(batch), [], Claims(offsets=before), start=0, now=NOW, time_of_day=TIME_OF_DAY
    )
    assert admission.duplicates == set(passed)
    assert admission.offsets == after
    assert [letter.event_id for letter in admission.dead_letters] == [
        str(number) for number in range(len(batch)) if number not in passed
    ]


def test_an_event_known_by_its_mark_moves_the_offset_and_one_passed_leaves_no_mark() -> None:
    known = replace(event("x", A), offset=(P, 5))
    passed = replace(event("y", B), offset=(P, 4))
    batch = [known, passed]
    keys = [bytes.fromhex(one.id) for ingest in batch for one in ingest.notifications]
    claims = Claims(marks={mark_of("orders", "x")})
    admission = decide_acceptance(batch, marks_of(batch), keys, claims, start=0, now=NOW, time_of_day=TIME_OF_DAY)
    assert admission.duplicates == {0, 1}
    assert admission.offsets == {P: 6}
    assert not admission.marks
