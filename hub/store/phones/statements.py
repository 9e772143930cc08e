"""Statements of phones and subscriptions, and their rows."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from hub.notification import PLATFORM_NAMED
from hub.people import person_key
from hub.phone import Phone, SignIn, Topics
from hub.store.connection import Row, Statement
from hub.store.registry.rows import channel_key

_COLUMNS = "phone, registration, installation, sign_in, written, etag, changed_at, expires_at"

PHONE = Statement("phone.get", f"SELECT {_COLUMNS} FROM phone WHERE hub = :hub AND phone = :phone")
REGISTERED = Statement(
    "phone.registered", f"SELECT {_COLUMNS} FROM phone WHERE hub = :hub AND registration = :registration"
)
OF_PERSON = Statement(
    "phone.of_person", f"SELECT {_COLUMNS} FROM phone WHERE person = :person AND hub = :hub ORDER BY phone"
)
OF_CHANNEL = Statement(
    "phone.of_channel", f"SELECT {_COLUMNS} FROM phone WHERE channel = :channel AND hub = :hub ORDER BY phone"
)
UNWRITTEN = Statement(
    "phone.unwritten",
    f"SELECT {_COLUMNS} FROM phone WHERE hub = :hub AND written = '' AND changed_at <= :before"
    " AND changed_at >= :after_at AND (changed_at > :after_at OR phone > :after)"
    " ORDER BY changed_at, phone LIMIT :limit",
)
ADD = Statement(
    "phone.add",
    "INSERT INTO phone (hub, phone, person, registration, installation, sign_in, channel, written, etag, changed_at,"
    " expires_at) VALUES (:hub, :phone, :person, :registration, :installation, :sign_in, :channel, '', :etag, :now,"
    " :expires_at)"
    " ON CONFLICT DO NOTHING RETURNING etag",
)
CHANGE = Statement(
    "phone.change",
    "UPDATE phone SET person = :person, registration = :registration, installation = :installation, sign_in = :sign_in,"
    " channel = :channel, written = '', etag = :etag, changed_at = :now, expires_at = :expires_at"
    " WHERE hub = :hub AND phone = :phone AND etag = :old RETURNING etag",
)
WRITTEN = Statement(
    "phone.written",
    "UPDATE phone SET written = :digest WHERE hub = :hub AND phone = :phone AND etag = :etag RETURNING etag",
)
DROP_SIGNED_OFF = Statement(
    "phone.drop_signed_off",
    "DELETE FROM phone WHERE hub = :hub AND phone = :phone AND etag = :etag AND sign_in IS NULL RETURNING etag",
)
NEXT = Statement(
    "phone.next",
    "SELECT phone FROM phone WHERE hub = :hub AND phone > :after ORDER BY phone LIMIT :limit",
)
UNWRITE = Statement(
    "phone.unwrite",
    "UPDATE phone SET written = '' WHERE hub = :hub AND phone > :after AND phone <= :last AND sign_in IS NOT NULL"
    " RETURNING etag",
)
EXPIRED = Statement(
    "phone.expired", "SELECT hub, phone, etag FROM phone WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit"
)
DROP = Statement(
    "phone.drop",
    "DELETE FROM phone WHERE hub = :hub AND phone = :phone AND etag = :etag",
    (("hub", "text"), ("phone", "text"), ("etag", "bigint")),
)

SUBSCRIPTION = Statement("subscription.get", "SELECT topics FROM subscription WHERE n = :n AND person = :person")
SUBSCRIBE = Statement(
    "subscription.put",
    "INSERT INTO subscription (n, person, hub, phone, topics, at) VALUES (:n, :person, :hub, :phone, :topics, :now)"
    " ON CONFLICT (n) DO UPDATE SET topics = excluded.topics, at = excluded.at",
)
UNUSED = Statement("subscription.unused", "SELECT n FROM subscription WHERE at <= :before ORDER BY at LIMIT :limit")
UNSUBSCRIBE = Statement("subscription.drop", "DELETE FROM subscription WHERE n = :n", (("n", "bigint"),))

_DIGITS = 59
"""Bits of a subscription's number: it is part of a cursor of 18 digits."""


def subscription_number(person: str, hub: str, phone_id: str) -> int:
    text = orjson.dumps([person, hub, phone_id])
    digest = hashlib.blake2b(text, digest_size=8, usedforsecurity=False).digest()
    return int.from_bytes(digest) >> (64 - _DIGITS)


def phone_of(row: Sequence[Any]) -> Phone:
    """Of the columns that all reading statements have."""
    phone, registration, installation, sign_in, written, etag, changed_at, expires_at = row
    return Phone(
        id=phone,
        registration_id=registration,
        installation_id=installation,
        sign_in=None if sign_in is None else _sign_in(orjson.loads(sign_in)),
        written=written,
        etag=etag,
        changed_at=changed_at,
        expires_at=expires_at,
    )


def _sign_in(document: dict[str, Any]) -> SignIn:
    return SignIn(
        user_id=document["user"],
        platform=PLATFORM_NAMED[document["platform"]],
        push_channel=document["channel"],
        tags=tuple(document["tags"]),
        push_variables=document["variables"],
    )


def sign_in_text(sign_in: SignIn) -> str:
    document = {
        "user": sign_in.user_id,
        "platform": sign_in.platform.value,
        "channel": sign_in.push_channel,
        "tags": sign_in.tags,
        "variables": dict(sign_in.push_variables),
    }
    return orjson.dumps(document).decode()


def values_of(phone: Phone) -> dict[str, Any]:
    """What `ADD` and `CHANGE` write, but for hub, etag and time."""
    return {
        "phone": phone.id,
        "person": None if phone.sign_in is None else person_key(phone.sign_in.user_id),
        "registration": phone.registration_id,
        "installation": phone.installation_id,
        "sign_in": None if phone.sign_in is None else sign_in_text(phone.sign_in),
        "channel": None if phone.sign_in is None else channel_key(phone.sign_in.platform, phone.sign_in.push_channel),
        "expires_at": phone.expires_at,
    }


def topics_of(rows: Sequence[Row]) -> Topics | None:
    return orjson.loads(rows[0][0]) if rows else None
