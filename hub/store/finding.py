"""Who a notification reaches, in SQL; each function works inside the transaction of its caller."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import orjson
from pyroaring import BitMap

from hub.notification import PLATFORM_NAMED, Everyone, NativeContent, Notification, Platform
from hub.outcome import Unreached
from hub.store.base import PAGE_SIZE, Audience
from hub.store.decide.audience import (
    Kind,
    driving_tags,
    kind_key,
    kinds_for,
    matching,
    pages_of,
    wanted_tags,
    why_nobody,
)
from hub.store.hubs import known_hub_id
from hub.store.tag_index import FOLD_AT, few, is_known, members
from hub.tags import Tag, TagExpression, matches, tag_key
from hub.target import StoredTemplate, Target

_TARGET_COLUMNS = (
    "r.ordinal, r.platform, r.push_channel, r.template, r.push_variables, r.registered_at, r.sibling, r.tags"
)


def audience_of(
    connection: sqlite3.Connection, notification: Notification, *, now: float, max_candidates: int = FOLD_AT
) -> Audience:
    """Who the notification reaches now; by single registrations where few tags lead to all of them, else by bitmaps.

    `max_candidates` bounds the registrations that are tried one by one.
    """
    hub = known_hub_id(connection, notification.hub)
    if hub is None:
        is_for_all = isinstance(notification.audience, Everyone)
        return Audience(nobody=Unreached.NO_REGISTRATION if is_for_all else Unreached.NO_TAG)
    audience = _audience_in(connection, hub, notification, now, max_candidates)
    if audience.targets or audience.pages:
        return audience
    return replace(audience, nobody=_why_nobody(connection, hub, notification, now, max_candidates))


def _audience_in(
    connection: sqlite3.Connection, hub: int, notification: Notification, now: float, max_candidates: int
) -> Audience:
    native = isinstance(notification.content, NativeContent)
    kinds = kinds_for(notification.content, notification.platforms)
    if not isinstance(notification.audience, Everyone):
        driver = driving_tags(notification.audience)
        tags = None if driver is None else few(connection, hub, driver, max_candidates)
        if tags is not None:
            return _from_candidates(connection, tags, notification.audience, frozenset(kinds), native, now)
    return _from_bitmaps(connection, hub, notification, kinds, native, now)


def _from_candidates(
    connection: sqlite3.Connection,
    tags: Sequence[int],
    expression: TagExpression,
    platforms: frozenset[Platform],
    native: bool,
    now: float,
) -> Audience:
    rows: dict[int, tuple[Any, ...]] = {}
    for tag in tags:
        for row in connection.execute(
            f"SELECT {_TARGET_COLUMNS} FROM tag_row m JOIN registration r ON r.ordinal = m.ordinal"
            f" WHERE m.tag = ? AND r.template_name IS {'NULL' if native else 'NOT NULL'}"
            " AND r.dead_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > ?)",
            (tag, now),
        ):
            rows[row[0]] = row
    single = isinstance(expression, Tag)  # then the index has said it all
    chosen = [
        row
        for row in rows.values()
        if PLATFORM_NAMED[row[1]] in platforms
        and (single or matches(expression, frozenset(tag_key(tag) for tag in orjson.loads(row[7]))))
    ]
    chosen.sort()
    skipped = _doubles(chosen) if native else {}
    if skipped:
        left_out = BitMap.union(*skipped.values())
        chosen = [row for row in chosen if row[0] not in left_out]
    if len(chosen) <= PAGE_SIZE:
        return Audience(targets=[_target(row) for row in chosen], skipped=skipped)
    by_platform: dict[Platform, BitMap] = {}
    for row in chosen:
        by_platform.setdefault(PLATFORM_NAMED[row[1]], BitMap()).add(row[0])
    return Audience(pages=_paged(by_platform), skipped=skipped)


def _from_bitmaps(
    connection: sqlite3.Connection,
    hub: int,
    notification: Notification,
    kinds: Mapping[Platform, str],
    native: bool,
    now: float,
) -> Audience:
    by_platform: dict[Platform, BitMap] = {}
    skipped: dict[Platform, BitMap] = {}
    tag_members: dict[str, BitMap] = {}

    def of_tag(key: str) -> BitMap:
        if key not in tag_members:
            tag_members[key] = members(connection, hub, key)
        return tag_members[key]

    for platform, kind in kinds.items():
        found = matching(notification.audience, of_tag, members(connection, hub, kind))
        if native:
            siblings = found & members(connection, hub, kind_key("sibling", platform))
            doubles = _doubles(_rows(connection, siblings, now)).get(platform)
            if doubles:
                skipped[platform] = doubles
                found -= doubles
        if found:
            by_platform[platform] = found
    if sum(map(len, by_platform.values())) <= PAGE_SIZE:
        wanted = BitMap.union(BitMap(), *by_platform.values())
        return Audience(targets=[_target(row) for row in _rows(connection, wanted, now)], skipped=skipped)
    return Audience(pages=_paged(by_platform), skipped=skipped)


def _why_nobody(
    connection: sqlite3.Connection, hub: int, notification: Notification, now: float, max_candidates: int
) -> Unreached:
    """Asked only of an empty audience: which registrations match, whatever their kind, and whether they live."""
    audience = notification.audience
    driver = None if isinstance(audience, Everyone) else driving_tags(audience)
    tags = None if driver is None else few(connection, hub, driver, FOLD_AT)
    if tags is not None and not isinstance(audience, Everyone):
        found, live = _kinds_of_candidates(connection, tags, audience, now)
    else:
        found, live = _kinds_by_bitmaps(connection, hub, notification, now)
    if live:
        return why_nobody(notification.content, notification.platforms, live)
    if found:
        return Unreached.GONE
    if isinstance(audience, Everyone):
        return Unreached.NO_REGISTRATION
    # The index forgets the phones that are gone at once, and never a tag that a phone has carried.
    once_carried = (key for key in wanted_tags(audience) if is_known(connection, hub, key))
    return Unreached.GONE if any(not members(connection, hub, key) for key in once_carried) else Unreached.NO_TAG


def _kinds_of_candidates(
    connection: sqlite3.Connection, tags: Sequence[int], expression: TagExpression, now: float
) -> tuple[bool, set[Kind]]:
    """Whether registrations with these tags match, and the kinds of those that live."""
    found, live = False, set[Kind]()
    for tag in tags:
        for platform, is_template, is_alive, carried in connection.execute(
            "SELECT r.platform, r.template_name IS NOT NULL,"
            " r.dead_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > ?), r.tags"
            " FROM tag_row m JOIN registration r ON r.ordinal = m.ordinal WHERE m.tag = ?",
            (now, tag),
        ):
            if matches(expression, frozenset(tag_key(one) for one in orjson.loads(carried))):
                found = True
                if is_alive:
                    live.add((PLATFORM_NAMED[platform], bool(is_template)))
    return found, live


def _kinds_by_bitmaps(
    connection: sqlite3.Connection, hub: int, notification: Notification, now: float
) -> tuple[bool, set[Kind]]:
    """As `_kinds_of_candidates`, by whole tags: a kind lives if one of up to a page of its registrations does."""
    found, live = False, set[Kind]()
    of_tag = lru_cache(maxsize=None)(partial(members, connection, hub))
    for platform in Platform.declared():
        for kind in ("native", "template"):
            matched = matching(notification.audience, of_tag, of_tag(kind_key(kind, platform)))
            found = found or bool(matched)
            if matched and _rows(connection, matched[:PAGE_SIZE], now):
                live.add((platform, kind == "template"))
    return found, live


def targets(connection: sqlite3.Connection, ordinals: BitMap, *, now: float) -> list[Target]:
    """The live registrations among `ordinals`, by ordinal."""
    return [_target(row) for row in _rows(connection, ordinals, now)]


def templates(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, StoredTemplate]:
    found = {}
    for template in ids:
        row = connection.execute("SELECT body, headers, expiry FROM template WHERE id = ?", (template,)).fetchone()
        if row is not None:
            found[template] = StoredTemplate(body=row[0], headers=orjson.loads(row[1]), expiry=row[2])
    return found


def _rows(connection: sqlite3.Connection, ordinals: BitMap, now: float) -> list[tuple[Any, ...]]:
    """A page is mostly a run of neighbours: a range read costs a fraction of as many look-ups."""
    if not ordinals:
        return []
    first, last = ordinals.min(), ordinals.max()
    alive = "r.dead_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > ?)"
    if last - first < 4 * len(ordinals):
        query = f"SELECT {_TARGET_COLUMNS} FROM registration r WHERE r.ordinal BETWEEN ? AND ? AND {alive} ORDER BY 1"
        rows = connection.execute(query, (first, last, now)).fetchall()
        return rows if last - first + 1 == len(ordinals) else [row for row in rows if row[0] in ordinals]
    query = (
        f"SELECT {_TARGET_COLUMNS} FROM json_each(?) o JOIN registration r ON r.ordinal = o.value"
        f" WHERE {alive} ORDER BY 1"
    )
    return connection.execute(query, (orjson.dumps(list(ordinals)).decode(), now)).fetchall()


def _doubles(rows: Iterable[tuple[Any, ...]]) -> dict[Platform, BitMap]:
    """Among rows in order of ordinal, the flagged ones whose push channel came before."""
    seen: set[tuple[str, str]] = set()
    doubles: dict[Platform, BitMap] = {}
    for row in rows:
        if row[6]:
            channel = (row[1], row[2])
            if channel in seen:
                doubles.setdefault(PLATFORM_NAMED[row[1]], BitMap()).add(row[0])
            seen.add(channel)
    return doubles


def _paged(by_platform: Mapping[Platform, BitMap]) -> list[tuple[Platform, BitMap]]:
    return [(platform, page) for platform, found in by_platform.items() for page in pages_of(found, PAGE_SIZE)]


def _target(row: tuple[Any, ...]) -> Target:
    return Target(
        row[0], PLATFORM_NAMED[row[1]], row[2], row[3], orjson.loads(row[4]) if row[4] else None, row[5], row[7]
    )
