"""The rules of an event that is kept: what became of each, as they were decided then, and what is not known any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from bridge.admin.api.operation import Call, Model
from bridge.config.models.document import Settings
from bridge.explanation import condition_without_values, explanation_report, plain
from hub.origin import FORWARDED
from hub.store.contracts.journal import KeptEvent
from hub.times import parse_time
from rules.event import Event


class Condition(Model):
    """The first condition of a rule that an event did not meet. `seen` has by path the `value`, where values are kept, else
    its `kind` with its length, or `missing`. `error` says why there is no answer."""

    place: str
    wanted: str
    seen: dict[str, dict[str, JsonValue]]
    error: str


class RuleTrace(Model):
    """A rule, and what became of it for the event: `fired`, `observed`, `failed`, `not matched`, `stopped`, `error`, or
    `not reached`.

    `owner` is who answers for the rule, empty where it does not say so."""

    rule: str
    owner: str = ""
    place: str
    result: str
    condition: Condition | None
    stopped_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRules:
    """What is known of the rules of an event's source. `missing` says in words why it is not all, empty if it is."""

    rules: list[RuleTrace]
    missing: str = ""


def rules_of(
    call: Call, event: KeptEvent, detail: Mapping[str, Any], content: Mapping[str, Any] | None, *, is_same: bool
) -> TracedRules:
    """As they were decided then: conditions that were kept, else asked again of kept values by the same configuration.

    Else of the rules that matched the names alone; in the same configuration their places too.
    """
    settings = call.management.settings
    if detail.get(FORWARDED):
        rules = [_matched(settings, rule, "fired", is_same=False) for rule in detail["rules"]]
        bridge = event.source.partition("/")[0]
        return TracedRules(
            rules=rules, missing=f"the rules are those of {bridge}: why others did not fire is known there"
        )
    if kept := detail.get("explanations"):
        seen = plain(content) if call.sees_values else None
        type_ = detail.get("type", "")
        return TracedRules(rules=[RuleTrace(**_with_values(each, type_, seen)) for each in kept])
    if "type" not in detail:
        return TracedRules(rules=[])
    missing = _missing(call.management.config_hash, settings, content, is_same=is_same)
    if content is not None and not missing:
        report = explanation_report if call.sees_values else condition_without_values
        asked = settings.rules.explain(_event_of(event, detail, content), own_only=True)
        return TracedRules(rules=[RuleTrace(**report(each)) for each in asked])
    failed = {failure["rule"] for failure in detail.get("failures", ())}
    matched = [
        _matched(settings, rule, "failed" if rule in failed else "fired", is_same=is_same)
        for rule in detail.get("rules", ())
    ]
    observed = [each["rule"] for each in detail.get("observed", ())]
    matched += [_matched(settings, rule, "observed", is_same=is_same) for rule in observed]
    return TracedRules(rules=matched, missing=missing)


def _missing(hash_now: str, settings: Settings, content: Mapping[str, Any] | None, *, is_same: bool) -> str:
    """Why the rules cannot be asked again; empty where they can."""
    if not is_same and not hash_now:
        why = "whether the configuration is still the same is not known"
    elif not is_same:
        why = "the configuration has changed since, and the rules may have too"
    elif content is None:
        why = "the values that the conditions saw are not kept"
    elif settings.journal.redact:
        why = "some of the values that the conditions saw are not kept, as journal.redact says"
    else:
        return ""
    return f"{why}: only the rules that matched then are named"


def _matched(settings: Settings, rule: str, result: str, *, is_same: bool) -> RuleTrace:
    place = next((str(each.place) for each in settings.rules.rules if each.name == rule), "") if is_same else ""
    return RuleTrace(
        rule=rule,
        owner=settings.rules.owners.get(rule, ""),
        place=place,
        result=result,
        condition=None,
        stopped_by="",
    )


def _with_values(report: dict[str, Any], type_: str, content: Mapping[str, Any] | None) -> dict[str, Any]:
    """With the values that are kept; the type of an event always is."""
    condition = report["condition"]
    if condition is None:
        return report
    kept = {} if content is None else content.get("seen", {}).get(report["rule"], {})
    seen = {**condition["seen"], **kept}
    if "type" in seen:
        seen["type"] = {"value": type_}
    return report | {"condition": condition | {"seen": seen}}


def _event_of(event: KeptEvent, detail: Mapping[str, Any], content: Mapping[str, Any]) -> Event:
    return Event(
        id=event.event_id,
        origin=event.source,
        source=content["source"],
        type=detail["type"],
        subject=content["subject"],
        time=parse_time(content["time"]),
        data=content["data"],
        meta=content["meta"],
        trace=event.trace,
    )
