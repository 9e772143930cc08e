"""`push.live_activity`: what it becomes for APNs, and to whom it goes."""

from pathlib import Path

import orjson
import pytest

from hub.notification import NativeContent, Platform
from tests.rules.support import NOW, event, load

MATCH = {"id": "e1", "source": "bank", "type": "match", "data": {"id": "7", "score": 2}}


def rule(live: str, to: str = "") -> str:
    return f"rules: [ {{ name: r, push: {{ hub: app, {to} live_activity: {live} }} }} ]"


def test_an_update_is_a_payload_of_apns_with_the_time_of_its_event(tmp_path: Path) -> None:
    text = rule(
        '{ update: { score: "{{ data.score }}", by: "{{ type }}" }, aps: { stale-date: 9 } }', 'to: "m:{{ data.id }}",'
    )
    rules, problems = load(text, tmp_path)
    assert problems == []
    (intent,) = rules.route(event(**MATCH), now=NOW).intents
    content = intent.notification.content
    assert isinstance(content, NativeContent)
    assert (content.platform, dict(content.headers)) == (Platform.APNS, {"apns-push-type": "liveactivity"})
    aps = orjson.loads(content.payload)["aps"]
    assert isinstance(aps.pop("timestamp"), int)
    assert aps == {"event": "update", "content-state": {"score": 2, "by": "match"}, "stale-date": 9}
    assert str(intent.notification.audience) == "m:7"


def test_an_update_to_a_channel_goes_to_the_channel_alone(tmp_path: Path) -> None:
    rules, problems = load(rule('{ end: { score: 3 }, channel: "match-{{ data.id }}" }'), tmp_path)
    assert problems == []
    (intent,) = rules.route(event(**MATCH), now=NOW).intents
    assert str(intent.notification.audience) == "$InstallationId:{match-7}"
    assert isinstance(intent.notification.content, NativeContent)
    assert orjson.loads(intent.notification.content.payload)["aps"]["event"] == "end"


@pytest.mark.parametrize(
    ("live", "to", "words"),
    [
        ("{ channel: c }", "", "expected one of start, update and end"),
        ("{ update: {}, end: {}, channel: c }", "", "expected one of start, update and end"),
        ("{ update: { a: 1 } }", "", "to is missing"),
        ("{ update: { a: 1 }, channel: c }", "to: x,", "a channel is the audience"),
        ("{ start: { a: 1 }, channel: c }", "", "a broadcast starts no activity"),
        ("{ updat: { a: 1 } }", "to: x,", "unknown key (did you mean update?)"),
        ("{ update: { a: 1 } }", "to: x, native: { apns: { payload: { aps: {} } } },", "live_activity is the payload"),
    ],
)
def test_what_cannot_be_meant_is_complained_of(live: str, to: str, words: str, tmp_path: Path) -> None:
    _, problems = load(rule(live, to), tmp_path)
    assert any(words in str(problem) for problem in problems), problems
