"""What `unless_opened` of a rule asks of its hub: phones have to be able to say that a push was opened."""

from collections.abc import Mapping
from datetime import timedelta

from bridge.config.models.hubs import HubSettings
from rules.engine import RuleSet
from rules.problems import Problems
from rules.units import spelled


def check_follow_ups(rules: RuleSet, hubs: Mapping[str, HubSettings], problems: Problems) -> None:
    """Warn of rules whose phones would all be told of, as none of them can say in time that a push was opened."""
    for number, rule in enumerate(rules.rules):
        hub = None if rule.push is None else hubs.get(rule.push.hub)
        if rule.push is None or rule.unless_opened is None or hub is None:
            continue
        if (why := _why_nobody_can_open(hub, rule.push.hub, rule.unless_opened.after)) is not None:
            problems.warn_at(rule.push.mark, f"rules[{number}].unless_opened", *why)


def _why_nobody_can_open(hub: HubSettings, name: str, after: float) -> tuple[str, str] | None:
    """The problem and its cure."""
    if hub.is_remote:
        return f"the phones of hub {name} report to the remote hub, so nobody is told of them", "leave it out"
    if hub.reports.payload_key is None:
        return (
            f"no phone of hub {name} can say that it opened a push, so the sinks are told of all of them",
            f"hubs.{name}.reports.payload_key: pushId, and have the app post what was opened",
        )
    if after > hub.reports.accept_for:
        return (
            f"hub {name} takes reports of phones for {spelled(timedelta(seconds=hub.reports.accept_for))} only",
            f"make after shorter, or hubs.{name}.reports.accept_for longer",
        )
    return None
