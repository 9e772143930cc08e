"""The registry's statements: every one on a table of a hub says hub and shard."""

from hub.store.connection import Statement

_BIGINT, _TEXT, _BYTES, _DOUBLE = "bigint", "text", "bytea", "double precision"
_PLACE = (("hub", _BIGINT), ("shard", _BIGINT))
_HERE = "hub = :hub AND shard = :shard"

DEVICE_COLUMNS = (
    *_PLACE,
    ("ordinal", _BIGINT),
    ("installation_key", _TEXT),
    ("installation_id", _TEXT),
    ("registration_id", _TEXT),
    ("platform", _TEXT),
    ("push_channel", _BYTES),
    ("channel_key", _BIGINT),
    ("user_id", _TEXT),
    ("tags", _TEXT),
    ("templates", _TEXT),
    ("push_variables", _TEXT),
    ("etag", _BIGINT),
    ("registered_at", _DOUBLE),
    ("expires_at", _DOUBLE),
    ("sibling", _BIGINT),
    ("dead_at", _DOUBLE),
    ("dead_reason", _TEXT),
    ("locale", _TEXT),
    ("time_zone", _TEXT),
)
_NAMES = [name for name, _ in DEVICE_COLUMNS]
_INSERT_DEVICE = (
    f"INSERT INTO device ({', '.join(_NAMES)}) VALUES ({', '.join(f':{name}' for name in _NAMES)}) ON CONFLICT"
)


def _device(alias: str) -> str:
    """What `rows.device_of` reads."""
    return ", ".join(f"{alias}.{name}" for name in _NAMES[2:] if name != "channel_key")


_LIVES = "d.dead_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > :now)"

# Hubs, shards, ordinals, templates

HUBS = Statement("registry_hubs", "SELECT id, name FROM hub ORDER BY id")
ADD_HUB = Statement(
    "registry_add_hub",
    "INSERT INTO hub (id, name) SELECT COALESCE(MAX(id), 0) + 1, :name FROM hub WHERE 1 = 1 ON CONFLICT DO NOTHING",
)
ADD_SHARDS = Statement(
    "registry_add_shards",
    "INSERT INTO shard (hub, shard, next_ordinal) SELECT id, :shard, 1 FROM hub WHERE name = :name"
    " ON CONFLICT (hub, shard) DO NOTHING",
)
RESERVE_ORDINALS = Statement(
    "registry_reserve_ordinals",
    f"UPDATE shard SET next_ordinal = next_ordinal + :count WHERE {_HERE} RETURNING next_ordinal",
)
HOLD_INDEX = Statement("registry_hold_index", f"SELECT next_ordinal FROM shard WHERE {_HERE}")
"""Who writes blocks of the index reads them first: PostgreSQL lets one transaction of a shard do so at a time."""
CLAIM_FREE_ORDINALS = Statement(
    "registry_claim_free_ordinals",
    f"DELETE FROM registration WHERE {_HERE} AND ordinal IN (SELECT ordinal FROM registration WHERE {_HERE}"
    " AND freed_at < :before ORDER BY freed_at LIMIT :limit) RETURNING ordinal",
)
ADD_TEMPLATES = Statement(
    "registry_add_templates",
    "INSERT INTO template (id, body, headers, expiry) VALUES (:id, :body, :headers, :expiry) ON CONFLICT (id) DO NOTHING",
    (("id", _BIGINT), ("body", _TEXT), ("headers", _TEXT), ("expiry", _TEXT)),
)
TEMPLATES = Statement(
    "registry_templates", "SELECT id, body, headers, expiry FROM template WHERE id IN (:keys)", (("id", _BIGINT),)
)

# Devices

DEVICES_BY_INSTALLATION = Statement(
    "registry_devices_by_installation",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND installation_key IN (:keys)",
    (("installation_key", _TEXT),),
)
DEVICES_BY_REGISTRATION = Statement(
    "registry_devices_by_registration",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND registration_id IN (:keys)",
    (("registration_id", _TEXT),),
)
DEVICES_BY_CHANNEL = Statement(
    "registry_devices_by_channel",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND channel_key IN (:keys)",
    (("channel_key", _BIGINT),),
)
HELD_BY_INSTALLATION, HELD_BY_REGISTRATION, HELD_BY_CHANNEL = (
    Statement(each.name.replace("_devices_", "_held_"), each.text, each.columns)
    for each in (DEVICES_BY_INSTALLATION, DEVICES_BY_REGISTRATION, DEVICES_BY_CHANNEL)
)
"""The same for what is about to be written: PostgreSQL locks the rows."""
DEVICES_BY_ORDINAL = Statement(
    "registry_devices_by_ordinal",
    f"SELECT r.ordinal, {_device('d')} FROM registration r JOIN device d ON d.hub = r.hub AND d.shard = r.shard"
    " AND d.ordinal = r.device WHERE r.hub = :hub AND r.shard = :shard AND r.ordinal IN (:keys)",
    (("ordinal", _BIGINT),),
)
DEVICES_OF_SAME_CHANNEL = Statement(
    "registry_devices_of_same_channel",
    f"SELECT r.ordinal, d.hub, {_device('d')} FROM hub h JOIN registration r ON r.hub = h.id AND r.shard = :shard"
    " JOIN device f ON f.hub = r.hub AND f.shard = r.shard AND f.ordinal = r.device"
    " JOIN device d ON d.hub = f.hub AND d.shard = f.shard AND d.channel_key = f.channel_key"
    " AND d.push_channel = f.push_channel AND d.platform = f.platform"
    " WHERE h.name = :name AND d.dead_at IS NULL AND r.ordinal IN (:keys)",
    (("ordinal", _BIGINT),),
)
DEVICES_LISTED = Statement(
    "registry_devices_listed",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND installation_key > :after"
    " AND (d.expires_at IS NULL OR d.expires_at > :now) ORDER BY installation_key LIMIT :limit",
)
DEVICES_BEGINNING = Statement(
    "registry_devices_beginning",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND installation_key >= :first AND installation_key < :last"
    " AND installation_key <> :after AND (d.expires_at IS NULL OR d.expires_at > :now)"
    " ORDER BY installation_key LIMIT :limit",
)
DEVICES_ENDING = Statement(
    "registry_devices_ending",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND installation_key IS NOT NULL"
    " AND substr(push_channel, length(push_channel) - 3) = :channel_end AND ordinal > :after"
    " AND substr(push_channel, length(push_channel) - length(:longer_end) + 1) = :longer_end"
    " AND (d.expires_at IS NULL OR d.expires_at > :now) ORDER BY ordinal LIMIT :limit",
)
"""By the last four bytes of their push channels as they are kept, which are indexed, and then by more of them."""
REGISTRATIONS_LISTED = Statement(
    "registry_registrations_listed",
    f"SELECT r.ordinal, {_device('d')} FROM registration r JOIN device d ON d.hub = r.hub AND d.shard = r.shard"
    f" AND d.ordinal = r.device WHERE r.hub = :hub AND r.shard = :shard AND r.ordinal > :after AND {_LIVES}"
    " AND (d.installation_key IS NOT NULL OR d.registration_id IS NOT NULL)"
    " ORDER BY r.ordinal LIMIT :limit",
)
DEVICES_DEAD_LISTED = Statement(
    "registry_devices_dead_listed",
    f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND dead_at >= :since AND (dead_at > :since OR ordinal > :after)"
    " ORDER BY dead_at, ordinal LIMIT :limit",
)
DEVICES_DEAD = Statement(
    "registry_devices_dead", f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND dead_at <= :before LIMIT :limit"
)
DEVICES_EXPIRED = Statement(
    "registry_devices_expired", f"SELECT {_device('d')} FROM device d WHERE {_HERE} AND expires_at <= :now LIMIT :limit"
)
ADD_DEVICES = Statement(
    "registry_add_devices",
    f"{_INSERT_DEVICE} (hub, shard, installation_key) WHERE installation_key IS NOT NULL DO NOTHING",
    DEVICE_COLUMNS,
)
PUT_DEVICES = Statement(
    "registry_put_devices",
    f"{_INSERT_DEVICE} (hub, shard, ordinal) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NAMES[6:]),
    DEVICE_COLUMNS,
)
DROP_DEVICES = Statement(
    "registry_drop_devices",
    f"DELETE FROM device WHERE {_HERE} AND ordinal = :ordinal",
    (*_PLACE, ("ordinal", _BIGINT)),
)
KILL_DEVICES = Statement(
    "registry_kill_devices",
    f"UPDATE device SET dead_at = :dead_at, dead_reason = :dead_reason WHERE {_HERE} AND ordinal = :ordinal",
    (*_PLACE, ("ordinal", _BIGINT), ("dead_at", _DOUBLE), ("dead_reason", _TEXT)),
)
PUT_REGISTRATIONS = Statement(
    "registry_put_registrations",
    "INSERT INTO registration (hub, shard, ordinal, device, template, freed_at) VALUES (:hub, :shard, :ordinal, :device,"
    " :template, :freed_at) ON CONFLICT (hub, shard, ordinal) DO UPDATE SET device = excluded.device,"
    " template = excluded.template, freed_at = excluded.freed_at",
    (
        *_PLACE,
        ("ordinal", _BIGINT),
        ("device", _BIGINT),
        ("template", _BIGINT),
        ("freed_at", _DOUBLE),
    ),
)

PUT_EARLIER = Statement(
    "registry_put_earlier",
    "INSERT INTO earlier_template (hub, shard, ordinal, until, template)"
    " VALUES (:hub, :shard, :ordinal, :until, :template) ON CONFLICT DO NOTHING",
    (*_PLACE, ("ordinal", _BIGINT), ("until", _DOUBLE), ("template", _BIGINT)),
)
DROP_EARLIER = Statement(
    "registry_drop_earlier",
    f"DELETE FROM earlier_template WHERE {_HERE} AND until < :before RETURNING ordinal",
)

# Targets

_TARGET = (
    "SELECT r.ordinal, d.platform, d.push_channel, r.template, d.push_variables, d.registered_at, d.installation_key,"
    " d.installation_id, d.user_id, d.tags, d.templates, d.locale, d.time_zone"
)
_TARGETS_AMONG = (
    " FROM registration r JOIN device d ON d.hub = r.hub AND d.shard = r.shard AND d.ordinal = r.device"
    " WHERE r.hub = :hub AND r.shard = :shard AND r.ordinal IN (:keys)"
)
TARGETS = Statement("registry_targets", f"{_TARGET}{_TARGETS_AMONG} AND {_LIVES}", (("ordinal", _BIGINT),))
TARGET_COLUMNS = Statement(
    "registry_target_columns",
    "SELECT d.platform, r.template, d.push_variables, max(d.registered_at), string_agg(CAST(r.ordinal AS TEXT), ','),"
    f" string_agg(hex(d.push_channel), ' '){_TARGETS_AMONG} AND {_LIVES}"
    " GROUP BY d.platform, r.template, d.push_variables",
    (("ordinal", _BIGINT),),
)
"""A row for what is alike: a row for each registration costs more than to find it, and each is a change of threads."""
CANDIDATES = Statement(
    "registry_candidates", f"{_TARGET}, d.dead_at, d.expires_at{_TARGETS_AMONG}", (("ordinal", _BIGINT),)
)
"""The dead and the expired too: they say why nobody is reached."""
TEMPLATES_AMONG = Statement(
    "registry_templates_among",
    f"{_TARGET}{_TARGETS_AMONG} AND r.template IS NOT NULL AND {_LIVES}",
    (("ordinal", _BIGINT),),
)
"""Of the candidates those alone that a template notification reaches, which is half the rows: a phone has one without."""

_WITH_TEMPLATE = "t.templates LIKE '[[%' AND t.dead_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :now)"
SPOKEN_FOR = Statement(
    "registry_spoken_for",
    "SELECT n.ordinal FROM device n WHERE n.hub = :hub AND n.shard = :shard AND n.ordinal IN (:keys)"
    " AND ((n.installation_id IS NOT NULL AND n.registration_id IS NOT NULL) OR EXISTS (SELECT 1 FROM device t"
    " WHERE t.hub = n.hub AND t.shard = n.shard AND t.channel_key = n.channel_key AND t.platform = n.platform"
    f" AND t.push_channel = n.push_channel AND {_WITH_TEMPLATE}))",
    (("ordinal", _BIGINT),),
)
"""Native registrations to which no text held here is pushed: their push channel has a template, or is a tile's."""
SPOKEN_FOR_BY = Statement(
    "registry_spoken_for_by",
    "SELECT n.ordinal FROM registration r JOIN device t ON t.hub = r.hub AND t.shard = r.shard AND t.ordinal = r.device"
    " JOIN device n ON n.hub = t.hub AND n.shard = t.shard AND n.channel_key = t.channel_key AND n.platform = t.platform"
    f" AND n.push_channel = t.push_channel WHERE r.hub = :hub AND r.shard = :shard AND r.ordinal IN (:keys)"
    f" AND {_WITH_TEMPLATE}",
    (("ordinal", _BIGINT),),
)
"""The same by template registrations, without tiles."""

# Tags

TAG_CHANGES = Statement(
    "registry_tag_changes",
    f"SELECT tag, word, added, removed FROM tag_change WHERE {_HERE} AND tag IN (:keys)",
    (("tag", _BYTES),),
)
TAG_BLOCKS = Statement(
    "registry_tag_blocks", f"SELECT tag, bitmap FROM tag_block WHERE {_HERE} AND tag IN (:keys)", (("tag", _BYTES),)
)
NUMBERED_BLOCKS = Statement(
    "registry_numbered_blocks",
    f"SELECT tag, block, bitmap FROM tag_block WHERE {_HERE} AND block BETWEEN :first AND :last AND tag IN (:keys)",
    (("tag", _BYTES),),
)
CHANGE_TAGS = Statement(
    "registry_change_tags",
    "INSERT INTO tag_change (hub, shard, tag, word, added, removed) VALUES (:hub, :shard, :tag, :word, :added, :removed)"
    " ON CONFLICT (hub, shard, tag, word) DO UPDATE SET added = (tag_change.added | excluded.added) & ~excluded.removed,"
    " removed = (tag_change.removed | excluded.removed) & ~excluded.added",
    (*_PLACE, ("tag", _BYTES), ("word", _BIGINT), ("added", _BIGINT), ("removed", _BIGINT)),
)
MARKED_TAGS = Statement(
    "registry_marked_tags", f"SELECT tag FROM tag_change WHERE {_HERE} AND word = -1 ORDER BY tag LIMIT :limit"
)
COUNTED_TAGS = Statement(
    "registry_counted_tags",
    "SELECT m.tag, (SELECT COUNT(*) FROM tag_change c WHERE c.hub = :hub AND c.shard = :shard AND c.tag = m.tag)"
    " FROM tag_change m WHERE m.hub = :hub AND m.shard = :shard AND m.word = -1 ORDER BY m.tag LIMIT :limit",
)
TAKE_CHANGES = Statement(
    "registry_take_changes",
    f"DELETE FROM tag_change WHERE {_HERE} AND tag = :tag AND word BETWEEN :first AND :last"
    " RETURNING tag, word, added, removed",
    (*_PLACE, ("tag", _BYTES), ("first", _BIGINT), ("last", _BIGINT)),
)
PUT_BLOCKS = Statement(
    "registry_put_blocks",
    "INSERT INTO tag_block (hub, shard, tag, block, bitmap) VALUES (:hub, :shard, :tag, :block, :bitmap)"
    " ON CONFLICT (hub, shard, tag, block) DO UPDATE SET bitmap = excluded.bitmap",
    (*_PLACE, ("tag", _BYTES), ("block", _BIGINT), ("bitmap", _BYTES)),
)
DROP_CHANGES = Statement(
    "registry_drop_changes", f"DELETE FROM tag_change WHERE {_HERE} AND tag = :tag", (*_PLACE, ("tag", _BYTES))
)
DROP_BLOCKS = Statement(
    "registry_drop_blocks", f"DELETE FROM tag_block WHERE {_HERE} AND tag = :tag", (*_PLACE, ("tag", _BYTES))
)
ADD_NEW = Statement(
    "registry_add_new",
    "INSERT INTO tag_change (hub, shard, tag, word, added, removed) VALUES (:hub, :shard, :tag, :word, :added, :removed)"
    " ON CONFLICT (hub, shard, tag, word) DO UPDATE SET added = tag_change.added | (excluded.added & ~tag_change.removed)",
    (*_PLACE, ("tag", _BYTES), ("word", _BIGINT), ("added", _BIGINT), ("removed", _BIGINT)),
)
TAKE_LOG = Statement(
    "registry_take_log",
    f"DELETE FROM tag_block WHERE {_HERE} AND tag = :tag RETURNING tag, bitmap",
    (*_PLACE, ("tag", _BYTES)),
)
LOG_PARTS = Statement(
    "registry_log_parts",
    f"SELECT DISTINCT tag FROM tag_block WHERE {_HERE} AND tag IN (:keys)",
    (("tag", _BYTES),),
)
FORGET_TAGS = Statement(
    "registry_forget_tags",
    f"DELETE FROM tag_change WHERE {_HERE} AND tag = :tag AND word = :word AND added = 0 AND NOT EXISTS"
    f" (SELECT 1 FROM tag_block b WHERE b.hub = :hub AND b.shard = :shard AND b.tag = :tag)",
    (*_PLACE, ("tag", _BYTES), ("word", _BIGINT)),
)
