"""Who a notification reaches, in SQL: by single registrations where few tags lead to all of them, else by bitmaps.

A batch makes five round trips, whatever its size: the tags that lead, the templates that carry these, all registrations
that carry them where these are not asked for alone or reach nobody, the other tags, the registrations of what is left; one
more where phones with secondary tiles are named.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from hub.notification import PLATFORM_NAMED, Everyone, NativeContent, Notification, Platform, TemplateContent
from hub.outcome import Unreached
from hub.platforms.table import services
from hub.store.connection import Connection, Row
from hub.store.contracts.outbox import PAGE_SIZE, Audience
from hub.store.decide.audience import (
    Kind,
    driving_tags,
    matching,
    pages_of,
    passed_over,
    platforms_for,
    wanted_tags,
    why_nobody,
)
from hub.store.decide.tag_index import DEAD, TagId, key_id, kind_id, zone_id
from hub.store.registry import statements
from hub.store.registry.places import Place
from hub.store.registry.tags import TagSets
from hub.store.registry.targets import tags_of, targets, targets_of
from hub.tags import Tag, is_direct, matches, tag_key, tag_keys
from hub.target import Target
from hub.windows import all_zones

_AT_ONCE = 20_000
"""Registrations that are looked at by one statement, to see whether their phone has a template."""

MAX_CANDIDATES = 256
"""Registrations that are tried one by one, at most."""


@dataclass(slots=True)
class _Asked:
    """A notification on its way to its audience; `candidates` None: its audience is found by bitmaps. Registrations of its
    `platforms` receive its content."""

    notification: Notification
    driver: frozenset[str] | None
    platforms: Collection[Platform]
    candidates: BitMap | None = None
    by_platform: dict[Platform, BitMap] = field(default_factory=dict)
    matched: dict[Kind, BitMap] = field(default_factory=dict)
    live: dict[Kind, int] = field(default_factory=dict)
    found: bool = False
    audience: Audience | None = None

    @property
    def is_native(self) -> bool:
        return isinstance(self.notification.content, NativeContent)

    @property
    def has_text(self) -> bool:
        """Whether phones without a template of their own get a text held here."""
        return has_text(self.notification)

    @property
    def is_for_templates(self) -> bool:
        """Whether registrations with a template alone receive its content, as nearly always."""
        content = self.notification.content
        return isinstance(content, TemplateContent) and content.text is None

    @property
    def kinds(self) -> Sequence[str]:
        """Of registrations that receive its content."""
        if self.has_text:
            return ("native", "template")
        return ("native",) if self.is_native else ("template",)


def has_text(notification: Notification) -> bool:
    """Whether phones without a template of their own get a text held here."""
    return isinstance(notification.content, TemplateContent) and notification.content.text is not None


def nowhere(notification: Notification) -> Audience:
    """Of a hub where nothing was ever registered."""
    is_for_all = isinstance(notification.audience, Everyone)
    return Audience(unreached=Unreached.NO_REGISTRATION if is_for_all else Unreached.NO_TAG)


def audiences(
    connection: Connection,
    place: Place,
    notifications: Sequence[Notification],
    *,
    now: float,
    max_candidates: int = MAX_CANDIDATES,
) -> list[Audience]:
    """Who each reaches now, in order."""
    sets = TagSets(connection, place)
    every = tuple(Platform.known())
    asked = [_Asked(each, _driver(each), platforms_for(each.content, each.platforms, every)) for each in notifications]
    sets.load(keys=[key for one in asked for key in one.driver or ()])
    for one in asked:
        if one.driver is not None:
            found = [sets.members(key_id(key)) for key in one.driver]
            members = found[0] if len(found) == 1 else BitMap.union(BitMap(), *found)
            # Push channels of a direct send are of no kind, so bitmaps would not find them; they fit in a page.
            limit = PAGE_SIZE if is_direct(one.notification.audience) else max_candidates
            one.candidates = members if len(members) <= limit else None
    led = [one for one in asked if one.candidates is not None]
    _try_templates(connection, place, [one for one in led if one.is_for_templates], now)
    _try_candidates(connection, place, [one for one in led if one.audience is None], now)
    _join_bitmaps(connection, place, sets, [one for one in asked if one.audience is None], now)
    return [one.audience or Audience() for one in asked]


def zones(connection: Connection, place: Place) -> dict[str, BitMap]:
    """The registrations by the time zone that their phones say, of all zones that there are: one read."""
    by_id = {zone_id(zone): zone for zone in all_zones()}
    sets = TagSets(connection, place)
    sets.load(by_id)
    return {zone: found for id_, zone in by_id.items() if (found := sets.members(id_))}


# By candidates


def _driver(notification: Notification) -> frozenset[str] | None:
    return None if isinstance(notification.audience, Everyone) else driving_tags(notification.audience)


def _try_templates(connection: Connection, place: Place, asked: Sequence[_Asked], now: float) -> None:
    """Gives audiences to those that reach a template; why the others reach nobody, all their candidates say."""
    wanted = BitMap.union(BitMap(), *[one.candidates for one in asked if one.candidates])
    rows = connection.read_by_keys(statements.TEMPLATES_AMONG, list(wanted), hub=place.hub, shard=place.shard, now=now)
    known = {row[0]: row for row in rows}
    for one in asked:
        chosen = [row for row in _matching(one, known) if PLATFORM_NAMED[row[1]] in one.platforms]
        if chosen:
            one.audience = Audience(targets=targets_of(chosen))


def _try_candidates(connection: Connection, place: Place, asked: Sequence[_Asked], now: float) -> None:
    """Gives audiences to those that are not empty."""
    wanted = BitMap.union(BitMap(), *[one.candidates for one in asked if one.candidates])
    rows = connection.read_by_keys(statements.CANDIDATES, list(wanted), hub=place.hub, shard=place.shard)
    known = {row[0]: row for row in rows}
    spoken_for = _spoken_for_candidates(connection, place, asked, known, now)
    for one in asked:
        matched = _matching(one, known)
        live = [row for row in matched if _lives(row, now)]
        chosen = [row for row in live if _receives(one, row)]
        skipped: dict[Platform, BitMap] = {}
        if one.is_native or one.has_text:
            chosen, skipped = _without_doubles([row for row in chosen if row[0] not in spoken_for])
        if chosen:
            one.audience = Audience(targets=targets_of(chosen), skipped=skipped)
        else:
            one.found = bool(matched)
            one.live = Counter((PLATFORM_NAMED[row[1]], row[3] is not None) for row in live)


def _matching(one: _Asked, known: Mapping[int, Row]) -> list[Row]:
    """The registrations among the candidates that the audience means: of a single tag, all that the index names."""
    rows = [known[ordinal] for ordinal in one.candidates or () if ordinal in known]
    expression = one.notification.audience
    assert not isinstance(expression, Everyone)
    if isinstance(expression, Tag):
        return rows
    return [row for row in rows if matches(expression, frozenset(map(tag_key, tags_of(row))))]


def _lives(row: Row, now: float) -> bool:
    dead_at, expires_at = row[-2:]
    return dead_at is None and (expires_at is None or expires_at > now)


def _receives(one: _Asked, row: Row) -> bool:
    is_kind = one.has_text or (row[3] is None) is one.is_native
    return is_kind and PLATFORM_NAMED[row[1]] in one.platforms


def _spoken_for_candidates(
    connection: Connection, place: Place, asked: Sequence[_Asked], known: Mapping[int, Row], now: float
) -> BitMap:
    """The native registrations among candidates whose phone has a template: no text held here is for them."""
    natives = {
        ordinal
        for one in asked
        if one.has_text
        for ordinal in one.candidates or ()
        if ordinal in known and known[ordinal][3] is None
    }
    return BitMap(spoken_for(connection, place, natives, now)) if natives else BitMap()


def spoken_for(connection: Connection, place: Place, natives: Iterable[int], now: float) -> Iterator[int]:
    """Those of native registrations to which no text held here is pushed, as their phone has a template of its own."""
    wanted = list(natives)
    for first in range(0, len(wanted), _AT_ONCE):
        keys = wanted[first : first + _AT_ONCE]
        rows = connection.read_by_keys(statements.SPOKEN_FOR, keys, hub=place.hub, shard=place.shard, now=now)
        yield from (ordinal for (ordinal,) in rows)


def _without_doubles(chosen: Sequence[Row]) -> tuple[list[Row], dict[Platform, BitMap]]:
    seen: set[tuple[str, bytes]] = set()
    kept: list[Row] = []
    skipped: dict[Platform, BitMap] = {}
    for row in chosen:
        ordinal, platform, channel = row[:3]
        if row[3] is not None:  # each template has its push
            kept.append(row)
            continue
        if (platform, channel) in seen:
            skipped.setdefault(PLATFORM_NAMED[platform], BitMap()).add(ordinal)
        else:
            seen.add((platform, channel))
            kept.append(row)
    return kept, skipped


# By bitmaps


def _join_bitmaps(connection: Connection, place: Place, sets: TagSets, asked: Sequence[_Asked], now: float) -> None:
    if not asked:
        return
    keys = [key for one in asked for key in _keys(one)]
    sets.load([tag for one in asked for tag in _tags_for_bitmaps(one)], keys)
    dead = sets.members(DEAD)
    wanted = BitMap()
    for one in asked:
        if one.candidates is None:
            wanted |= _match(connection, place, one, sets, dead, now)
    found = {target.ordinal: target for target in targets(connection, place, wanted, now=now)}
    for one in asked:
        one.audience = _audience(one, sets, dead, found)


def _keys(one: _Asked) -> Iterable[str]:
    """Of the tags of the expression."""
    audience = one.notification.audience
    return () if isinstance(audience, Everyone) else tag_keys(audience)


def _tags_for_bitmaps(one: _Asked) -> Iterator[TagId]:
    """Those that lead to nothing need no more than the tags of the expression, which say why."""
    yield DEAD
    yield from map(key_id, _keys(one))
    if one.candidates is None:
        for platform in Platform.known():
            for kind in ("native", "template", "sibling"):
                yield kind_id(kind, platform)


def _match(connection: Connection, place: Place, one: _Asked, sets: TagSets, dead: BitMap, now: float) -> BitMap:
    """Find what the audience means; the registrations that have to be looked at for that.

    Those are a small audience itself, flagged ones of a large native one, and of an empty one the first of each kind.
    """
    siblings = BitMap()
    for platform in one.platforms:
        matched = BitMap.union(*(_matched(one, sets, kind, platform) for kind in one.kinds))
        if one.has_text:
            matched -= _without_text(connection, place, sets, platform, matched - dead, now)
        if "native" in one.kinds:
            siblings |= (matched - dead) & sets.members(kind_id("sibling", platform))
        if alive := matched - dead:
            one.by_platform[platform] = alive
        one.found = one.found or bool(matched)
    if one.by_platform:
        small = sum(map(len, one.by_platform.values())) - len(siblings) <= PAGE_SIZE
        return BitMap.union(*one.by_platform.values()) if small else siblings
    first = BitMap()
    for platform in Platform.known():
        for each in ("native", "template"):
            matched = _matched(one, sets, each, platform)
            one.found = one.found or bool(matched)
            one.matched[platform, each == "template"] = alive = matched - dead
            first |= alive[:PAGE_SIZE]
    return first


def _without_text(
    connection: Connection, place: Place, sets: TagSets, platform: Platform, matched: BitMap, now: float
) -> BitMap:
    """The native registrations of an audience to which no text held here is pushed.

    They are found from the fewer: those of the audience, or the templates of the platform. Where there are none, and no
    tiles, there is nothing to look for.
    """
    natives = matched & sets.members(kind_id("native", platform))
    templates = sets.members(kind_id("template", platform)) - sets.members(DEAD)
    has_tiles = any(each.platform is platform and each.has_tiles for each in services())
    if not natives or not (templates or has_tiles):
        return BitMap()
    if has_tiles or len(natives) <= len(templates):
        return BitMap(spoken_for(connection, place, natives, now))
    found = BitMap()
    wanted = list(templates)
    for first in range(0, len(wanted), _AT_ONCE):
        keys = wanted[first : first + _AT_ONCE]
        rows = connection.read_by_keys(statements.SPOKEN_FOR_BY, keys, hub=place.hub, shard=place.shard, now=now)
        found |= BitMap([ordinal for (ordinal,) in rows])
    return natives & found


def _matched(one: _Asked, sets: TagSets, kind: str, platform: Platform) -> BitMap:
    members = lambda key: sets.members(key_id(key))  # noqa: E731
    return matching(one.notification.audience, members, sets.members(kind_id(kind, platform)))


def _audience(one: _Asked, sets: TagSets, dead: BitMap, found: Mapping[int, Target]) -> Audience:
    skipped = _doubles(one, sets, found) if "native" in one.kinds else {}
    for platform, doubles in skipped.items():
        one.by_platform[platform] -= doubles
    if sum(map(len, one.by_platform.values())) > PAGE_SIZE:
        pages = [(platform, page) for platform, all_ in one.by_platform.items() for page in pages_of(all_, PAGE_SIZE)]
        return Audience(pages=pages, skipped=skipped)
    chosen = BitMap.union(BitMap(), *one.by_platform.values())
    if reached := [found[ordinal] for ordinal in chosen if ordinal in found]:
        return Audience(targets=reached, skipped=skipped)
    for kind, alive in one.matched.items():
        first = alive[:PAGE_SIZE]
        if live := sum(ordinal in found for ordinal in first):
            one.live[kind] = len(alive) - len(first) + live
    return Audience(unreached=_why(one, sets, dead), passed_over=passed_over(one.live, one.platforms))


def _doubles(one: _Asked, sets: TagSets, found: Mapping[int, Target]) -> dict[Platform, BitMap]:
    """Among the flagged of an audience, those whose push channel came before."""
    flagged = {
        platform: ordinals & sets.members(kind_id("sibling", platform))
        for platform, ordinals in one.by_platform.items()
    }
    return doubles_among(flagged, found)


def doubles_among(flagged: Mapping[Platform, BitMap], found: Mapping[int, Target]) -> dict[Platform, BitMap]:
    """Of registrations that share a push channel with others, those whose push channel came before."""
    doubles: dict[Platform, BitMap] = {}
    for platform, ordinals in flagged.items():
        seen: set[str] = set()
        for ordinal in ordinals:
            target = found.get(ordinal)
            if target is None:
                continue
            if target.push_channel in seen:
                doubles.setdefault(platform, BitMap()).add(ordinal)
            seen.add(target.push_channel)
    return doubles


def _why(one: _Asked, sets: TagSets, dead: BitMap) -> Unreached:
    """Why an audience is empty, by the registrations that match whatever their kind."""
    notification = one.notification
    if one.live:
        return why_nobody(notification.content, notification.platforms, one.live)
    if one.found:
        return Unreached.GONE
    if isinstance(notification.audience, Everyone):
        return Unreached.NO_REGISTRATION
    wanted = [key_id(key) for key in wanted_tags(notification.audience)]
    once_carried = (tag for tag in wanted if sets.is_known(tag))
    return Unreached.GONE if any(not sets.members(tag) - dead for tag in once_carried) else Unreached.NO_TAG
