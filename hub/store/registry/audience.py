"""Who notifications reach, in SQL: a batch of them takes six round trips a hub at most, as one notification does.

A notification that can only mean members of a few small tags has these members read and tried one by one. Of the others
the tags are joined as bitmaps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from pyroaring import BitMap

from hub.notification import PLATFORM_NAMED, Everyone, NativeContent, Notification, Platform
from hub.outcome import Unreached
from hub.store.connection import Connection
from hub.store.contracts.outbox import PAGE_SIZE, Audience
from hub.store.decide.audience import Kind, driving_tags, matching, pages_of, why_nobody
from hub.store.decide.tag_index import DEAD, TagId, key_id, kind_id
from hub.store.registry import statements
from hub.store.registry.index import Members, Place, read_members
from hub.store.registry.rows import unpack_channel, unpack_templates
from hub.tags import And, Not, Or, Tag, TagExpression, installation_tag, matches, tag_key, user_tag
from hub.target import StoredTemplate, Target

MAX_CANDIDATES = 4096
"""Registrations that are read and tried one by one, for one notification, at most."""

_NOBODY = frozenset[TagId]()


@dataclass(slots=True)
class Candidate:
    """A registration as it is read for a push, and whether it lives."""

    target: Target
    is_live: bool


@dataclass(slots=True)
class _Search:
    """One notification with what is known of its audience so far."""

    notification: Notification
    drivers: frozenset[TagId]
    is_native: bool
    platforms: frozenset[Platform]
    candidates: BitMap | None = None
    by_platform: dict[Platform, BitMap] = field(default_factory=dict)
    siblings: BitMap = field(default_factory=BitMap)


def audiences(
    connection: Connection,
    place: Place,
    notifications: Sequence[Notification],
    *,
    now: float,
    max_candidates: int = MAX_CANDIDATES,
) -> list[Audience]:
    """Of notifications for one hub, in order."""
    searches = [_search(notification) for notification in notifications]
    known = read_members(connection, place, frozenset().union(*(search.drivers for search in searches)))
    for search in searches:
        members = [known[tag] for tag in search.drivers]
        if members and sum(map(len, members)) <= max_candidates:
            search.candidates = BitMap.union(*members)
    large = [search for search in searches if search.candidates is None]
    tags = _read_joined(connection, place, large)
    for search in large:
        _join(search, tags)
    rows = read_candidates(connection, place, _wanted(searches), now=now)
    return [_found(search, known if search.candidates is not None else tags, rows) for search in searches]


def read_candidates(connection: Connection, place: Place, ordinals: BitMap, *, now: float) -> Mapping[int, Candidate]:
    """The registrations among `ordinals`, those that do not live too, in order of ordinal."""
    rows = connection.read_by_keys(statements.TARGETS, list(ordinals), now=now, **place._asdict())
    rows.sort()
    return {row[0]: Candidate(_target(row), bool(row[11])) for row in rows}


def targets(connection: Connection, place: Place, ordinals: BitMap, *, now: float) -> list[Target]:
    """The live registrations among `ordinals`, by ordinal."""
    found = read_candidates(connection, place, ordinals, now=now).values()
    return [candidate.target for candidate in found if candidate.is_live]


def templates(connection: Connection, ids: Sequence[int]) -> dict[int, StoredTemplate]:
    return {
        number: StoredTemplate(body=body, headers=orjson.loads(headers), expiry=expiry)
        for number, body, headers, expiry in connection.read_by_keys(statements.TEMPLATES, list(set(ids)))
    }


def everyone(tags: Members, kind: str, platform: Platform) -> BitMap:
    """The registrations of a kind whose push channel is not dead."""
    return tags[kind_id(kind, platform)] - tags[DEAD]


def of_tag(tags: Members) -> Any:
    """What `matching` asks for the members of a tag's key."""
    return lambda key: tags[key_id(key)]


def _search(notification: Notification) -> _Search:
    content, audience = notification.content, notification.audience
    drivers = None if isinstance(audience, Everyone) else driving_tags(audience)
    if isinstance(content, NativeContent):
        platforms = frozenset([content.platform])
    else:
        platforms = frozenset(Platform.declared()) if notification.platforms is None else notification.platforms
    return _Search(
        notification,
        _NOBODY if drivers is None else frozenset(map(key_id, drivers)),
        is_native=isinstance(content, NativeContent),
        platforms=platforms,
    )


def _read_joined(connection: Connection, place: Place, searches: Iterable[_Search]) -> Members:
    """All tags that the bitmaps of these are joined from."""
    wanted: set[TagId] = set()
    for search in searches:
        wanted.add(DEAD)
        wanted.update(kind_id(kind, p) for kind in ("native", "template", "sibling") for p in Platform.declared())
        if not isinstance(search.notification.audience, Everyone):
            wanted.update(key_id(key) for key in all_tags(search.notification.audience))
    return read_members(connection, place, wanted)


def all_tags(expression: TagExpression) -> Iterable[str]:
    match expression:
        case Tag(name):
            yield tag_key(name)
        case Not(operand):
            yield from all_tags(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from all_tags(operand)


def _join(search: _Search, tags: Members) -> None:
    audience = search.notification.audience
    kind = "native" if search.is_native else "template"
    for platform in search.platforms:
        found = matching(audience, of_tag(tags), everyone(tags, kind, platform))
        if found:
            search.by_platform[platform] = found
            if search.is_native:
                search.siblings |= found & tags[kind_id("sibling", platform)]


def _wanted(searches: Iterable[_Search]) -> BitMap:
    """What has to be read: candidates, registrations that may share a push channel, and audiences of one page."""
    wanted = BitMap()
    for search in searches:
        wanted |= search.siblings if search.candidates is None else search.candidates
        if _is_small(search):
            wanted |= BitMap.union(BitMap(), *search.by_platform.values())
    return wanted


def _is_small(search: _Search) -> bool:
    return sum(map(len, search.by_platform.values())) <= PAGE_SIZE


def _found(search: _Search, tags: Members, rows: Mapping[int, Candidate]) -> Audience:
    if search.candidates is not None:
        return _of_candidates(search, tags, [rows[ordinal] for ordinal in search.candidates if ordinal in rows])
    return _of_bitmaps(search, tags, rows)


def _of_candidates(search: _Search, tags: Members, candidates: Sequence[Candidate]) -> Audience:
    audience = search.notification.audience
    if not isinstance(audience, Tag | Everyone):  # of a single tag the index has said it all
        candidates = [each for each in candidates if matches(audience, each.target.tags())]
    chosen = [
        each.target
        for each in candidates
        if each.is_live
        and (each.target.template is None) is search.is_native
        and each.target.platform in search.platforms
    ]
    skipped = _doubles(chosen) if search.is_native else {}
    if skipped:
        left_out = BitMap.union(*skipped.values())
        chosen = [target for target in chosen if target.ordinal not in left_out]
    if not chosen:
        kinds = {(each.target.platform, each.target.template is not None) for each in candidates if each.is_live}
        is_known = any(tag in tags for tag in search.drivers)
        return Audience(unreached=_why(search.notification, kinds, was_found=bool(candidates) or is_known))
    if len(chosen) <= PAGE_SIZE:
        return Audience(targets=chosen, skipped=skipped)
    by_platform: dict[Platform, BitMap] = {}
    for target in chosen:
        by_platform.setdefault(target.platform, BitMap()).add(target.ordinal)
    return Audience(pages=_paged(by_platform), skipped=skipped)


def _of_bitmaps(search: _Search, tags: Members, rows: Mapping[int, Candidate]) -> Audience:
    skipped = _doubles(
        [rows[ordinal].target for ordinal in search.siblings if ordinal in rows and rows[ordinal].is_live]
    )
    for platform, doubles in skipped.items():
        search.by_platform[platform] -= doubles
    if not _is_small(search):
        return Audience(pages=_paged(search.by_platform), skipped=skipped)
    wanted = BitMap.union(BitMap(), *search.by_platform.values())
    chosen = [rows[ordinal].target for ordinal in wanted if ordinal in rows and rows[ordinal].is_live]
    if chosen:
        return Audience(targets=chosen, skipped=skipped)
    return Audience(unreached=_why_not_joined(search.notification, tags, rows, wanted))


def _why_not_joined(
    notification: Notification, tags: Members, rows: Mapping[int, Candidate], read: BitMap
) -> Unreached:
    """Asked only of an empty audience: which kinds match, whatever the content is for, and whether one of them lives."""
    live: set[Kind] = set()
    was_found = bool(read)
    for platform in Platform.declared():
        for kind in ("native", "template"):
            matched = matching(notification.audience, of_tag(tags), tags[kind_id(kind, platform)])
            was_found = was_found or bool(matched)
            alive = matched - tags[DEAD] - read  # what was read does not live, or it would have been chosen
            if alive:
                live.add((platform, kind == "template"))
    return _why(notification, live, was_found=was_found)


def _why(notification: Notification, live: set[Kind], *, was_found: bool) -> Unreached:
    if live:
        return why_nobody(notification.content, notification.platforms, live)
    if was_found:
        return Unreached.GONE
    return Unreached.NO_REGISTRATION if isinstance(notification.audience, Everyone) else Unreached.NO_TAG


def _doubles(found: Sequence[Target]) -> dict[Platform, BitMap]:
    """Among registrations by ordinal, those whose push channel came before."""
    seen: set[tuple[Platform, str]] = set()
    doubles: dict[Platform, BitMap] = {}
    for target in found:
        channel = (target.platform, target.push_channel)
        if channel in seen:
            doubles.setdefault(target.platform, BitMap()).add(target.ordinal)
        seen.add(channel)
    return doubles


def _paged(by_platform: Mapping[Platform, BitMap]) -> list[tuple[Platform, BitMap]]:
    return [(platform, page) for platform, found in by_platform.items() for page in pages_of(found, PAGE_SIZE)]


def _target(row: Sequence[Any]) -> Target:
    ordinal, platform, channel, template, variables, registered_at = row[:6]
    return Target(
        ordinal,
        PLATFORM_NAMED[platform],
        unpack_channel(channel),
        template,
        orjson.loads(variables) if variables else None,
        registered_at,
        partial(_tags_of, ordinal, template, *row[6:11]),
    )


def _tags_of(
    ordinal: int,
    template: int | None,
    key: str | None,
    given: str | None,
    user_id: str | None,
    tags: str,
    templates: str | None,
) -> frozenset[str]:
    """Keys of the tags that a registration carries, of the columns of its device."""
    carried = tags.split("\n") if tags else []
    if key is not None:
        carried.append(installation_tag(key if given is None else given))
        if user_id is not None:
            carried.append(user_tag(user_id))
    if template is not None:
        for each in unpack_templates(templates):
            if each.ordinal == ordinal:
                carried += each.tags
                if key is not None:
                    carried.append(each.name)
    return frozenset(map(tag_key, carried))
