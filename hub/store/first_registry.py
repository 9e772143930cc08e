"""Installations and registrations in SQL; each function works inside the transaction of its caller."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.errors import InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import Installation, Registration, Template
from hub.notification import PLATFORM_NAMED, Platform
from hub.store.audience import kind_key
from hub.store.hubs import hub_id, known_hub_id
from hub.store.tag_index import IndexShape, TagChanges, members
from hub.tags import installation_tag, tag_key

_MOVED = "another user registered this push channel"


# Writing


def put_installations(
    connection: sqlite3.Connection,
    hub: str,
    installations: Iterable[tuple[Installation, Sequence[Registration]]],
    *,
    now: float,
    shape: IndexShape = IndexShape(),
) -> None:
    """Create or replace documents and their registrations; what a document no longer has is dropped.

    A push channel that another user's installation had is this one's from now on: that installation no longer reaches it.

    Raises: InvalidRequestError: an id that tags cannot tell from the id of another installation.
    """
    number = hub_id(connection, hub)
    changes = TagChanges(shape)
    ids: dict[str, str] = {}
    for installation, registrations in installations:
        _check_id(connection, number, installation.id, ids)
        connection.execute(
            "INSERT OR REPLACE INTO installation (hub, id, document, updated_at, expires_at) VALUES (?, ?, ?, ?, ?)",
            (number, installation.id, _document(installation), now, _seconds(installation.expires_at)),
        )
        _replace_derived(connection, number, installation.id, registrations, changes, now)
        _take_from_other_users(connection, number, installation, registrations, changes, now)
    changes.apply(connection, number)


def _check_id(connection: sqlite3.Connection, hub: int, installation_id: str, ids: dict[str, str]) -> None:
    """Two ids that compare alike would share `$InstallationId:{id}`, and each phone what is meant for the other.

    `ids` are those of the same transaction, by key.
    """
    key = tag_key(installation_tag(installation_id))
    rows = connection.execute(
        "SELECT DISTINCT r.installation_id FROM tag t JOIN tag_row m ON m.tag = t.id JOIN registration r"
        " ON r.ordinal = m.ordinal WHERE t.hub = ? AND t.key = ? AND r.installation_id != ?",
        (hub, key, installation_id),
    )
    known = [ids.setdefault(key, installation_id), *(other for (other,) in rows)]
    if any(other != installation_id and tag_key(installation_tag(other)) == key for other in known):
        raise InvalidRequestError(
            f"installationId {installation_id!r} differs from one that is registered in case only, and ids compare without"
        )


def _take_from_other_users(
    connection: sqlite3.Connection,
    hub: int,
    installation: Installation,
    registrations: Sequence[Registration],
    changes: TagChanges,
    now: float,
) -> None:
    """Hide what other users' installations registered for this push channel: the phone is this user's now."""
    user = _user_of(registrations[0].tags) if registrations else None
    rows = connection.execute(
        "SELECT ordinal, template_name, platform, tags FROM registration WHERE hub = ? AND push_channel = ?"
        " AND platform = ? AND dead_at IS NULL AND installation_id != ?",
        (hub, installation.push_channel, installation.platform.value, installation.id),
    ).fetchall()
    for ordinal, template_name, platform, tags in rows:
        if _user_of(orjson.loads(tags)) != user:
            unindex(changes, ordinal, template_name, platform, tags)
            connection.execute(
                "UPDATE registration SET dead_at = ?, dead_reason = ? WHERE ordinal = ?", (now, _MOVED, ordinal)
            )


def _user_of(tags: Iterable[str]) -> str | None:
    """The key of the tag that names the user of a registration, if one does."""
    return next((key for key in map(tag_key, tags) if key.startswith("$userid:")), None)


def _replace_derived(
    connection: sqlite3.Connection,
    hub: int,
    installation_id: str,
    registrations: Sequence[Registration],
    changes: TagChanges,
    now: float,
) -> None:
    """Keep the ordinal of what stays (same template name), so that pages under way still mean the same phone."""
    rows = connection.execute(
        "SELECT template_name, ordinal, registration_id, etag, platform, tags FROM registration"
        " WHERE hub = ? AND installation_id = ?",
        (hub, installation_id),
    )
    old = {
        name: (ordinal, registration_id, etag, platform, tags)
        for name, ordinal, registration_id, etag, platform, tags in rows
    }
    for registration in registrations:
        known = old.pop(registration.template_name, None)
        if known is None:
            _insert(connection, hub, registration, changes, now)
        else:
            ordinal, registration_id, etag, platform, tags = known
            unindex(changes, ordinal, registration.template_name, platform, tags)
            _update(
                connection,
                hub,
                ordinal,
                replace(registration, registration_id=registration_id, etag=etag + 1),
                changes,
                now,
            )
    for name, (ordinal, _, _, platform, tags) in old.items():
        unindex(changes, ordinal, name, platform, tags)
        connection.execute("DELETE FROM registration WHERE ordinal = ?", (ordinal,))


def put_registration(
    connection: sqlite3.Connection, hub: str, registration: Registration, *, if_match: int | None, now: float
) -> Registration:
    """Create or replace one registration; the answer carries its id and ETag.

    Raises: NotFoundError: `if_match` names an ETag of what does not exist. PreconditionError: it is another one.
    """
    number = hub_id(connection, hub)
    changes = TagChanges()
    found = connection.execute(
        "SELECT ordinal, etag, template_name, platform, tags FROM registration WHERE hub = ? AND registration_id = ?",
        (number, registration.registration_id),
    ).fetchone()
    if found is None:
        if if_match is not None:
            raise NotFoundError(f"registration {registration.registration_id!r} not found")
        stored = replace(registration, registration_id=registration.registration_id or new_registration_id(), etag=1)
        _insert(connection, number, stored, changes, now)
    else:
        ordinal, etag, template_name, platform, tags = found
        _check_etag(etag, if_match)
        stored = replace(registration, etag=etag + 1)
        unindex(changes, ordinal, template_name, platform, tags)
        _update(connection, number, ordinal, stored, changes, now)
    changes.apply(connection, number)
    return stored


def delete_installation(
    connection: sqlite3.Connection, hub: str, installation_id: str, *, now: float, shape: IndexShape = IndexShape()
) -> bool:
    """Whether there was one."""
    number = hub_id(connection, hub)
    changes = TagChanges(shape)
    _replace_derived(connection, number, installation_id, (), changes, now)
    changes.apply(connection, number)
    cursor = connection.execute("DELETE FROM installation WHERE hub = ? AND id = ?", (number, installation_id))
    return cursor.rowcount > 0


def delete_registration(
    connection: sqlite3.Connection, hub: str, registration_id: str, *, if_match: int | None
) -> None:
    """Raises: NotFoundError, PreconditionError."""
    number = hub_id(connection, hub)
    found = connection.execute(
        "SELECT ordinal, etag, template_name, platform, tags FROM registration WHERE hub = ? AND registration_id = ?",
        (number, registration_id),
    ).fetchone()
    if found is None:
        raise NotFoundError(f"registration {registration_id!r} not found")
    ordinal, etag, template_name, platform, tags = found
    _check_etag(etag, if_match)
    changes = TagChanges()
    unindex(changes, ordinal, template_name, platform, tags)
    changes.apply(connection, number)
    connection.execute("DELETE FROM registration WHERE ordinal = ?", (ordinal,))


def mark_dead(
    connection: sqlite3.Connection,
    ordinal: int,
    *,
    reason: str,
    gone_since: float | None,
    now: float,
    shape: IndexShape = IndexShape(),
) -> int:
    """Hide every registration of that one's push channel from audiences, unless registered after `gone_since`.

    Rows stay for a while, so that a mistake can be undone and the question "why" answered. Returns how many were hidden.
    """
    found = connection.execute(
        "SELECT hub, platform, push_channel FROM registration WHERE ordinal = ?", (ordinal,)
    ).fetchone()
    if found is None:
        return 0
    hub, platform, push_channel = found
    rows = connection.execute(
        "UPDATE registration SET dead_at = ?, dead_reason = ? WHERE hub = ? AND push_channel = ? AND platform = ?"
        " AND dead_at IS NULL AND (? IS NULL OR registered_at <= ?) RETURNING ordinal, template_name, platform, tags",
        (now, reason, hub, push_channel, platform, gone_since, gone_since),
    ).fetchall()
    changes = TagChanges(shape)
    for dead, template_name, its_platform, tags in rows:
        unindex(changes, dead, template_name, its_platform, tags)
    changes.apply(connection, hub)
    return len(rows)


def new_registration_id() -> str:
    """An id of the service's own kind: two long numbers and a partition."""
    return f"{secrets.randbits(62)}-{secrets.randbits(62)}-1"


def _insert(
    connection: sqlite3.Connection, hub: int, registration: Registration, changes: TagChanges, now: float
) -> None:
    cursor = connection.execute(
        "INSERT INTO registration (hub, registration_id, installation_id, platform, push_channel, template_name, template,"
        " tags, push_variables, etag, registered_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hub,
            registration.registration_id or new_registration_id(),
            registration.installation_id,
            *_columns(connection, registration),
            registration.etag,
            now,
            _seconds(registration.expires_at),
        ),
    )
    assert cursor.lastrowid is not None
    _index(connection, hub, cursor.lastrowid, registration, changes)


def _update(
    connection: sqlite3.Connection, hub: int, ordinal: int, registration: Registration, changes: TagChanges, now: float
) -> None:
    """Writing a registration again brings a dead one back: its phone has spoken for it."""
    connection.execute(
        "UPDATE registration SET platform = ?, push_channel = ?, template_name = ?, template = ?, tags = ?,"
        " push_variables = ?, etag = ?, registered_at = ?, expires_at = ?, sibling = 0, dead_at = NULL, dead_reason = NULL"
        " WHERE ordinal = ?",
        (*_columns(connection, registration), registration.etag, now, _seconds(registration.expires_at), ordinal),
    )
    _index(connection, hub, ordinal, registration, changes)


def _columns(connection: sqlite3.Connection, registration: Registration) -> tuple[Any, ...]:
    return (
        registration.platform.value,
        registration.push_channel,
        registration.template_name,
        None if registration.template is None else _template_id(connection, registration.template),
        orjson.dumps(registration.tags).decode(),
        orjson.dumps(dict(registration.push_variables)).decode() if registration.push_variables else None,
    )


def _template_id(connection: sqlite3.Connection, template: Template) -> int:
    headers = orjson.dumps(dict(template.headers)).decode()
    digest = hashlib.blake2b(
        orjson.dumps([template.body, headers, template.expiry]), digest_size=16, usedforsecurity=False
    ).digest()
    found = connection.execute("SELECT id FROM template WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        found = connection.execute(
            "INSERT INTO template (digest, body, headers, expiry) VALUES (?, ?, ?, ?) RETURNING id",
            (digest, template.body, headers, template.expiry),
        ).fetchone()
    return int(found[0])


def _index(
    connection: sqlite3.Connection, hub: int, ordinal: int, registration: Registration, changes: TagChanges
) -> None:
    for tag in registration.tags:
        changes.add(tag_key(tag), ordinal)
    kind = "native" if registration.template_name is None else "template"
    changes.add(kind_key(kind, registration.platform), ordinal)
    if registration.template_name is None:
        _flag_siblings(connection, hub, ordinal, registration, changes)


def unindex(changes: TagChanges, ordinal: int, template_name: str | None, platform: str, tags: str) -> None:
    for tag in orjson.loads(tags):
        changes.remove(tag_key(tag), ordinal)
    kind = "native" if template_name is None else "template"
    changes.remove(kind_key(kind, PLATFORM_NAMED[platform]), ordinal)
    changes.remove(kind_key("sibling", PLATFORM_NAMED[platform]), ordinal)


def _flag_siblings(
    connection: sqlite3.Connection, hub: int, ordinal: int, registration: Registration, changes: TagChanges
) -> None:
    """Mark native registrations that share a push channel, so that a send looks for doubles among them alone."""
    rows = connection.execute(
        "SELECT ordinal FROM registration WHERE hub = ? AND push_channel = ? AND platform = ? AND template_name IS NULL"
        " AND dead_at IS NULL",
        (hub, registration.push_channel, registration.platform.value),
    ).fetchall()
    if len(rows) < 2:
        return
    key = kind_key("sibling", registration.platform)
    for (sibling,) in rows:
        changes.add(key, sibling)
    connection.executemany("UPDATE registration SET sibling = 1 WHERE ordinal = ?", rows)


def _check_etag(current: int, if_match: int | None) -> None:
    if if_match is not None and if_match != current:
        raise PreconditionError(f"the ETag is {current}, not {if_match}")


# Reading


def get_installation(connection: sqlite3.Connection, hub: str, installation_id: str, *, now: float) -> Installation:
    """Raises: NotFoundError: there is none, or it has expired."""
    number = known_hub_id(connection, hub)
    found = connection.execute(
        "SELECT document FROM installation WHERE hub = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?)",
        (number, installation_id, now),
    ).fetchone()
    if found is None:
        raise NotFoundError("Installation not found.")
    dead = connection.execute(
        "SELECT 1 FROM registration WHERE hub = ? AND installation_id = ? AND dead_at IS NOT NULL LIMIT 1",
        (number, installation_id),
    ).fetchone()
    return installation_of(installation_id, found[0], expired=dead is not None)


def get_registration(connection: sqlite3.Connection, hub: str, registration_id: str, *, now: float) -> Registration:
    """Raises: NotFoundError: there is none, it has expired, or its push channel is dead."""
    row = connection.execute(
        "SELECT r.platform, r.push_channel, r.tags, r.template_name, t.body, t.headers, t.expiry, r.push_variables,"
        " r.installation_id, r.etag, r.expires_at FROM registration r LEFT JOIN template t ON t.id = r.template"
        " WHERE r.hub = ? AND r.registration_id = ? AND r.dead_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > ?)",
        (known_hub_id(connection, hub), registration_id, now),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"registration {registration_id!r} not found")
    platform, push_channel, tags, name, body, headers, expiry, variables, installation_id, etag, expires_at = row
    return Registration(
        registration_id=registration_id,
        platform=PLATFORM_NAMED[platform],
        push_channel=push_channel,
        tags=tuple(orjson.loads(tags)),
        template_name=name,
        template=None if body is None else Template(body=body, headers=orjson.loads(headers), expiry=expiry),
        push_variables=orjson.loads(variables) if variables else {},
        installation_id=installation_id,
        etag=etag,
        expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
    )


def registrations_by_platform(connection: sqlite3.Connection) -> dict[tuple[str, Platform], int]:
    counts: dict[tuple[str, Platform], int] = {}
    for hub, name in connection.execute("SELECT id, name FROM hub").fetchall():
        for platform in Platform.declared():
            live = sum(len(members(connection, hub, kind_key(kind, platform))) for kind in ("native", "template"))
            counts[name, platform] = live
    return counts


# Documents as kept: our own words, not the wire's, so that a change of the wire needs no migration.


def _document(installation: Installation) -> str:
    return orjson.dumps(
        {
            "platform": installation.platform.value,
            "push_channel": installation.push_channel,
            "user_id": installation.user_id,
            "tags": installation.tags,
            "templates": {
                name: {"body": t.body, "headers": dict(t.headers), "expiry": t.expiry, "tags": t.tags}
                for name, t in installation.templates.items()
            },
            "push_variables": dict(installation.push_variables),
            "expires_at": _seconds(installation.expires_at),
        }
    ).decode()


def installation_of(installation_id: str, document: str, *, expired: bool) -> Installation:
    """A document as it was put; `expired` says that its push channel is dead."""
    kept = orjson.loads(document)
    expires_at = kept["expires_at"]
    return Installation(
        id=installation_id,
        platform=PLATFORM_NAMED[kept["platform"]],
        push_channel=kept["push_channel"],
        user_id=kept["user_id"],
        tags=tuple(kept["tags"]),
        templates={
            name: Template(body=t["body"], headers=t["headers"], expiry=t["expiry"], tags=tuple(t["tags"]))
            for name, t in kept["templates"].items()
        },
        push_variables=kept["push_variables"],
        expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
        push_channel_expired=expired,
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
