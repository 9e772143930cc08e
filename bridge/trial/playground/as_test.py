"""What was tried as a test: YAML that `pushbridge test` passes with the same rules."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import yaml

from bridge.trial.suite.coverage import FIRED
from bridge.trial.trial import TriedEvent, TriedNotification
from connectors.base import Message
from hub.delivery.quieting import ruling_for_all
from hub.notification import EVERYONE, NativeContent
from hub.platforms.table import traits_of
from hub.quiet import Fate
from rules.text import rfc3339
from rules.units import spelled

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def as_test(message: Message, tried: Sequence[TriedEvent], *, now: datetime) -> str:
    """A file of tests with one test: the message at this time, in whole seconds, and all that came of it."""
    test = {
        "name": _name(message, tried),
        "clock": rfc3339(now),
        "steps": [{"event": _event(message), "expect": _expected(tried, now=now)}],
    }
    text: str = yaml.dump({"tests": [test]}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _name(message: Message, tried: Sequence[TriedEvent]) -> str:
    fired = list(dict.fromkeys(each.rule for one in tried for each in one.notifications))
    said = f"sends {', '.join(fired)}" if fired else f"ends as {tried[0].outcome.value.replace('_', ' ')}"
    return f"a message of {message.source} {said}"[:300] if tried else f"a message of {message.source} has no record"


def _event(message: Message) -> dict[str, Any]:
    meta = {name: value for name, value in message.properties.items() if not _is_made(name, value)}
    meta.pop("content_type", None)
    return {
        "source": message.source,
        "body": message.body.decode(),
        **({"headers": dict(message.headers)} if message.headers else {}),
        **({"meta": meta} if meta else {}),
        **({"content_type": message.content_type} if message.content_type is not None else {}),
    }


def _is_made(name: str, value: object) -> bool:
    """Whether a property is what a message of a test has anyway."""
    return name == "message_id" and value == "test-1"


def _expected(tried: Sequence[TriedEvent], *, now: datetime) -> dict[str, Any]:
    first = {(each.event.source, each.event.id): each for each in reversed(tried) if each.event is not None}
    new = [each for each in tried if each.event is None or first[each.event.source, each.event.id] is each]
    outcomes = {each.outcome.value for each in new}
    reasons = {each.reason.value for each in new if each.reason is not None}
    expected: dict[str, Any] = {}
    if len(outcomes) == 1 and len(new) == len(tried):
        expected["outcome"] = outcomes.pop()
        if len(reasons) == 1 and all(each.reason is not None for each in new):
            expected["reason"] = reasons.pop()
    fired = [each.rule for one in new for each in one.explanations if each.result in FIRED]
    letters = [
        {"reason": letter.reason, **({"rule": letter.rule} if letter.rule else {})}
        for one in new
        for letter in one.dead_letters
    ]
    fates = [(each, _fate(each, now=now)) for one in new for each in one.notifications]
    held = sum(fate is Fate.HELD for _, fate in fates)
    suppressed = {
        "duplicate": len(tried) - len(new),
        "quiet_hours": sum(fate not in (None, Fate.HELD, Fate.SILENT) for _, fate in fates),
    }
    return expected | {
        "rules": list(dict.fromkeys(fired)),
        "pushes": [_push(each, now=now) for each, fate in fates if fate in (None, Fate.SILENT)],
        **({"held": {"quiet_hours": held}} if held else {}),
        **(
            {"suppressed": {cause: count for cause, count in suppressed.items() if count}}
            if any(suppressed.values())
            else {}
        ),
        "dead_letter": letters,
    }


def _fate(tried: TriedNotification, *, now: datetime) -> Fate | None:
    """What quiet hours do with it in a test that has no devices; None: it goes out."""
    notification = tried.notification
    ruled = ruling_for_all(notification, max(now, notification.schedule_at or now).timestamp())
    return None if ruled is None else ruled.fate


def _push(tried: TriedNotification, *, now: datetime) -> dict[str, Any]:
    notification = tried.notification
    content = notification.content
    said: dict[str, Any] = {"rule": tried.rule, "hub": notification.hub}
    said["to"] = "everyone" if notification.audience == EVERYONE else str(notification.audience)
    if isinstance(content, NativeContent):
        said["platform"] = traits_of(content.platform).name
    elif content.properties:
        said["with"] = dict(content.properties)
    said["priority"] = notification.priority.value
    if notification.collapse_key is not None:
        said["collapse"] = notification.collapse_key
    if notification.expires_at is not None:
        seconds = (notification.expires_at - now).total_seconds()
        if seconds > 0 and seconds == int(seconds):
            said["ttl"] = spelled(timedelta(seconds=seconds))
    return said


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are texts by YAML 1.2 too, and that nothing is filled in."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    text = text.replace("${", "$${")
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    style = None if is_plain else "|" if "\n" in text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
