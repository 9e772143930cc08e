"""What comes out as a log line, and what never does."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Stage
from bridge.observe.log import configure, error_at_once
from bridge.observe.redaction import REMOVED, fingerprint, redact
from hub.outcome import DELIVERY_LABELS, OutcomeName


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_context(stream: io.StringIO) -> None:
    configure("info", stream)
    structlog.get_logger().info("event accepted", event_id="e1", notifications=2, stage=Stage.HUB)
    (line,) = lines(stream)
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("timestamp"))
    assert 0 <= age.total_seconds() < 60
    assert line == {
        "level": "info",
        "event": "event accepted",
        "event_id": "e1",
        "notifications": 2,
        "stage": "hub",
    }


async def test_an_error_of_another_thread_is_written_while_the_loop_that_has_lines_is_held(stream: io.StringIO) -> None:
    configure("info", stream)
    structlog.get_logger().info("waits for the end of this turn")
    thread = threading.Thread(target=lambda: error_at_once("the loop is held", task="hub\n{}", token="abc"))
    thread.start()
    thread.join()
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["token"]) == ("error", "the loop is held", REMOVED)
    assert "timestamp" in line


@pytest.mark.parametrize("text", ["a\n{}", "a\r\nb", '","level":"error', "\x1b[2J", "a\0b", "\ud800"])
def test_a_value_cannot_become_another_line_or_member(text: str, stream: io.StringIO) -> None:
    configure("info", stream)
    structlog.get_logger().info("event accepted", event_id=text)
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert not any(character < " " for character in written.rstrip("\n"))
    assert (json.loads(written)["event_id"], json.loads(written)["level"]) == (text, "info")


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    configure("warning", stream)
    structlog.get_logger().info("no")
    logging.getLogger("uvicorn").info("no")
    logging.getLogger("uvicorn").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_libraries_come_out_the_same_way(stream: io.StringIO) -> None:
    configure("info", stream)
    logging.getLogger("pika.adapters").warning("lost %s", "amqp://user:canary@rabbit/vhost")
    logging.getLogger("pika.adapters").info("every step")
    logging.getLogger("azure.servicebus._pyamqp").info("every step")
    logging.getLogger("uvicorn.access").info('"%s %s" %d', "POST", "/in?access_token=canary", 202)
    broken, access = lines(stream)
    assert (broken["event"], broken["level"]) == (f"lost amqp://{REMOVED}@rabbit/vhost", "warning")
    assert broken["logger"] == "pika.adapters"
    assert access["event"] == f'"POST /in?access_token={REMOVED}" 202'


def test_a_traceback_is_one_field_without_the_secrets_in_it(stream: io.StringIO) -> None:
    configure("info", stream)
    try:
        raise OSError("cannot reach amqp://user:canary@rabbit:5672")
    except OSError:
        structlog.get_logger().exception("lost")
        logging.getLogger("pika").exception("lost")
    ours, theirs = lines(stream)
    assert f"OSError: cannot reach amqp://{REMOVED}@rabbit:5672" in ours["exception"]
    assert f"OSError: cannot reach amqp://{REMOVED}@rabbit:5672" in theirs["exception"]


def test_people_get_text_with_the_same_things_taken_out(stream: io.StringIO) -> None:
    configure("info", stream, json=False)
    structlog.get_logger().info("event accepted", event_id="e1", password="canary")
    assert "event accepted" in stream.getvalue()
    assert "event_id=e1" in stream.getvalue()
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("as_json, written", [(True, "•"), (False, "\\u2022")])
def test_a_character_that_the_locale_has_not_costs_no_line(as_json: bool, written: str) -> None:
    raw = io.BytesIO()
    configure("info", io.TextIOWrapper(raw, encoding="latin-1"), json=as_json)
    for event in ("before", "account ••••2011", "after"):
        structlog.get_logger().info(event)
    text = raw.getvalue().decode()
    assert [word in text for word in ("before", f"account {written * 4}2011", "after")] == [True] * 3


class Colour(str, Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    RED = "red"


@pytest.mark.parametrize(
    "value, shown",
    [
        (2**70, 2**70),
        ("\ud800", "\ud800"),
        (float("nan"), None),
        (Colour.RED, "red"),
        (b"raw", fingerprint(b"raw")),
        (frozenset(["a"]), ["a"]),
        (ValueError("bad"), "bad"),
        ({1: {"b": (1, None)}}, {"1": {"b": [1, None]}}),
        (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-02T00:00:00+00:00"),
    ],
    ids=repr,
)
def test_a_line_never_fails_whatever_the_value(stream: io.StringIO, value: Any, shown: Any) -> None:
    configure("info", stream)
    structlog.get_logger().info("x", value=value)
    (line,) = lines(stream)
    assert line["value"] == shown


def test_a_value_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "..." in json.dumps(redact(loop))


CREDENTIALS = (
    *("password", "key", "keys", "apiKey", "api_key", "APIKey", "apikey", "keyPem", "routing_key", "client_secret"),
    *("token", "deviceToken", "Authorization", "SAS", "set-cookie"),
    *("connection_string", "connectionString", "ConnectionStrings"),
)  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_removed(name: str) -> None:
    assert redact({name: "canary"}) == {name: REMOVED}


@pytest.mark.parametrize(
    "name", ["push_channel", "pushChannel", "new_push_channel", "handle", "payload", "body", "data"]
)
def test_what_is_about_a_person_becomes_a_fingerprint(name: str) -> None:
    shown = redact({name: "canary"})[name]
    assert shown == fingerprint("canary") == fingerprint(b"canary")
    assert shown != redact({name: "other"})[name]


@pytest.mark.parametrize(
    "name", ["event_id", "source", "rule", "platform", "monday", "database", "handled", "somebody"]
)
def test_other_names_are_shown(name: str) -> None:
    assert redact({name: "plain"}) == {name: "plain"}


@pytest.mark.parametrize("outcome", OutcomeName)
def test_how_often_an_outcome_was_seen_is_shown_whatever_its_name(outcome: OutcomeName, stream: io.StringIO) -> None:
    configure("info", stream)
    for counts in ({outcome.value: 3}, {outcome: 3}):
        structlog.get_logger().info("pushed", outcomes=counts)
    assert [line["outcomes"] for line in lines(stream)] == [{outcome.value: 3}] * 2
    assert redact({"by_label": {DELIVERY_LABELS[outcome]: 3}}) == {"by_label": {DELIVERY_LABELS[outcome]: 3}}
    assert redact({"outcome": outcome}) == {"outcome": outcome.value}


NOT_COUNTS: list[dict[str, Any]] = [
    {"credentials": "abc"},
    {"credentials": 12345},
    {"token": 12345},
    {"tokens": 3},
    {"password": 1234},
    {"key": 42},
    {"InvalidToken": "abc"},
    {"InvalidToken": "12345"},
    {"InvalidToken": b"abc"},
    {"InvalidToken": 12.5},
    {"InvalidToken": ["abc"]},
    {"InvalidToken": {"value": 5}},
    {"WrongToken": True},
    {"invalidtoken": 5},
    {"NewInvalidToken": 5},
    {"token": {"InvalidToken": 5}},
]


@pytest.mark.parametrize("fields", NOT_COUNTS, ids=str)
def test_only_a_whole_number_under_the_exact_name_of_an_outcome_is_a_count(fields: dict[str, Any]) -> None:
    (name,) = fields
    assert redact(fields) == {name: REMOVED}
    assert redact({"outcomes": fields}) == {"outcomes": {name: REMOVED}}


def test_a_missing_secret_is_shown_as_missing() -> None:
    assert redact({"password": None, "payload": None}) == {"password": None, "payload": None}


@pytest.mark.parametrize(
    "text, shown",
    [
        ("amqp://user:p@ss/w@rabbit:5672/v", f"amqp://{REMOVED}@rabbit:5672/v"),
        ("from https://u@a and http://b/c", f"from https://{REMOVED}@a and http://b/c"),
        ("Endpoint=sb://x/;SharedAccessKey=abc+/=;EntityPath=q", f"Endpoint=sb://x/;SharedAccessKey={REMOVED};EntityPath=q"),
        ("SharedAccessSignature sr=x&sig=abc%2b&se=1", f"SharedAccessSignature sr=x&sig={REMOVED}&se=1"),
        ("at https://a/w/?token=AwY%3d&x=1", f"at https://a/w/?token={REMOVED}&x=1"),
        ("the token: expired", "the token: expired"),
        ("authorization: bearer abc.def.ghi", f"authorization: bearer {REMOVED}"),
        ("host=h password=p port=1", f"host=h password={REMOVED} port=1"),
        ("ana@example.com asks http://x", "ana@example.com asks http://x"),
        ("basic idea: 12:30", "basic idea: 12:30"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_of_any_text(text: str, shown: str) -> None:
    assert redact({"event": text, "nested": [text]}) == {"event": shown, "nested": [shown]}
    assert list(redact({"nested": {text: 1}})["nested"]) == [shown]


SECRET_NAMES = ["password", "key", "authorization", "token", "secret", "connection_string", "payload", "push_channel"]
HIDING_PLACES: list[Callable[[str, str], dict[str, Any]]] = [
    lambda name, secret: {name: secret},
    lambda name, secret: {name: secret.encode()},
    lambda name, secret: {name: {"inner": [secret]}},
    lambda name, secret: {"context": [{"deep": {name: secret}}]},
    lambda name, secret: {"headers": {name.upper(): secret}},
    lambda name, secret: {"raw": secret.encode()},
    lambda name, secret: {"url": f"amqp://user:{quote(secret)}@rabbit:5672/%2F"},
    lambda name, secret: {"error": OSError(f"amqp://user:{secret}@rabbit refused")},
    lambda name, secret: {f"amqps://{secret}@rabbit": 1},
]


@given(
    secret=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6).map("canary-".__add__),
    name=st.sampled_from(SECRET_NAMES),
    hide=st.sampled_from(HIDING_PLACES),
    as_json=st.booleans(),
)
def test_a_secret_does_not_come_out_wherever_it_was_put(
    secret: str, name: str, hide: Callable[[str, str], dict[str, Any]], as_json: bool
) -> None:
    stream = io.StringIO()
    configure("info", stream, json=as_json)
    structlog.get_logger().info("lost amqp://user:" + secret + "@rabbit", **hide(name, secret))
    logging.getLogger("pika").error("lost %s", f"amqp://user:{secret}@rabbit")
    assert stream.getvalue().count("lost") == 2
    assert "canary-" not in stream.getvalue()


def test_a_complaint_of_check_about_the_key_of_a_secret_keeps_its_words() -> None:
    complaint = "c.yaml:3:9: hubs.a.platforms.wns.client_secret: warning: this secret stands in clear"
    assert redact({"problems": [complaint]}) == {"problems": [complaint]}
    assert redact({"problems": ["client_secret: hunter2"]}) == {"problems": ["client_secret: [removed]"]}
