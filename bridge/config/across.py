"""Mistakes that lie between sections: what each of them says is right by itself."""

from collections.abc import Mapping
from typing import Any

from bridge.config.models.hubs import HubSettings
from bridge.config.sensitive import check_sensitive
from bridge.config.unopened import check_follow_ups
from bridge.config.unstored import check_dead_letters, check_rules, handed_over_at_once, needs_no_disk
from bridge.config.written import connectors_of, entries, hub_of, mapping
from connectors.table import CONNECTORS
from hub.delivery.remote_settings import RemoteSettings
from hub.platforms.table import services
from hub.spelling import did_you_mean
from rules.engine import RuleSet
from rules.node import Node
from rules.problems import Problems

_CONSOLE_PATHS = (
    "/console.css",
    "/console.js",
    "/console.svg",
    *(f"/api/{name}" for name in ("trail", "health", "phones", "live")),
)
_OWN_PATHS = ("/livez", "/readyz", "/startupz", "/metrics", "/admin", "/api/v1", "/-", *_CONSOLE_PATHS)
"""What the admin listener serves itself, beside HTTP sources."""


def check_across(root: Node, plain: Mapping[str, Any], rules: RuleSet, problems: Problems) -> None:
    """Complain of hubs, sources, dead letters and sinks that do not go together, or with the rules.

    `plain` has the sections without the marks, but for those of the rules.
    """
    _check_hubs(root, problems)
    hubs = {name: hub_of(value) for name, value in mapping(plain.get("hubs")).items()}
    _check_mirrors(hubs, root, problems)
    _check_retired(root, problems)
    _check_sources(root, problems)
    _check_dead_letters(root, problems)
    _check_sinks(root, rules, problems)
    _check_unstored(hubs, root, rules, problems)
    check_sensitive(rules, entries(root, "sources"), entries(root, "dead_letters", "sources"), problems)


def _check_hubs(root: Node, problems: Problems) -> None:
    hubs = entries(root, "hubs")
    first: dict[str, str] = {}
    for name, hub in hubs.items():
        if (same := first.setdefault(name.lower(), name)) != name:
            problems.add(hub, f"the same hub as {same}: names of hubs compare without case", mark=hub.key_mark)
    marks = [hub.find(("default",)) for hub in hubs.values()]
    for mark in [mark for mark in marks if mark.value is True][1:]:
        problems.add(mark, "another hub is the default one already")


def _check_mirrors(hubs: Mapping[str, HubSettings], root: Node, problems: Problems) -> None:
    """Two hubs that mirror one remote would push to its phones twice after the cut-over."""
    first: dict[tuple[str, str], str] = {}
    for name, hub in hubs.items():
        if hub.mirror is None or hub.remote is None:
            continue
        remote = RemoteSettings.from_connection_string(
            hub.remote.connection_string.get_secret_value(), hub=hub.remote.hub or name
        )
        if (same := first.setdefault((remote.endpoint.lower(), remote.hub.lower()), name)) != name:
            problems.add(entries(root, "hubs")[name].find(("mirror",)), f"the hub {same} mirrors the same remote")


def _check_retired(root: Node, problems: Problems) -> None:
    """Name the push services that their vendors gave up; what is configured for them works all the same."""
    gave_up = {each.name: each.retired for each in services() if each.retired}
    for hub in entries(root, "hubs"):
        for name, node in entries(root, "hubs", hub, "platforms").items():
            if name in gave_up:
                problems.warn(node, gave_up[name], mark=node.key_mark)


def _check_sources(root: Node, problems: Problems) -> None:
    paths: dict[str, str] = {}
    for name, source in entries(root, "sources").items():
        for key, kind in connectors_of(source):
            posted_to = entries(source, key).get("path") if kind.is_posted_to else None
            if posted_to is not None and isinstance(path := posted_to.value, str):
                if path in paths:
                    problems.add(posted_to, f"the source {paths[path]} has this path already")
                if any(path == own or path.startswith(f"{own}/") for own in _OWN_PATHS):
                    problems.add(posted_to, "this path is one of the process's own", "/in/… is free")
                paths.setdefault(path, name)
        repeats = any(not kind.has_position for _, kind in connectors_of(source))
        formats = [entries(source, part).get("format") for part in (*CONNECTORS, "decode")]
        has_ids = any(format_ is not None and format_.value in ("cloudevents", "debezium") for format_ in formats)
        if repeats and not has_ids and "id" not in entries(source, "map"):
            problems.warn(
                source, "a message without an id that comes twice is taken twice", "map.id names what tells it apart"
            )


def _check_dead_letters(root: Node, problems: Problems) -> None:
    sources = entries(root, "sources")
    for name, target in entries(root, "dead_letters", "sources").items():
        if name not in sources:
            problems.add(target, "there is no such source", did_you_mean(name, sources), mark=target.key_mark)
            continue
        for key, kind in connectors_of(sources[name]):
            if not kind.keeps_dead_letters and kind.dead_letters is None:
                message = f"{kind.title} has no place for dead letters; they are in the store"
                problems.add(target, message, mark=target.key_mark)
                continue
            for other, place in entries(target).items():
                if other in CONNECTORS and other != key:
                    problems.add(place, f"the source is of {kind.title}", mark=place.key_mark)


def _check_sinks(root: Node, rules: RuleSet, problems: Problems) -> None:
    """Names in `report_to` of rules are looked up as the rules are read."""
    sinks = entries(root, "sinks")
    used = {sink for named in rules.report_to.values() for sink in named}
    used |= {sink for follow_up in rules.follow_ups.values() for sink in follow_up.sinks}
    for hub in entries(root, "hubs").values():
        told = entries(hub).get("report_to")
        if told is None:
            continue
        for name in told.value if isinstance(told.value, list) else (told,):
            if isinstance(name.value, str):
                used.add(name.value)
                if name.value not in sinks:
                    problems.add(name, "there is no such sink", did_you_mean(name.value, sinks))
    for unused in sinks.keys() - used:
        problems.warn(sinks[unused], "nothing is reported to this sink", "name it in report_to of a rule or a hub")


def _check_unstored(hubs: Mapping[str, HubSettings], root: Node, rules: RuleSet, problems: Problems) -> None:
    check_rules(rules, {name.lower() for name in handed_over_at_once(hubs)}, problems, has_no_other=needs_no_disk(hubs))
    check_follow_ups(rules, {name.lower(): hub for name, hub in hubs.items()}, problems)
    if needs_no_disk(hubs):
        placed = entries(root, "dead_letters", "sources")
        for name, source in entries(root, "sources").items():
            for _, kind in connectors_of(source):
                check_dead_letters(source, name, kind, placed.get(name), problems)
