"""The contract `Phones` over a database."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from hub.acceptance import AuditEntry
from hub.errors import PreconditionError
from hub.notification import Platform
from hub.people import person_key
from hub.phone import Phone, Topics
from hub.store.connection import Connection, Database
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.phones import statements
from hub.store.phones.statements import phone_of, subscription_number, topics_of
from hub.store.registry.rows import channel_key
from hub.store.telemetry.auditing import audit_write

SLICE = 500
"""Rows that one transaction of the housekeeping drops, at most."""

_ETAG_BITS = 62
"""An etag is drawn, not counted: a phone that signs off and in again is not what it was."""


class SqlPhones:
    """`hub.store.contracts.phones.Phones`; the `queues` have the numbers of audit rows, and the store's time."""

    def __init__(self, database: Database, queues: SqlQueues) -> None:
        self._database = database
        self._queues = queues
        self._now = queues.now

    async def phone(self, hub: str, phone_id: str) -> Phone | None:
        rows = await self._database.read(lambda connection: connection.read(statements.PHONE, hub=hub, phone=phone_id))
        return phone_of(rows[0]) if rows else None

    async def phone_registered(self, hub: str, registration_id: str) -> Phone | None:
        rows = await self._database.read(
            lambda connection: connection.read(statements.REGISTERED, hub=hub, registration=registration_id)
        )
        return phone_of(rows[0]) if rows else None

    async def phones_of(self, hub: str, user_id: str) -> Sequence[Phone]:
        person = person_key(user_id)
        rows = await self._database.read(
            lambda connection: connection.read(statements.OF_PERSON, hub=hub, person=person)
        )
        return [phone_of(row) for row in rows]

    async def phones_with(self, hub: str, platform: Platform, push_channel: str) -> Sequence[Phone]:
        key = channel_key(platform, push_channel)
        rows = await self._database.read(
            lambda connection: connection.read(statements.OF_CHANNEL, hub=hub, channel=key)
        )
        phones = map(phone_of, rows)
        return [each for each in phones if each.sign_in is not None and each.sign_in.push_channel == push_channel]

    async def subscriptions(self, hub: str, user_id: str, phone_id: str) -> Topics | None:
        person = person_key(user_id)
        n = subscription_number(person, hub, phone_id)
        return topics_of(
            await self._database.read(lambda connection: connection.read(statements.SUBSCRIPTION, n=n, person=person))
        )

    async def put_phone(self, hub: str, phone: Phone, *, topics: Topics | None = None) -> Phone:
        now = self._now()
        new = replace(phone, etag=secrets.randbits(_ETAG_BITS), changed_at=now, written="")
        await self._database.write(lambda connection: _put(connection, hub, new, phone.etag, topics))
        return new

    async def phone_written(self, hub: str, phone: Phone, digest: str) -> bool:
        values: dict[str, Any] = {"hub": hub, "phone": phone.id, "etag": phone.etag}
        if phone.sign_in is None:
            rows = await self._database.write(lambda connection: connection.write(statements.DROP_SIGNED_OFF, **values))
        else:
            rows = await self._database.write(
                lambda connection: connection.write(statements.WRITTEN, digest=digest, **values)
            )
        return bool(rows)

    async def unwritten_phones(
        self, hub: str, *, unchanged_for: float, after: Phone | None = None, limit: int
    ) -> Sequence[Phone]:
        before = self._now() - unchanged_for
        changed_at, name = (0.0, "") if after is None else (after.changed_at, after.id)
        rows = await self._database.read(
            lambda connection: connection.read(
                statements.UNWRITTEN, hub=hub, before=before, after_at=changed_at, after=name, limit=limit
            )
        )
        return [phone_of(row) for row in rows]

    async def rewrite_phones(
        self, hub: str, *, after: str = "", limit: int, audit: AuditEntry | None = None
    ) -> tuple[int, str]:
        queue = self._queues.all_queues[0]
        numbers = await self._queues.numbers(queue, 0 if audit is None else 1)
        entries = [] if audit is None else [audit]

        def rewrite(connection: Connection) -> tuple[int, str]:
            connection.write_all([audit_write(entries, iter(numbers), queue=queue, now=self._now())])
            return _rewrite(connection, hub, after, limit)

        return await (self._queues.write(rewrite) if entries else self._database.write(rewrite))

    async def forget_phones(self, *, kept: float, subscriptions_kept: float) -> bool:
        now = self._now()
        return await self._database.write(lambda connection: _forget(connection, now - kept, now - subscriptions_kept))


def _put(connection: Connection, hub: str, phone: Phone, old: int, topics: Topics | None) -> None:
    """Raises: PreconditionError."""
    values = {"hub": hub, "etag": phone.etag, "now": phone.changed_at, **statements.values_of(phone)}
    written = (
        connection.write(statements.CHANGE, old=old, **values) if old else connection.write(statements.ADD, **values)
    )
    if not written:
        raise PreconditionError(f"the phone {phone.id!r} has changed since it was read")
    if topics is not None and phone.sign_in is not None:
        person = person_key(phone.sign_in.user_id)
        connection.write(
            statements.SUBSCRIBE,
            n=subscription_number(person, hub, phone.id),
            person=person,
            hub=hub,
            phone=phone.id,
            topics=orjson.dumps(dict(topics)).decode(),
            now=phone.changed_at,
        )


def _rewrite(connection: Connection, hub: str, after: str, limit: int) -> tuple[int, str]:
    names = [name for (name,) in connection.read(statements.NEXT, hub=hub, after=after, limit=limit)]
    if not names:
        return 0, ""
    rows = connection.write(statements.UNWRITE, hub=hub, after=after, last=names[-1])
    return len(rows), names[-1] if len(names) == limit else ""


def _forget(connection: Connection, before: float, unused_before: float) -> bool:
    expired = connection.read(statements.EXPIRED, before=before, limit=SLICE)
    unused = connection.read(statements.UNUSED, before=unused_before, limit=SLICE)
    connection.write_all([(statements.DROP, expired), (statements.UNSUBSCRIBE, unused)])
    return SLICE in (len(expired), len(unused))
