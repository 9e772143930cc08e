"""Windows against the plain reading of a clock: what a clock of the zone shows, minute by minute."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.windows import DAY, Window, change_after, phase

ZURICH, NEW_YORK, LORD_HOWE = (
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
)  # the last is set by 30 minutes
NIGHT = Window(name="night", times=((22 * 60, 7 * 60),))
ZONES = (ZURICH, NEW_YORK, LORD_HOWE, "Asia/Kolkata", "America/Caracas", "Pacific/Apia", "UTC")


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def is_shown(window: Window, zone: str, moment: datetime) -> bool:
    """The plain reading of a window: by the time and the date that a clock shows."""
    local = moment.astimezone(ZoneInfo(zone))
    today, before = local.date(), local.date() - timedelta(days=1)

    def begins(day: date) -> bool:
        return day.weekday() in window.days and day not in window.except_

    for begin, end in window.times:
        first = time(*divmod(begin, 60))
        last = None if end == DAY else time(*divmod(end, 60))
        now = local.time()
        if last is None or first < last:
            if begins(today) and first <= now and (last is None or now < last):
                return True
        elif (begins(today) and now >= first) or (begins(before) and now < last):
            return True
    return False


@pytest.mark.parametrize(
    ("times", "zone", "inside", "until"),
    [
        # an ordinary night
        (((1320, 420),), ZURICH, "2026-03-02T22:30Z", "2026-03-03T06:00Z"),
        # clocks leap from 02:00 to 03:00: a window that ends in the leap ends with it
        (((1320, 150),), ZURICH, "2026-03-28T23:00Z", "2026-03-29T01:00Z"),
        # and one that begins in the leap begins with it
        (((150, 240),), ZURICH, "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
        # clocks go back from 03:00 to 02:00: both hours are inside of a window around them
        (((120, 180),), ZURICH, "2026-10-25T00:00Z", "2026-10-25T02:00Z"),
        # a window that ends in the hour that comes twice ends in the first of both, and has a part in the second
        (((1320, 150),), ZURICH, "2026-10-24T23:00Z", "2026-10-25T00:30Z"),
        (((1320, 150),), ZURICH, "2026-10-25T01:10Z", "2026-10-25T01:30Z"),
        # half an hour of summer time
        (((60, 150),), LORD_HOWE, "2026-10-03T15:00Z", "2026-10-03T15:30Z"),
    ],
)
def test_a_window_ends_where_the_clock_shows_its_end(
    times: tuple[tuple[int, int], ...], zone: str, inside: str, until: str
) -> None:
    window = Window(name="w", times=times)
    moment = datetime.fromisoformat(inside)
    assert window.contains(moment.astimezone(ZoneInfo(zone)))
    assert change_after(window, zone, moment) == datetime.fromisoformat(until)


def test_a_window_in_a_leap_is_not_there_on_that_day() -> None:
    window = Window(name="w", times=((125, 175),))
    before = at("2026-03-29T01:00", ZURICH)
    assert change_after(window, ZURICH, before) == at("2026-03-30T02:05", ZURICH)


def test_days_and_dates_are_those_on_which_a_time_begins() -> None:
    friday_night = Window(name="w", times=((1320, 420),), days=frozenset([4]), except_=frozenset([date(2026, 3, 13)]))
    assert phase(friday_night, ZURICH, at("2026-03-07T06:59", ZURICH).timestamp()).is_inside
    assert not phase(friday_night, ZURICH, at("2026-03-07T22:30", ZURICH).timestamp()).is_inside
    assert not phase(friday_night, ZURICH, at("2026-03-14T06:00", ZURICH).timestamp()).is_inside, (
        "the night of the 13th"
    )
    assert change_after(friday_night, ZURICH, at("2026-03-08T12:00", ZURICH)) == at("2026-03-20T22:00", ZURICH)


def test_a_window_that_is_all_of_the_time_never_changes() -> None:
    assert Window(name="w", times=((0, DAY),)).never_ends
    assert Window(name="w", times=((0, 600), (600, DAY))).never_ends
    assert not NIGHT.never_ends


def test_one_moment_is_night_in_one_zone_and_day_in_two_others() -> None:
    moment = at("2026-03-08T06:30").timestamp()  # an hour before New York's clocks leap
    phases = {zone: phase(NIGHT, zone, moment) for zone in (ZURICH, NEW_YORK, "Asia/Kolkata")}
    assert {zone: each.is_inside for zone, each in phases.items()} == {
        ZURICH: False,
        NEW_YORK: True,
        "Asia/Kolkata": False,
    }
    assert phases[NEW_YORK].until == at("2026-03-08T11:00").timestamp(), "07:00 of the new offset"


minutes = st.integers(0, DAY - 1)
windows = st.builds(
    lambda times, days, except_: Window(name="w", times=tuple(times), days=frozenset(days), except_=frozenset(except_)),
    st.lists(
        st.tuples(minutes, minutes | st.just(DAY)).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=3
    ),
    st.sets(st.integers(0, 6), min_size=1),
    st.sets(st.dates(date(2026, 1, 1), date(2027, 12, 31)), max_size=2),
)
moments = st.integers(
    int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() // 60), int(datetime(2027, 12, 1, tzinfo=UTC).timestamp() // 60)
).map(lambda minute: datetime.fromtimestamp(minute * 60, UTC))
near_a_change = st.sampled_from(
    [
        at("2026-03-29T01:00"),
        at("2026-10-25T01:00"),
        at("2026-03-08T07:00"),
        at("2026-11-01T06:00"),
        at("2026-04-04T15:00"),
        at("2026-10-03T15:30"),
    ]
).flatmap(lambda moment: st.integers(-240, 240).map(lambda by: moment + timedelta(minutes=by)))


@given(windows, st.sampled_from(ZONES), moments | near_a_change)
def test_what_is_inside_is_what_the_clock_shows(window: Window, zone: str, moment: datetime) -> None:
    assert window.contains(moment.astimezone(ZoneInfo(zone))) == is_shown(window, zone, moment)


@given(windows, st.sampled_from(ZONES), moments | near_a_change)
def test_nothing_changes_before_the_change_and_all_does_with_it(window: Window, zone: str, moment: datetime) -> None:
    change = change_after(window, zone, moment)
    if change is None:
        return
    was_inside = is_shown(window, zone, moment)
    assert change > moment
    assert is_shown(window, zone, change) is not was_inside
    step = max(timedelta(minutes=1), (change - moment) / 300)
    looked = moment
    while looked < change:
        assert is_shown(window, zone, looked) is was_inside
        looked += step
    assert is_shown(window, zone, change - timedelta(seconds=1)) is was_inside
