"""Who a notification would reach, counted from the index as a send counts, and what those lack whom it would not reach."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyroaring import BitMap

from hub.notification import Everyone, NativeContent, Notification, Platform
from hub.outcome import Unreached
from hub.store.connection import Connection, Statement
from hub.store.contracts.registry import AudiencePreview, SampledRegistration
from hub.store.decide.audience import Kind, matching, platforms_for
from hub.store.decide.tag_index import DEAD, key_id, kind_id
from hub.store.registry import statements
from hub.store.registry.audience import audiences, doubles_among, has_text, spoken_for
from hub.store.registry.places import Place
from hub.store.registry.rows import device_of
from hub.store.registry.tags import TagSets
from hub.store.registry.targets import targets
from hub.tags import tag_keys

SAMPLES = 10
COUNTED = 100_000
"""Template registrations whose phones are counted, at most: beyond, who has no template is not said."""

EXPIRED = Statement(
    "registry_expired",
    "SELECT r.ordinal FROM device d JOIN registration r ON r.hub = d.hub AND r.shard = d.shard AND r.device = d.ordinal"
    " WHERE d.hub = :hub AND d.shard = :shard AND d.expires_at <= :now",
)
DEVICES_OF = Statement(
    "registry_devices_of",
    "SELECT device FROM registration WHERE hub = :hub AND shard = :shard AND ordinal IN (:keys)",
    (("ordinal", "bigint"),),
)

_KINDS = ("native", "template", "sibling")


def preview(
    connection: Connection, place: Place, notification: Notification, guarded: Notification, *, now: float
) -> AudiencePreview:
    """What `guarded`, the notification with the audience that its hub's guard leaves, would reach now."""
    sets = TagSets(connection, place)
    keys = [*_keys(notification), *_keys(guarded)]
    sets.load([DEAD, *(kind_id(kind, each) for kind in _KINDS for each in Platform.known())], keys)
    expired = BitMap([ordinal for (ordinal,) in connection.read(EXPIRED, hub=place.hub, shard=place.shard, now=now)])
    gone = sets.members(DEAD) | expired
    is_native = isinstance(guarded.content, NativeContent)
    holds_text = has_text(guarded)
    meant = list(platforms_for(guarded.content, guarded.platforms, Platform.known()))
    all_ = _matched(sets, guarded)
    live = {kind: ordinals - gone for kind, ordinals in all_.items()}
    reached = {platform: live[platform, not is_native] for platform in meant}
    if holds_text:
        bare = {platform: live[platform, False] for platform in meant}
        reached = {
            platform: reached[platform] | (bare[platform] - BitMap(spoken_for(connection, place, bare[platform], now)))
            for platform in meant
        }
    reached = {platform: ordinals for platform, ordinals in reached.items() if ordinals}
    skipped = _doubles(connection, place, sets, reached, now) if is_native or holds_text else {}
    for platform, doubles in skipped.items():
        reached[platform] = reached[platform] - doubles
    unguarded = all_ if guarded is notification else _matched(sets, notification)
    left_out = {
        kind: (ordinals - gone) - live[kind]
        for kind, ordinals in unguarded.items()
        if kind[1] is not is_native and kind[0] in meant
    }
    found = AudiencePreview(
        counts={platform: len(ordinals) for platform, ordinals in reached.items()},
        skipped={platform: len(ordinals) for platform, ordinals in skipped.items()},
        samples=_samples(connection, place, reached),
        without_template={} if is_native or holds_text else _without_template(connection, place, live, meant),
        other_platforms={
            platform: len(ordinals)
            for (platform, is_template), ordinals in live.items()
            if not is_template and platform not in meant and ordinals
        },
        left_out=sum(map(len, left_out.values())),
        gone=sum(len(all_[platform, not is_native] & gone) for platform in meant),
        tags={key: len(sets.members(key_id(key)) - gone) for key in dict.fromkeys(_keys(notification))},
    )
    if reached:
        return found
    (audience,) = audiences(connection, place, [guarded], now=now)
    return replace(found, unreached=Unreached.ONLY_TO if found.left_out else audience.unreached)


def nowhere(notification: Notification) -> AudiencePreview:
    """Of a hub where nothing was ever registered."""
    is_for_all = isinstance(notification.audience, Everyone)
    return AudiencePreview(
        tags=dict.fromkeys(_keys(notification), 0),
        unreached=Unreached.NO_REGISTRATION if is_for_all else Unreached.NO_TAG,
    )


def _keys(notification: Notification) -> list[str]:
    return [] if isinstance(notification.audience, Everyone) else list(tag_keys(notification.audience))


def _matched(sets: TagSets, notification: Notification) -> dict[Kind, BitMap]:
    """The registrations that the audience means, dead or alive, by platform and whether they have a template."""

    def members(key: str) -> BitMap:
        return sets.members(key_id(key))

    return {
        (platform, kind == "template"): matching(notification.audience, members, sets.members(kind_id(kind, platform)))
        for platform in Platform.known()
        for kind in ("native", "template")
    }


def _doubles(
    connection: Connection, place: Place, sets: TagSets, reached: Mapping[Platform, BitMap], now: float
) -> Mapping[Platform, BitMap]:
    flagged = {
        platform: ordinals & sets.members(kind_id("sibling", platform)) for platform, ordinals in reached.items()
    }
    siblings = BitMap.union(BitMap(), *flagged.values())
    found = {target.ordinal: target for target in targets(connection, place, siblings, now=now)} if siblings else {}
    return doubles_among(flagged, found)


def _without_template(
    connection: Connection, place: Place, live: Mapping[Kind, BitMap], meant: Sequence[Platform]
) -> Mapping[Platform, int] | None:
    """Phones that match and have no template that does; None: there are too many to say."""
    templates = BitMap.union(BitMap(), *(live[platform, True] for platform in meant))
    if len(templates) > COUNTED:
        return None
    rows = connection.read_by_keys(DEVICES_OF, list(templates), hub=place.hub, shard=place.shard)
    having = BitMap([device for (device,) in rows])
    lacking = {platform: len(live[platform, False] - having) for platform in meant}
    return {platform: count for platform, count in lacking.items() if count}


def _samples(connection: Connection, place: Place, reached: Mapping[Platform, BitMap]) -> Sequence[SampledRegistration]:
    """The first of each platform, as many of each as of the others where there are enough."""
    chosen = [ordinals[rank] for rank in range(SAMPLES) for ordinals in reached.values() if rank < len(ordinals)]
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, chosen[:SAMPLES], hub=place.hub, shard=place.shard)
    samples = []
    for ordinal, device in sorted(((row[0], device_of(row[1:])) for row in rows), key=lambda found: found[0]):
        name = next((each.name for each in device.templates if each.ordinal == ordinal), None)
        samples.append(
            SampledRegistration(
                platform=device.platform,
                device=device.installation_id or device.registration_id or "",
                push_channel=device.push_channel,
                template=name,
                user_id=device.user_id,
            )
        )
    return samples
