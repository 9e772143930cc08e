"""Whether a mirrored hub may change sides: each thing that speaks against it is said, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from hub.facts import Compared
from hub.moving.verdict import LONGEST_WAIT, OVERDUE, Mirror, reasons_against
from hub.notification import Platform
from hub.store.contracts.mirrors import MirrorBacklog, MirrorState

NOW, LIST_EVERY = 1_800_000_000.0, 900.0
GOOD = Mirror(
    now=NOW,
    state=MirrorState(listed_began=NOW - 20, listed_at=NOW - 10, counts={"registrations": 7, "added": 7}),
    backlog=MirrorBacklog(),
    list_every=LIST_EVERY,
    sends_here=False,
    compared={Compared.EQUAL: 3, Compared.NEWER: 1, Compared.UNKNOWN: 5, Compared.PASSED_OVER: 2},
)
DIFFERENT = {Compared.EQUAL: 99, Compared.DIFFERENT: 1}
WAITING = MirrorBacklog(waiting=2, since=NOW - 5)
WAITING_LONG = MirrorBacklog(waiting=2, since=NOW - LONGEST_WAIT - 1)
REFUSED = MirrorBacklog(waiting=3, refused=1, since=NOW - LONGEST_WAIT - 1, reason="HTTP 400: bad tag")


def changed(**changes: Any) -> Mirror:
    """The good mirror with this of its state changed."""
    return replace(GOOD, state=replace(GOOD.state, **changes))


@pytest.mark.parametrize("sends_here", [False, True])
def test_nothing_speaks_against_a_hub_that_is_the_same_as_its_remote(*, sends_here: bool) -> None:
    assert reasons_against(replace(GOOD, sends_here=sends_here)) == []
    assert reasons_against(replace(changed(listed_at=NOW - OVERDUE * LIST_EVERY), sends_here=sends_here)) == []


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        (changed(listed_at=0.0), "the remote hub was never listed to the end"),
        (
            changed(listed_at=NOW - OVERDUE * LIST_EVERY - 1),
            "the last whole list of the remote hub is 2701 s old; list_every is 900 s",
        ),
        (changed(failed_at=NOW - 1, failure="HTTP 401"), "the last list of the remote hub broke off: HTTP 401"),
        (changed(counts={"refused": 2}), "devices that the remote hub lists and this one cannot keep: 2"),
        (
            changed(counts={"missing": 9}),
            "devices that the remote hub lists no more: 9, which stay here until it is said whether it has lost them"
            " (pushbridge mirror rewrite) or they were deleted there (pushbridge mirror list --remove)",
        ),
        (replace(GOOD, backlog=REFUSED), "devices that the remote hub refuses: 1, such as: HTTP 400: bad tag"),
        (
            replace(GOOD, backlog=WAITING_LONG),
            "devices that wait to be written at the remote hub: 2, for up to 301 s",
        ),
    ],
)
@pytest.mark.parametrize("sends_here", [False, True])
def test_hubs_that_are_not_the_same_may_change_in_neither_direction(
    mirror: Mirror, reason: str, *, sends_here: bool
) -> None:
    against = reasons_against(replace(mirror, sends_here=sends_here))
    assert reason in against
    assert set(against) <= {reason, "devices that the remote hub does not have yet: 3"}


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        (
            replace(GOOD, compared=DIFFERENT),
            "sends of the last day that reached others than they would have here: 1",
        ),
        (
            replace(GOOD, compared={Compared.UNKNOWN: 9, Compared.PASSED_OVER: 9}),
            "no send of the last day was compared and found the same",
        ),
        (replace(GOOD, compared={}), "no send of the last day was compared and found the same"),
        (
            replace(GOOD, without_credential=[Platform.APNS, Platform.WNS]),
            "phones are registered for which this hub has no credential: apns, wns",
        ),
    ],
)
def test_what_the_remote_sent_and_this_hub_could_not_speaks_against_the_cut_over_alone(
    mirror: Mirror, reason: str
) -> None:
    assert reasons_against(mirror) == [reason]
    assert reasons_against(replace(mirror, sends_here=True)) == []


def test_the_way_back_waits_for_devices_that_the_remote_hub_would_not_reach() -> None:
    """Before the cut-over they lose nothing: this hub, which would send then, has them."""
    assert reasons_against(replace(GOOD, backlog=WAITING)) == []
    assert reasons_against(replace(GOOD, backlog=WAITING, sends_here=True)) == [
        "devices that the remote hub does not have yet: 2"
    ]


def test_all_that_speaks_against_it_is_said_at_once() -> None:
    worst = replace(changed(listed_at=0.0, failure="HTTP 503", counts={"refused": 1}), backlog=REFUSED, compared={})
    assert len(reasons_against(worst)) == 5
