"""From a configuration to the parts of the process; building them connects to nothing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypedDict
from zoneinfo import ZoneInfo

from bridge.config.models.document import Settings
from bridge.config.models.hubs import HubSettings
from bridge.config.models.sources import SourceSettings
from bridge.config.unstored import needs_no_disk
from bridge.decode import Decoded, decoder_for
from bridge.decode.mapping import DecodedMessage
from bridge.decode.registered import in_clear, schema_ids
from bridge.decode.split import split_of
from bridge.errors import EventError, Reason
from bridge.intake.message_schemas import MessageSchemas
from bridge.intake.pipeline import Route
from bridge.intake.publishing import Letters, OutgoingLetters
from bridge.observe.intake_metrics import Owners
from bridge.relay import Relay
from bridge.schemas.registry import SchemaRegistries
from connectors.base import Message, Settlement, Source
from connectors.connector import Capacity
from hub.api.access import AccessPolicy, HubAccess, Right
from hub.delivery.pacing import Rates
from hub.guards import AudienceGuard
from hub.phone_report import ReportPolicy
from rules.errors import MappingError
from rules.event import Event
from rules.headers import Headers
from rules.ttl import TtlFrom


def source_of(name: str, settings: SourceSettings, capacity: Capacity) -> Source:
    """The source that is configured."""
    return settings.connector.make_source(name, settings.connector_settings, capacity)


def relay_of(name: str, settings: Settings, store: Letters, *, observe: Callable[[str, str], None]) -> Relay | None:
    """What sends the dead letters of a source on to its broker, if they are to go there."""
    target, source = settings.dead_letters.sources.get(name), settings.sources[name]
    if target is None or target.place is None:
        return None
    route, place = target.place
    publisher = route.make_publisher(f"{name}-dead-letters", source.connector_settings, place)
    letters = OutgoingLetters(name, store, destination=route.destination(place))
    return Relay(name, publisher, letters, observe=observe)


def routes_of(settings: Settings, registries: SchemaRegistries | None = None) -> dict[str, Route]:
    """How the messages of each source become events. Without `registries` none is asked: see `in_clear`."""
    return {name: route_of(name, source, settings, registries) for name, source in settings.sources.items()}


def route_of(
    name: str, source: SourceSettings, settings: Settings, registries: SchemaRegistries | None = None
) -> Route:
    """How the messages of a source become events, and what becomes of those that do not."""
    timezone = ZoneInfo(settings.bridge.timezone)
    event_map = source.event_map(name, timezone)

    def to_event(message: Message, decoded: Decoded, now: datetime) -> Event:
        decoded_message = DecodedMessage(
            data=decoded.data,
            meta={**message.properties, **decoded.attributes, "headers": Headers(message.headers)},
            id=decoded.id,
            source=decoded.source,
            type=decoded.type,
            subject=decoded.subject,
            time=decoded.time,
            trace=decoded.trace,
            tracestate=decoded.tracestate,
            message_id=message.id,
            position=message.position,
            enqueued_at=message.enqueued_at,
        )
        try:
            return event_map.event(decoded_message, now=now)
        except MappingError as error:
            raise EventError(Reason.MAP, str(error), person=error.person) from error

    target = settings.dead_letters.sources.get(name)
    decode_settings = replace(source.decode_settings, timezone=timezone)
    schemas = None
    if registries is None:
        decode_settings = in_clear(decode_settings)
    elif (registry := registries.of(name, decode_settings.registry)) is not None:
        decode_settings = replace(decode_settings, schemas=registry)
        schemas = MessageSchemas(registry, partial(schema_ids, settings=decode_settings))
    return Route(
        decode=decoder_for(decode_settings),
        split=split_of(decode_settings),
        to_event=to_event,
        on_no_match=Settlement.REJECT if source.on_no_match == "dead_letter" else Settlement.ACK,
        keep_undecodable=source.decode.on_error == "dead_letter",
        native=target is not None and target.native,
        native_in_part=target is not None and target.native and needs_no_disk(settings.hubs),
        relay=name if target is not None and target.place is not None else None,
        sender_waits=source.connector.is_posted_to,
        owner=source.owner,
        schemas=schemas,
        sensitive=source.sensitive,
    )


_OF_A_MESSAGE = (Reason.DECODE, Reason.TOO_LARGE, Reason.MAP, Reason.CRASH)
_OF_A_RULE = (Reason.TAG_UNSAFE, Reason.RENDER)
_OF_A_REMOTE_HUB = (Reason.HUB_REJECT, Reason.EXPIRED)


def possible_dead_letters(settings: Settings) -> list[tuple[str, str, str]]:
    """Source, rule (empty: the message as a whole) and reason of each kind of dead letter that can happen."""
    found: list[tuple[str, str, str]] = []
    for name, source in settings.sources.items():
        kept = source.on_no_match == "dead_letter"
        others = [
            *([Reason.NO_MATCH] if kept else ()),
            *([Reason.SCHEMA] if source.decode.json_schema or source.decode.registry is not None else ()),
        ]
        found += [(name, "", reason.value) for reason in (*_OF_A_MESSAGE, *others)]
    for rule in settings.rules.rules:
        if rule.push is not None:
            is_remote = settings.hubs[rule.push.hub].is_remote
            late = (Reason.EXPIRED,) if rule.push.ttl_from is TtlFrom.TIME and not is_remote else ()
            reasons = (*_OF_A_RULE, *late, *(_OF_A_REMOTE_HUB if is_remote else ()))
            sources = settings.sources if rule.sources is None else rule.sources
            found += [(name, rule.name, reason.value) for name in sources for reason in reasons]
    return found


def access_of(hub: HubSettings) -> HubAccess:
    policies = [
        AccessPolicy(
            name=policy.name,
            rights=frozenset(Right(right) for right in policy.rights),
            keys=[key.get_secret_value() for key in policy.key],
        )
        for policy in hub.auth.sas
    ]
    ttl = hub.limits.registration_ttl
    return HubAccess(
        policies=policies,
        platforms=hub.platforms.configured,
        max_tags_in_expression=hub.limits.max_tags,
        oidc=hub.auth.oidc,
        jobs=hub.jobs,
        registration_ttl=None if ttl is None else timedelta(seconds=ttl),
        sends_elsewhere=hub.is_remote,
    )


def guards_of(hubs: Mapping[str, HubSettings]) -> dict[str, AudienceGuard]:
    """What the audiences of hubs are held to, for hubs that say so."""
    return {name: hub.guard for name, hub in hubs.items() if hub.guard}


def rates_of(settings: Settings) -> Rates:
    """How many pushes a second rules and hubs make, for those that say so."""
    return Rates(
        rules={rule.name: rule.rate for rule in settings.rules.rules if rule.rate is not None},
        hubs={name.lower(): hub.rate for name, hub in settings.hubs.items() if hub.rate is not None},
    )


def report_policies_of(hubs: Mapping[str, HubSettings]) -> dict[str, ReportPolicy]:
    """How the hubs that are kept here take reports of phones."""
    return {name: hub.reports.policy for name, hub in hubs.items() if hub.is_kept_here}


class MetricNames(TypedDict):
    """See `Metrics.declare`."""

    sources: list[str]
    registries: list[str]
    rules: list[str]
    hubs: list[str]
    remotes: list[str]
    mirrors: list[str]
    registrations: list[str]
    sinks: list[str]
    reports: dict[str, ReportPolicy]
    dead_letters: list[tuple[str, str, str]]
    owners: Owners


def metric_names(settings: Settings) -> MetricNames:
    """What a configuration names, for the metrics."""
    return {
        "sources": list(settings.sources),
        "registries": [name for name, source in settings.sources.items() if source.decode.registry is not None],
        "rules": [rule.name for rule in settings.rules.rules],
        "hubs": list(settings.hubs),
        "remotes": [name for name, hub in settings.hubs.items() if hub.is_remote],
        "mirrors": [name for name, hub in settings.hubs.items() if hub.is_mirrored],
        "registrations": [name for name, hub in settings.hubs.items() if hub.registration is not None],
        "sinks": list(settings.sinks),
        "reports": report_policies_of(settings.hubs),
        "dead_letters": possible_dead_letters(settings),
        "owners": Owners(
            sources={name: source.owner for name, source in settings.sources.items()}, rules=settings.rules.owners
        ),
    }
