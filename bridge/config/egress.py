"""`bridge.egress` in the settings of the parts that connect to the outside, and what cannot go by it."""

from bridge.config.models.document import Sections
from bridge.config.models.hubs import HubSettings, Platforms
from bridge.config.models.sinks import SinkSettings
from bridge.config.models.sources import SourceSettings
from bridge.config.samples import is_made_up
from hub.egress import EgressDefaults, is_listed, trusting
from rules.node import Node
from rules.problems import Problems


def with_egress(sections: Sections) -> Sections:
    """The sections with proxy and certificates in each part: what a part compares and connects by is all its own."""
    default = sections.bridge.egress
    if default == EgressDefaults():
        return sections
    store = sections.bridge.store
    if store.tls is not None:
        store = store.model_copy(update={"tls": trusting(store.tls, default.ca_file)})
    admin = sections.listeners.admin
    if admin.auth is not None and admin.auth.oidc is not None:
        auth = admin.auth.model_copy(update={"oidc": admin.auth.oidc.behind(default)})
        admin = admin.model_copy(update={"auth": auth})
    return sections.model_copy(
        update={
            "listeners": sections.listeners.model_copy(update={"admin": admin}),
            "bridge": sections.bridge.model_copy(
                update={"store": store, "tracing": sections.bridge.tracing.behind(default)}
            ),
            "sources": {name: _source(source, default) for name, source in sections.sources.items()},
            "sinks": {name: _sink(sink, default) for name, sink in sections.sinks.items()},
            "hubs": {name: _hub(hub, default) for name, hub in sections.hubs.items()},
        }
    )


def warn_of_unproxied(checked: Sections, root: Node, problems: Problems) -> None:
    """Name each source and sink that connects directly although there is a proxy, unless `no_proxy` says that it should."""
    default = checked.bridge.egress
    if default.proxy is None:
        return
    ways = [
        (("sources", name, source.connector.key), source.connector.unproxied(source.connector_settings))
        for name, source in checked.sources.items()
    ]
    for name, sink in checked.sinks.items():
        route, place = sink.place
        ways.append((("sinks", name, sink.key), route.unproxied(place)))
    for path, host in ways:
        if host and not is_made_up(host) and not is_listed(host, default.no_proxy):
            problems.warn(
                root.find(path),
                f"its client can use no proxy: it connects to {host} directly, and not through bridge.egress.proxy",
                f"name {host} in bridge.egress.no_proxy if that is meant",
            )


def _source(source: SourceSettings, default: EgressDefaults) -> SourceSettings:
    connector = source.connector
    decode = source.decode
    if decode.registry is not None:
        decode = decode.model_copy(update={"registry": decode.registry.behind(default)})
    behind = {connector.key: connector.behind(source.connector_settings, default), "decode": decode}
    return source.model_copy(update=behind)


def _sink(sink: SinkSettings, default: EgressDefaults) -> SinkSettings:
    route, place = sink.place
    return sink.model_copy(update={sink.key: route.behind(place, default)})


def _hub(hub: HubSettings, default: EgressDefaults) -> HubSettings:
    platforms: Platforms = hub.platforms
    given = {name: getattr(platforms, name) for name in type(platforms).model_fields}
    behind = {name: settings.behind(default) for name, settings in given.items() if settings is not None}
    remote = None if hub.remote is None else hub.remote.behind(default)
    jobs = hub.jobs.behind(default)
    registration = hub.registration
    if registration is not None:
        auth = registration.auth.model_copy(update={"oidc": registration.auth.oidc.behind(default)})
        registration = registration.model_copy(update={"auth": auth})
    oidc = None if hub.auth.oidc is None else hub.auth.oidc.behind(default)
    return hub.model_copy(
        update={
            "platforms": platforms.model_copy(update=behind),
            "remote": remote,
            "jobs": jobs,
            "registration": registration,
            "auth": hub.auth.model_copy(update={"oidc": oidc}),
        }
    )
