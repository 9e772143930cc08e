"""What a configuration asks of the store of a process that is meant to lose it: all its hubs have `durability: remote`."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.config.models.document import Settings
from bridge.config.models.hubs import HubSettings
from bridge.config.models.store import StoreSettings
from connectors.connector import Connector
from hub.quiet import OnQuiet
from hub.store.sqlite.volume import refusal, volume_of
from rules.engine import RuleSet
from rules.node import Node
from rules.problems import Problems


def handed_over_at_once(hubs: Mapping[str, HubSettings]) -> frozenset[str]:
    """The remote hubs that have a notification before its event is settled."""
    return frozenset(
        name
        for name, hub in hubs.items()
        if hub.remote is not None and hub.mirror is None and hub.remote.durability == "remote"
    )


def needs_no_disk(hubs: Mapping[str, HubSettings]) -> bool:
    """Whether nothing that has to last is in the store: it may be lost with the process."""
    return bool(hubs) and len(handed_over_at_once(hubs)) == len(hubs)


def has_an_outbox(hubs: Mapping[str, HubSettings]) -> bool:
    """Whether notifications of settled events wait in the store for a remote hub: nobody else has them any more."""
    at_once = handed_over_at_once(hubs)
    return any(hub.is_remote and name not in at_once for name, hub in hubs.items())


def may_be_lost(settings: Settings) -> bool:
    """Whether the store may be on a file system that forgets."""
    return settings.bridge.store.allow_ephemeral or needs_no_disk(settings.hubs)


def warn_of_volume(
    store: StoreSettings, directory: Path, hubs: Mapping[str, HubSettings], root: Node, problems: Problems
) -> None:
    """Say that a daemon would not start here: the outbox of a hub is where it is lost."""
    if store.is_postgres or not has_an_outbox(hubs):
        return
    with suppress(OSError):
        volume = volume_of(store.path(directory))
        if refused := refusal(volume, allow_ephemeral=store.allow_ephemeral, must_last=True):
            what, _, cure = refused.partition(": ")
            problems.warn(root.find(("bridge", "store", "url")), f"a daemon does not start here: {what}", cure)


def check_rules(rules: RuleSet, at_once: Collection[str], problems: Problems, *, has_no_other: bool) -> None:
    """Name rules that need the store for a hub that is handed over to at once; `has_no_other` hub says that all are."""
    for number, rule in enumerate(rules.rules):
        if rule.push is None and rule.cancels and has_no_other:
            message = "what waits for cancel is in the store, and all hubs have durability: remote"
            problems.add_at(rule.mark, f"rules[{number}].cancel", message, "put the rule where the hubs are")
        if rule.push is None or rule.push.hub not in at_once:
            continue
        if (schedule := rule.push.schedule) is not None:
            problems.add_at(
                rule.push.mark,
                schedule.key,
                f"a notification for later waits in the store, and hub {rule.push.hub} has durability: remote",
                "put the rule where the hub is, or set durability: local and give the store a disk",
            )
        if rule.push.quiet is not None and rule.push.quiet.on_quiet is OnQuiet.HOLD:
            problems.add_at(
                rule.push.mark,
                f"{rule.key}.quiet_hours",
                f"what quiet hours hold waits in the store, and hub {rule.push.hub} has durability: remote",
                "put the rule where the hub is, write on_quiet: drop, or set durability: local and give the store a disk",
            )
        for key in () if rule.flow is None else rule.flow.stored():
            problems.add_at(
                rule.push.mark,
                f"rules[{number}].{key}",
                f"what {key} goes by is in the store, and hub {rule.push.hub} has durability: remote",
                "put the rule where the hub is, or set durability: local and give the store a disk",
            )
        if rule.report_to:
            problems.add_at(
                rule.push.mark,
                f"rules[{number}].report_to",
                f"reports are made of the store, and hub {rule.push.hub} has durability: remote",
                "give report_to to the rule or the hub where the phones are",
            )


def check_dead_letters(source: Node, name: str, kind: Connector[Any], target: Node | None, problems: Problems) -> None:
    """Name a source whose dead letters are in the store alone."""
    if kind.is_posted_to or target is not None:  # a sender is answered, and has the event still
        return
    place = f"dead_letters.sources.{name}"
    problems.warn(
        source,
        "its dead letters are in the store alone, which may be lost: all hubs have durability: remote",
        f"{place}: {{ native: true }}" if kind.keeps_dead_letters else f"name a place under {place}",
        mark=source.key_mark,
    )
