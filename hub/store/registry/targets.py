"""Registrations as pushes need them: an object each, or the columns of a page."""

from collections.abc import Iterable, Sequence
from functools import partial

import orjson

from hub.notification import PLATFORM_NAMED
from hub.store.connection import Connection, Row
from hub.store.decide.device import StoredDevice
from hub.store.registry import statements
from hub.store.registry.places import Place
from hub.store.registry.rows import unpack_channel, unpack_channels, unpack_templates
from hub.target import Target, TargetColumns, TargetKind


def targets(connection: Connection, place: Place, ordinals: Iterable[int], *, now: float) -> list[Target]:
    """The live registrations among `ordinals`, by ordinal."""
    rows = connection.read_by_keys(statements.TARGETS, list(ordinals), hub=place.hub, shard=place.shard, now=now)
    rows.sort()
    return targets_of(rows)


def target_columns(connection: Connection, place: Place, ordinals: Iterable[int], *, now: float) -> TargetColumns:
    """The live registrations among `ordinals`, by ordinal, as columns."""
    keys = list(ordinals)
    rows = connection.read_by_keys(statements.TARGET_COLUMNS, keys, hub=place.hub, shard=place.shard, now=now)
    return TargetColumns.joined(
        [
            TargetColumns(
                list(map(int, numbers.split(","))),
                unpack_channels(channels),
                (
                    TargetKind(
                        PLATFORM_NAMED[platform], template, orjson.loads(push_variables) if push_variables else None
                    ),
                ),
                None,
                latest,
            )
            for platform, template, push_variables, latest, numbers, channels in rows
        ]
    ).by_ordinal()


def targets_of(rows: Iterable[Row]) -> list[Target]:
    return [
        Target(
            row[0],
            PLATFORM_NAMED[row[1]],
            unpack_channel(row[2]),
            row[3],
            orjson.loads(row[4]) if row[4] else None,
            row[5],
            row[11],
            row[12],
            partial(tags_of, row),
        )
        for row in rows
    ]


def tags_of(row: Row) -> Sequence[str]:
    """All tags of one registration."""
    ordinal, key, given, user_id, tags, templates = row[0], *row[6:11]
    device = StoredDevice(
        ordinal=ordinal,
        platform=PLATFORM_NAMED[row[1]],
        push_channel="",
        installation_id=key if given is None else given,
        user_id=user_id,
        tags=tuple(tags.split("\n")) if tags else (),
        templates=unpack_templates(templates),
    )
    for template in device.templates:
        if template.ordinal == ordinal:
            return (*device.native_tags, *device.tags_of(template))
    return device.native_tags
