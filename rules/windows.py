"""`windows` of a configuration, and what rules say of them: quiet hours, and when alone a notification is sent."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from hub.quiet import OnQuiet, QuietHours
from hub.self_description import is_time_zone
from hub.spelling import did_you_mean
from hub.windows import DAY, Window, all_zones, change_after
from rules import models
from rules.node import Node
from rules.problems import Problems
from rules.reading import complain_of_name, fields, word, words

DEVICE = "device"
"""What `tz` says for the time zone of each phone."""

_NAME = re.compile(r"[\w.:-]{1,64}")
_TIMES = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_windows(section: Node | None, problems: Problems, *, zone: str) -> Mapping[str, Window]:
    """The windows of a section by name, reporting every mistake. `zone` is for those that name none."""
    if section is None or section.value is None:
        return {}
    if not isinstance(section.value, dict):
        problems.add(section, "expected windows by name", "write a name, and times: below it")
        return {}
    windows = {}
    for name, node in section.value.items():
        if not _NAME.fullmatch(name):
            problems.add(node, "a name is letters, digits and _ . : - up to 64, without spaces", mark=node.key_mark)
        windows[name] = _window(name, node, problems, zone) or _mistaken(name)
    return windows


def _mistaken(name: str) -> Window:
    """Stands for a window with a mistake in it, so that rules which name it are not complained of as well."""
    return Window(name=name, times=((0, 60),), zone="UTC")


def _window(name: str, node: Node, problems: Problems, zone: str) -> Window | None:
    entries = fields(node, problems, models.Window)
    if "times" not in entries:
        if isinstance(node.value, dict):
            problems.add(node, "times is missing", 'write times: ["22:00-07:00"]', mark=node.key_mark)
        elif node.value is None:
            problems.add(node, "is empty", 'write times: ["22:00-07:00"] below it', mark=node.key_mark)
        return None
    times = [_times(item, problems) for item in words(entries["times"], problems)]
    days = [_days(item, problems) for item in words(entries["days"], problems)] if "days" in entries else []
    dates = [_date(item, problems) for item in words(entries["except"], problems)] if "except" in entries else []
    own = _zone(entries["tz"], problems) if "tz" in entries else zone
    if own is None or not times or None in times or None in days or None in dates:
        return None
    window = Window(
        name=name,
        times=tuple(each for each in times if each is not None),
        days=frozenset(day for each in days if each is not None for day in each) if days else frozenset(range(7)),
        zone="" if own == DEVICE else own,
        except_=frozenset(each for each in dates if each is not None),
    )
    if not window.except_ and window.never_ends:
        problems.add(entries["times"], "this is all of the time: the window never ends", mark=entries["times"].mark)
        return None
    return window


def _times(node: Node, problems: Problems) -> tuple[int, int] | None:
    """Minutes of the day of begin and end."""
    found = _TIMES.fullmatch(node.text.strip())
    if found is None:
        problems.add(node, "expected two times of the day", 'write "22:00-07:00", with quotes')
        return None
    hour, minute, end_hour, end_minute = map(int, found.groups())
    begin, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or begin >= DAY or end > DAY:
        problems.add(node, "there is no such time of the day", "a day is from 00:00 to 24:00")
        return None
    if begin == end:
        problems.add(node, "begins and ends at the same time", "all of a day is 00:00-24:00")
        return None
    return begin, end % DAY if end == DAY and begin else end


_PARTS_OF_WEEK: Mapping[str, str] = {
    **dict.fromkeys(("weekday", "weekdays", "workdays", "working days", "business days"), "write mon-fri"),
    **dict.fromkeys(("weekend", "weekends"), "write sat-sun"),
    **dict.fromkeys(("all", "daily", "everyday", "every day", "*"), "leave days out, or write mon-sun"),
}
"""What words for several days mean."""


def _days(node: Node, problems: Problems) -> list[int] | None:
    """Weekdays, Monday is 0."""
    first, dash, last = (part.strip().casefold() for part in node.text.partition("-"))
    ends = [_day(part) for part in ((first, last) if dash else (first,))]
    if None in ends:
        wrong = (first, last)[ends.index(None)]
        near = "" if wrong in _PARTS_OF_WEEK else did_you_mean(wrong, _DAYS, all_if_few=False)
        hint = _PARTS_OF_WEEK.get(wrong, near) or f"write one of {', '.join(_DAYS)}, or mon-fri"
        problems.add(node, f"{wrong!r} is no day of the week", hint)
        return None
    begin, end = ends[0] or 0, ends[-1] or 0
    return [day % 7 for day in range(begin, begin + (end - begin) % 7 + 1)]


def _day(text: str) -> int | None:
    """By its first three letters, or its whole English name."""
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return next((n for n, name in enumerate(full) if text in (name, name[:3])), None)


def _date(node: Node, problems: Problems) -> date | None:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", node.text.strip(), re.ASCII):
            return date.fromisoformat(node.text.strip())
    except ValueError:
        problems.add(node, "there is no such day")
        return None
    problems.add(node, "expected a date", 'write "2026-12-25"')
    return None


def _zone(node: Node, problems: Problems) -> str | None:
    text = word(node, problems)
    if text is None or text == DEVICE or is_time_zone(text):
        return text
    hint = did_you_mean(text, [DEVICE, *all_zones()], all_if_few=False)
    problems.add(node, f"{node.written!r} is no time zone", hint or "write device, or a name such as Europe/Zurich")
    return None


def read_quiet_hours(
    node: Node,
    values: Mapping[str, Any],
    entries: Mapping[str, Node],
    windows: Mapping[str, Window],
    problems: Problems,
) -> QuietHours | None:
    """The quiet hours of a rule, by what was read of `entries`; the zone of phones that say none is to be filled in."""
    if "window" not in entries:
        if isinstance(node.value, dict):
            problems.add(node, "window is missing", "write window: NAME, a name under windows", mark=node.key_mark)
        return None
    window = window_named(entries["window"], windows, problems)
    expire: timedelta | None = values.get("expire")
    on_quiet = values.get("on_quiet") or OnQuiet.HOLD
    if expire is not None and on_quiet is OnQuiet.DROP:
        problems.warn(entries["expire"], "nothing is held, so nothing expires", "leave it out, or write on_quiet: hold")
    if expire == timedelta():
        problems.add(entries["expire"], "drops everything that would be held", "write on_quiet: drop")
    if window is None:
        return None
    return QuietHours(window=window, on_quiet=on_quiet, expire=None if expire is None else expire.total_seconds())


def window_named(node: Node, windows: Mapping[str, Window], problems: Problems) -> Window | None:
    """A window by the name that a rule gives."""
    name = word(node, problems)
    if name is None or name in windows:
        return None if name is None else windows[name]
    complain_of_name(node, windows, "windows", problems)
    return None


def opening(window: Window, at: datetime) -> datetime:
    """When a notification may go that could go at `at`: then, or when the window next opens."""
    if window.contains(at.astimezone(ZoneInfo(window.zone))):
        return at
    return change_after(window, window.zone, at) or at


def name_of(zone: tzinfo) -> str:
    """The name of a time zone of the configuration."""
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"
