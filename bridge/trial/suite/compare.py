"""How what a step came to differs from what was expected of it."""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bridge.trial.payloads import NO_CREDENTIAL, Payload
from bridge.trial.suite.models import Expected, ExpectedDeadLetter, ExpectedFollowUp, ExpectedPush, ExpectedUnopened
from bridge.trial.trial import TriedEvent, TriedNotification
from hub.acceptance import DeadLetter
from hub.follow_up import FollowUp
from hub.notification import NativeContent
from hub.platforms.table import traits_of
from rules import units

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPush:
    """A notification, and the devices that get it, by id. `ttl` are seconds, None where nothing says them. `failed` are
    devices that it is for, and for which no push can be made."""

    tried: TriedNotification
    ttl: float | None
    devices: Sequence[str]
    payloads: Sequence[Payload]
    failed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUnopened:
    """A phone that sinks are told of; `device` is empty where the notification reached none."""

    rule: str
    device: str
    outcome: str
    sinks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a step came to. `fired` and `observed` are names of rules, each once."""

    tried: Sequence[TriedEvent] = ()
    fired: Sequence[str] = ()
    observed: Sequence[str] = ()
    pushes: Sequence[SeenPush] = ()
    unopened: Sequence[SeenUnopened] = ()
    duplicates: int = 0
    held: int = 0
    """Notifications that quiet hours hold from this step on, as a whole or for some of their devices."""
    quiet: int = 0
    """Notifications of which quiet hours keep a push for good."""

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        return [letter for each in self.tried for letter in each.dead_letters]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One expectation that was not met, by its path below `expect`; the values are data of the event."""

    at: Location
    expected: Any = field(repr=False)
    seen: Any = field(repr=False)

    @property
    def text(self) -> str:
        return f"expected {spelled(self.expected)}, saw {spelled(self.seen)}"


@dataclass(frozen=True, slots=True)
class InWords:
    """What is no value: said as it stands."""

    words: str


def spelled(value: Any) -> str:
    """A value as JSON in one line."""
    return value.words if isinstance(value, InWords) else json.dumps(value, ensure_ascii=False, default=str)


def differences(expected: Expected, seen: Seen) -> list[Difference]:
    """Every expectation that was not met; empty if all were."""
    said = expected.model_fields_set
    found: list[Difference] = []
    if "rules" in said and set(expected.rules) != set(seen.fired):
        found.append(Difference(at=("rules",), expected=sorted(set(expected.rules)), seen=sorted(seen.fired)))
    if "observed" in said and set(expected.observed) != set(seen.observed):
        found.append(Difference(at=("observed",), expected=sorted(set(expected.observed)), seen=sorted(seen.observed)))
    if "outcome" in said:
        outcomes = list(dict.fromkeys(each.outcome.value for each in seen.tried))
        found += _different(("outcome",), [expected.outcome], outcomes)
    if "reason" in said:
        reasons = list(dict.fromkeys("" if each.reason is None else each.reason.value for each in seen.tried))
        found += _different(("reason",), [expected.reason], reasons)
    if "suppressed" in said:
        kept_back = Counter(each.cause.value for tried in seen.tried for each in tried.suppressed)
        kept_back["duplicate"] = seen.duplicates
        kept_back["quiet_hours"] = seen.quiet
        for cause, count in expected.suppressed.model_dump().items():
            found += _different(("suppressed", cause), count, kept_back[cause])
    if "held" in said:
        found += _different(("held", "quiet_hours"), expected.held.quiet_hours, seen.held)
    if "cancelled" in said:
        withdrawn = sum(len(tried.withdrawn) for tried in seen.tried)
        found += _different(("cancelled",), expected.cancelled, withdrawn)
    if "pushes" in said:
        found += _of_list(_PUSHES, expected.pushes, seen.pushes)
    if "unopened" in said:
        found += _of_list(_UNOPENED, expected.unopened, seen.unopened)
    if "dead_letter" in said:
        found += _of_list(_DEAD_LETTERS, expected.dead_letter, seen.dead_letters)
    return found


def _different(at: Location, expected: Any, seen: Any) -> list[Difference]:
    if expected == seen:
        return []
    if isinstance(expected, list) and len(expected) == 1:
        expected, seen = expected[0], seen[0] if len(seen) == 1 else seen
    return [Difference(at=at, expected=expected, seen=seen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Things that are expected in a list: how one differs from one that was seen, and that one in short."""

    key: str
    noun: str
    compare: Callable[[Any, Any], list[Difference]]
    in_short: Callable[[Any], str]


def _of_list(kind: _Kind, expected: Sequence[Any], seen: Sequence[Any]) -> list[Difference]:
    """Each expected one is one that was seen, in any order, and none is left over."""
    table = [[kind.compare(one, other) for other in seen] for one in expected]
    partner = _matched([[not each for each in row] for row in table], len(seen))
    left = [index for index in range(len(seen)) if index not in partner.values()]
    found: list[Difference] = []
    for index, row in enumerate(table):
        if index in partner:
            continue
        at = (kind.key, index)
        nearest = min(left, key=lambda other: len(row[other]), default=None)
        if nearest is None:
            count = InWords(f"no more than {len(seen)}" if seen else "none")
            found.append(Difference(at=at, expected=InWords(f"a {kind.noun}"), seen=count))
            continue
        left.remove(nearest)
        found += [replace(each, at=(*at, *each.at)) for each in row[nearest]]
    most = InWords(f"no more than {len(expected)}" if expected else f"no {kind.noun}")
    return found + [
        Difference(at=(kind.key,), expected=most, seen=InWords(kind.in_short(seen[index]))) for index in left
    ]


def _matched(fits: Sequence[Sequence[bool]], count: int) -> dict[int, int]:
    """Rows to columns, as many as can have one of their own among those that fit (augmenting paths)."""
    row_of: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column in range(count):
            if fits[row][column] and column not in tried:
                tried.add(column)
                if column not in row_of or place(row_of[column], tried):
                    row_of[column] = row
                    return True
        return False

    for row in range(len(fits)):
        place(row, set())
    return {row: column for column, row in row_of.items()}


def _push_differences(expected: ExpectedPush, seen: SeenPush) -> list[Difference]:
    said = expected.model_fields_set
    notification = seen.tried.notification
    found: list[Difference] = []
    for name, wanted, value in (
        ("rule", expected.rule, seen.tried.rule),
        ("hub", (expected.hub or "").lower(), notification.hub),
        ("to", str(expected.to), str(notification.audience)),
        ("devices", sorted(expected.devices), sorted(seen.devices)),
        ("platform", [expected.platform], _platforms(seen)),
        ("platforms", sorted(set(expected.platforms)), _platforms(seen)),
        ("priority", expected.priority, notification.priority.value),
        ("ttl", _duration(expected.ttl), _duration(seen.ttl)),
        ("collapse", expected.collapse, notification.collapse_key),
        ("report_to", sorted(set(expected.report_to)), sorted(seen.tried.report_to)),
    ):
        if name in said:
            found += _different((name,), wanted, value)
    content = notification.content
    properties = {} if isinstance(content, NativeContent) else content.properties
    found += _missing(("with",), expected.with_, properties)
    lines = {"title": expected.title, "subtitle": expected.subtitle, "body": expected.body}
    given = {name: text for name, text in lines.items() if text is not None}
    text = None if isinstance(content, NativeContent) else content.text
    if "content" in said:
        found += _different(("content",), expected.content, None if text is None else text.name)
    if text is None and expected.locale is None:
        found += _missing((), given, properties)
    elif given or expected.locale is not None:
        found += _shown_differences(expected.locale, given, seen)
    if said & {"payload", "headers"}:
        found += _payload_differences(expected, seen)
    if "unless_opened" in said:
        found += _follow_up_differences(expected.unless_opened, seen.tried.unless_opened)
    return found


def _shown_differences(locale: str | None, given: Mapping[str, str], seen: SeenPush) -> list[Difference]:
    """Of the texts that phones read, which differ by their languages: the nearest ones count.

    A space of any kind is a space: CLDR writes several in numbers, and none can be told from another in a file.
    """
    given = {name: _with_plain_spaces(text) for name, text in given.items()}
    shown = [payload.shown for payload in seen.payloads if payload.shown is not None]
    if locale is not None:
        languages = sorted({each.locale for each in shown})
        shown = [each for each in shown if each.locale.casefold() == locale.casefold()]
        if not shown:
            read = InWords(f"none, but {', '.join(languages)}" if languages else "no device that reads a content")
            return [Difference(at=("locale",), expected=locale, seen=read)]
    if not shown:
        unread = InWords("no device that reads a content")
        return [Difference(at=(name,), expected=text, seen=unread) for name, text in given.items()]
    lines = [{"title": each.title, "subtitle": each.subtitle, "body": each.body} for each in shown]
    texts = [{name: _with_plain_spaces(text) for name, text in each.items()} for each in lines]
    return min((_missing((), given, each) for each in texts), key=len)


def _with_plain_spaces(text: str) -> str:
    return "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)


def _follow_up_differences(expected: ExpectedFollowUp | None, seen: FollowUp | None) -> list[Difference]:
    at = ("unless_opened",)
    if expected is None or seen is None:
        there, none = InWords("that phones are looked at"), InWords("none")
        is_same = expected is None and seen is None
        return (
            [] if is_same else [Difference(at=at, expected=(expected and there) or none, seen=(seen and there) or none)]
        )
    said = expected.model_fields_set
    given: Sequence[tuple[str, Any, Any]] = (
        ("after", _duration(expected.after), _duration(seen.after)),
        ("report_to", sorted(set(expected.report_to)), sorted(seen.sinks)),
    )
    return [each for name, wanted, value in given if name in said for each in _different((*at, name), wanted, value)]


def _unopened_differences(expected: ExpectedUnopened, seen: SeenUnopened) -> list[Difference]:
    said = expected.model_fields_set
    given: Sequence[tuple[str, Any, Any]] = (
        ("rule", expected.rule, seen.rule),
        ("device", expected.device, seen.device or None),
        ("outcome", expected.outcome, seen.outcome),
        ("report_to", sorted(set(expected.report_to)), sorted(seen.sinks)),
    )
    return [each for name, wanted, value in given if name in said for each in _different((name,), wanted, value)]


def _unopened_in_short(seen: SeenUnopened) -> str:
    whom = f"{seen.device}: {seen.outcome}" if seen.device else seen.outcome
    return f"one of rule {seen.rule} told to {', '.join(seen.sinks)}: {whom}"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else units.spelled(timedelta(seconds=seconds))


def _platforms(seen: SeenPush) -> list[str]:
    content = seen.tried.notification.content
    platforms = {payload.platform for payload in seen.payloads}
    if isinstance(content, NativeContent):
        platforms.add(content.platform)
    return sorted(traits_of(platform).name for platform in platforms)


def _missing(at: Location, wanted: Mapping[str, str], seen: Mapping[str, str]) -> list[Difference]:
    """What a mapping does not have as wanted; names compare without case."""
    folded = {name.casefold(): value for name, value in seen.items()}
    return [
        Difference(
            at=(*at, name), expected=value, seen=folded.get(name.casefold(), InWords(f"no {name}, but {_names(seen)}"))
        )
        for name, value in wanted.items()
        if folded.get(name.casefold()) != value
    ]


def _names(seen: Mapping[str, str]) -> str:
    return ", ".join(sorted(seen)) or "nothing"


def _payload_differences(expected: ExpectedPush, seen: SeenPush) -> list[Difference]:
    """Of the payload that comes nearest: a push to several services has one for each."""
    found = [_of_payload(expected, payload) for payload in seen.payloads]
    if not found:
        key = "payload" if "payload" in expected.model_fields_set else "headers"
        return [Difference(at=(key,), expected=getattr(expected, key), seen=InWords("no payload: no device gets it"))]
    return min(found, key=len)


def _of_payload(expected: ExpectedPush, payload: Payload) -> list[Difference]:
    found: list[Difference] = []
    if "payload" in expected.model_fields_set:
        text = payload.body.decode("utf-8", "backslashreplace")
        if not _has(text, expected.payload):
            found.append(Difference(at=("payload",), expected=expected.payload, seen=_json_or_text(text)))
    if expected.headers and not payload.headers and payload.refused == NO_CREDENTIAL:
        unknown = InWords(f"no request: {NO_CREDENTIAL}")
        return [*found, Difference(at=("headers",), expected=dict(expected.headers), seen=unknown)]
    return found + _missing(("headers",), expected.headers, payload.headers)


def _has(text: str, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return wanted in text
    seen = _json_or_text(text)
    return is_part(wanted, seen)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_part(wanted: Any, seen: Any) -> bool:
    """Whether JSON is in JSON: an object may have more fields, a list has as many elements, other values are equal."""
    match wanted, seen:
        case dict(), dict():
            return all(name in seen and is_part(value, seen[name]) for name, value in wanted.items())
        case list(), list():
            return len(wanted) == len(seen) and all(map(is_part, wanted, seen))
        case (bool(), _) | (_, bool()):
            return wanted is seen
    return bool(wanted == seen)


def _push_in_short(seen: SeenPush) -> str:
    notification = seen.tried.notification
    content = notification.content
    said = {} if isinstance(content, NativeContent) else dict(content.properties)
    return f"one of rule {seen.tried.rule} to {spelled(str(notification.audience))} with {spelled(said)}"


def _letter_differences(expected: ExpectedDeadLetter, seen: DeadLetter) -> list[Difference]:
    said = expected.model_fields_set
    given = (("reason", expected.reason, seen.reason), ("rule", expected.rule, seen.rule))
    return [each for name, wanted, value in given if name in said for each in _different((name,), wanted, value)]


def _letter_in_short(seen: DeadLetter) -> str:
    return f"one of {f'rule {seen.rule}' if seen.rule else 'the message as a whole'}: {seen.reason}: {seen.detail}"


_PUSHES = _Kind(key="pushes", noun="notification", compare=_push_differences, in_short=_push_in_short)
_UNOPENED = _Kind(key="unopened", noun="phone", compare=_unopened_differences, in_short=_unopened_in_short)
_DEAD_LETTERS = _Kind(key="dead_letter", noun="dead letter", compare=_letter_differences, in_short=_letter_in_short)
