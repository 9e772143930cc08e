"""What is kept of a person deleted, a slice a transaction, so that other writes get their turn in between."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from hub.store.connection import Connection, Statement
from hub.store.contracts.people import Kept
from hub.store.letters import dropping
from hub.store.phones.statements import UNSUBSCRIBE
from hub.store.telemetry import forgetting

SLICE = 500
"""Rows of a kind that one transaction deletes, at most."""

_KEYS = (("person", "text"),)
_SOME = "WHERE queue = :queue AND person IN (:keys) LIMIT :slice"
_ROW = (("queue", "bigint"), ("n", "bigint"))

NOTIFICATIONS = Statement("person.some_notifications", f"SELECT n, id FROM notification {_SOME}", _KEYS)
ADDRESSED = Statement(
    "person.some_addressed",
    "SELECT n.n, n.id FROM addressee a JOIN notification n ON n.queue = a.queue AND n.n = a.notification"
    " WHERE a.queue = :queue AND a.person IN (:keys) LIMIT :slice",
    _KEYS,
)
LEFT = Statement("person.any_notification", "SELECT queue FROM notification WHERE person IN (:keys) LIMIT 1", _KEYS)
LEFT_ADDRESSED = Statement("person.any_addressed", "SELECT queue FROM addressee WHERE person IN (:keys) LIMIT 1", _KEYS)
LETTERS = Statement("person.some_letters", f"SELECT queue, n FROM dead_letter {_SOME}", _KEYS)
EVENTS = Statement("person.some_events", f"SELECT queue, n FROM journal {_SOME}", _KEYS)
SINKS = Statement("person.some_sinks", f"SELECT queue, n FROM sink {_SOME}", _KEYS)
REPORTS = Statement(
    "person.some_reports", f"SELECT queue, notification, phone, event, action FROM report {_SOME}", _KEYS
)
SUBSCRIPTIONS = Statement(
    "person.some_subscriptions", "SELECT n FROM subscription WHERE person IN (:keys) LIMIT :slice", _KEYS
)
SIGNED_IN = Statement(
    "person.some_phones", "SELECT hub, phone, etag FROM phone WHERE person IN (:keys) LIMIT :slice", _KEYS
)
SIGN_OFF = Statement(
    "person.sign_off",
    "UPDATE phone SET person = NULL, sign_in = NULL, channel = NULL, written = '', etag = etag + 1"
    " WHERE hub = :hub AND phone = :phone AND etag = :etag",
    (("hub", "text"), ("phone", "text"), ("etag", "bigint")),
)
DROP_EVENT = Statement("person.drop_event", "DELETE FROM journal WHERE queue = :queue AND n = :n", _ROW)
DROP_SINK = Statement("person.drop_sink", "DELETE FROM sink WHERE queue = :queue AND n = :n", _ROW)


class Slice(NamedTuple):
    """What a transaction deleted: how many rows, the ids of the notifications among them, and whether there may be more."""

    rows: int
    more: bool
    ids: Sequence[str] = ()


Erasing = Callable[[Connection, int, Sequence[str]], Slice]
"""Deletes a slice of what a queue keeps under some keys of persons."""


def erase_notifications(connection: Connection, queue: int, keys: Sequence[str]) -> Slice:
    """With pages and failures; of a notification with very many of these a slice goes, and the ids come again."""
    found: dict[int, bytes] = dict(connection.read_by_keys(NOTIFICATIONS, keys, queue=queue, slice=SLICE))
    found |= dict(connection.read_by_keys(ADDRESSED, keys, queue=queue, slice=SLICE))
    is_whole = not found or forgetting.drop(connection, queue, list(found))
    ids = [key.hex() for key in found.values()]
    return Slice(len(found) if is_whole else 0, len(found) >= SLICE or not is_whole, ids)


def has_notifications(connection: Connection, keys: Sequence[str]) -> bool:
    """Whether a notification is left in any queue: one that was passed on from queue to queue while these were emptied in
    turn may have been missed."""
    return bool(connection.read_by_keys(LEFT, keys) or connection.read_by_keys(LEFT_ADDRESSED, keys))


def erase_letters(connection: Connection, queue: int, keys: Sequence[str]) -> Slice:
    """With the bodies that no other letter has."""
    found = connection.read_by_keys(LETTERS, keys, queue=queue, slice=SLICE)
    dropping.forget(connection, found)
    return Slice(len(found), len(found) == SLICE)


def erase_subscriptions(connection: Connection, queue: int, keys: Sequence[str]) -> Slice:
    """Phones with which the person is signed in are signed off: their engine, which may be remote, is yet to hear of it."""
    subscribed = connection.read_by_keys(SUBSCRIPTIONS, keys, slice=SLICE)
    signed_in = connection.read_by_keys(SIGNED_IN, keys, slice=SLICE)
    connection.write_all([(UNSUBSCRIBE, subscribed), (SIGN_OFF, signed_in)])
    return Slice(len(subscribed), SLICE in (len(subscribed), len(signed_in)))


def _erase(some: Statement, drop: Statement, connection: Connection, queue: int, keys: Sequence[str]) -> Slice:
    found = connection.read_by_keys(some, keys, queue=queue, slice=SLICE)
    connection.write_all([(drop, found)])
    return Slice(len(found), len(found) == SLICE)


ERASING: Mapping[Kept, Erasing] = {
    Kept.SUBSCRIPTION: erase_subscriptions,
    Kept.NOTIFICATION: erase_notifications,
    Kept.DEAD_LETTER: erase_letters,
    Kept.EVENT: partial(_erase, EVENTS, DROP_EVENT),
    Kept.REPORT: partial(_erase, REPORTS, forgetting.DROP_REPORT),
    Kept.SINK: partial(_erase, SINKS, DROP_SINK),
}
