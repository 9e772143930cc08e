"""How `pushbridge explain` prints a trial for people."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import typer

from bridge.cli.tables import print_fields, print_json, print_table
from rules.units import spelled

_SOURCE_OF_RULE = re.compile(r"rules\[\d+\]\.source")
"""The key of a rule's sources; a pattern may read a field of that name too."""


def print_records(report: Mapping[str, Any]) -> None:
    """Each record of a body that was taken apart, with its number."""
    for number, record in enumerate(report["records"], start=1):
        typer.echo(f"{chr(10) if number > 1 else ''}record {number} of {report['count']}\n")
        print_explained(record)
    if len(report["records"]) < report["count"]:
        typer.echo(f"\nthe first {len(report['records'])} are shown; --record NUMBER shows another")
    _print_end(report)


def print_explained(report: Mapping[str, Any]) -> None:
    """The event, each rule, then what would leave. See `bridge.trial.report` for the shape."""
    reason = f"{report['reason']}: {report['detail']}" if report["reason"] else ""
    ended = {} if report["outcome"] == "accepted" else {"ended_at": report["stage"], "reason": reason}
    event = {f"event {name}": value for name, value in (report["event"] or {}).items()}
    print_fields({"from": report["source"], "outcome": report["outcome"], **ended, **event})
    typer.echo("\ndata")
    if report["data"] is None and report["event"] is None:
        typer.echo("the body cannot be decoded")
    else:
        print_json(report["data"])
    if report["rules"]:
        print_rules(report["rules"])
    print_failures(report["failures"])
    for rule, said in report["flow"].items():
        typer.echo()
        print_fields({"flow control of": rule, "holds": "\n".join(said)})
    for notification in report["notifications"]:
        _print_notification(notification)
    _print_end(report)


def _print_end(report: Mapping[str, Any]) -> None:
    """Of all records together: what was sent, and how to give what a message would have brought."""
    if "sent" in report:
        typer.echo()
        print_fields({"sent": report["sent"] or "nothing: no rule fired for a hub of this daemon"})
    for hint in report.get("hints", ()):
        typer.echo(f"\n{hint}")


def print_failures(failures: Sequence[Mapping[str, Any]]) -> None:
    """Each rule that matched, and whose notification could not be made."""
    for failure in failures:
        typer.echo()
        print_fields({"dead letter of": failure["rule"], "reason": failure["reason"], "detail": failure["detail"]})


def print_flow(suppressed: Sequence[Mapping[str, Any]], cancelled: Sequence[Mapping[str, Any]]) -> None:
    """Each rule that fired and sent nothing by itself, and each notification that the event withdrew."""
    if suppressed:
        typer.echo()
        print_table(
            ("SUPPRESSED", "CAUSE", "COUNTED INTO", "MEANING"),
            ((each["rule"], each["cause"], each["digest"], each["meaning"]) for each in suppressed),
        )
    if cancelled:
        typer.echo()
        print_table(
            ("CANCELLED", "OF RULE", "BY RULE"),
            ((each["notification"], each["of"], each["rule"]) for each in cancelled),
        )


def print_rules(rules: Sequence[Mapping[str, Any]]) -> None:
    """Each rule with its result, and the condition that failed; rules for other sources are counted."""
    mine = [rule for rule in rules if not _is_of_another_source(rule)]
    typer.echo()
    if mine:
        columns = ("RULE", "RESULT", "WANTED", "SEEN", "PLACE")
        if any(rule["owner"] for rule in mine):
            print_table((*columns, "OWNER"), ((*_rule_row(rule), rule["owner"]) for rule in mine))
        else:
            print_table(columns, map(_rule_row, mine))
    if others := len(rules) - len(mine):
        typer.echo(f"{others} {'rule is' if others == 1 else 'rules are'} for other sources")


def _is_of_another_source(rule: Mapping[str, Any]) -> bool:
    condition = rule["condition"]
    return condition is not None and _SOURCE_OF_RULE.fullmatch(condition["place"].rpartition(": ")[2]) is not None


def _rule_row(rule: Mapping[str, Any]) -> Sequence[object]:
    condition = rule["condition"]
    if condition is None:
        wanted = f"{rule['stopped_by']} has ended the evaluation" if rule["stopped_by"] else ""
        return rule["rule"], rule["result"], wanted, "", rule["place"]
    return rule["rule"], rule["result"], _wanted(condition), _seen(condition["seen"]), condition["place"]


def _wanted(condition: Mapping[str, Any]) -> str:
    """With its error, which may begin with what was wanted."""
    wanted, error = str(condition["wanted"]), str(condition["error"] or "")
    if not error or error.startswith(f"{wanted}:"):
        return error or wanted
    return f"{wanted}: {error}"


def _seen(seen: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{path} {_value(value)}" for path, value in seen.items())


def _value(seen: Mapping[str, Any]) -> str:
    if "missing" in seen:
        return "is missing"
    return f"is a {seen['kind']}" if "kind" in seen else f"= {json.dumps(seen['value'], ensure_ascii=False)}"


def _print_notification(notification: Mapping[str, Any]) -> None:
    typer.echo()
    content = notification["content"]
    native = content.get("native", {})
    print_fields(
        {
            "notification of": notification["rule"],
            "hub": notification["hub"] + (" (remote)" if notification["remote"] else ""),
            "to": notification["to"],
            "only to": notification["only_to"],
            "platforms": notification["platforms"],
            "priority": notification["priority"],
            "collapse": notification["collapse"],
            "sent at": notification["schedule_at"],
            "expires_at": notification["expires_at"],
            "content": content.get("content", ""),
            **{f"property {name}": value for name, value in content.get("properties", {}).items()},
            **({"native": native["platform"], "payload": native["payload"]} if native else {}),
            **{f"header {name}": value for name, value in native.get("headers", {}).items()},
            "audience": _audience(notification),
            "kept back": "\n".join(notification["kept_back"]),
            "reported to": ", ".join(notification["report_to"]),
            "unless opened": _unless_opened(notification),
        }
    )
    for payload in notification["payloads"]:
        _print_payload(payload)


def _audience(notification: Mapping[str, Any]) -> str:
    if notification["remote"]:
        return "known to the remote hub alone"
    if notification["audience"] is None:
        return "not known: name --store or --device. The templates of a notification are the phones' own"
    counts = ", ".join(f"{platform} {count}" for platform, count in notification["audience"].items())
    return counts or f"empty: {notification['unreached']}"


def _unless_opened(notification: Mapping[str, Any]) -> str:
    told = notification["unless_opened"]
    if told is None:
        return ""
    after = spelled(timedelta(seconds=told["after"]))
    return f"{', '.join(told['report_to'])} is told of each phone that has not opened it within {after}"


def _print_payload(payload: Mapping[str, Any]) -> None:
    typer.echo()
    missing = ", ".join(payload["missing"])
    shown = payload["shown"] or {}
    print_fields(
        {
            "payload": f"{payload['platform']}, as {payload['registrations']} of these registrations get it",
            "missing properties": missing,
            "language": shown.get("locale", ""),
            "title": shown.get("title", ""),
            "text": shown.get("body", ""),
            "not sent": payload["refused"],
            "POST": payload["url"],
            **payload["headers"],
        }
    )
    if payload["body"]:
        print_fields({"body": payload["body"]})
