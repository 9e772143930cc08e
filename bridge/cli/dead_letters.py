"""`pushbridge dead-letters`: what could not become a notification."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli.client import Client, fail
from bridge.cli.command import Answer, Limit, client_command
from bridge.cli.exits import Exit
from bridge.cli.tables import print_fields, print_table

dead_letters = typer.Typer(help="Messages that could not become notifications.", no_args_is_help=True)

Source = Annotated[str, typer.Option(help="Of this source.")]
Reason = Annotated[str, typer.Option(help="With this reason.")]
Rule = Annotated[str, typer.Option(help="Of this rule.")]

_AT_ONCE = 1000
_REPLAYED_AT_ONCE = 100
_PATIENCE = 60.0
"""Seconds for which a daemon that is busy is asked again before the command ends."""


@dead_letters.command("list")
@client_command
def list_(
    client: Client,
    source: Source = "",
    reason: Reason = "",
    rule: Rule = "",
    open: Annotated[bool, typer.Option("--open", help="Without those that a replay had accepted.")] = False,
    limit: Limit = 50,
) -> Answer:
    """List them, newest first."""
    found = client.items("dead-letters", limit=limit, source=source, reason=reason, rule=rule, **_open(open))
    return Answer(list(found), _print_list)


@dead_letters.command()
@client_command
def show(client: Client, id: Annotated[int, typer.Argument(help="Its id in the list.", show_default=False)]) -> Answer:
    """Show one, with its body for the role admin."""
    return Answer(client.get("dead-letters", str(id)), _print_letter)


@dead_letters.command()
@client_command
def replay(
    client: Client,
    ids: Annotated[list[int] | None, typer.Argument(help="Their ids.", show_default=False)] = None,
    source: Source = "",
    reason: Reason = "",
    rule: Rule = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Letters a second, at most.")] = 100.0,
) -> Answer:
    """Send them once more through the rules of today, oldest first; --dry-run first says what that would do.

    Without ids: those that no replay had accepted yet, of a --source, --reason or --rule. A letter of one rule goes to that
    rule alone, while there is one of its name. What was accepted before is not done again, so a command that was cut off is
    repeated as it was. What fails again stays, marked with the reason, and the command ends with code 5.
    """
    if bool(ids) == bool(source or reason or rule):
        raise fail("say which: ids, or --source, --reason or --rule", Exit.WRONG_ARGUMENTS)
    if not ids:
        found = client.items("dead-letters", limit=2**62, source=source, reason=reason, rule=rule, **_open(True))
        ids = sorted(letter["id"] for letter in found)
    done = _replay(client, list(dict.fromkeys(ids)), dry_run=dry_run, rate=rate)
    is_whole = not done["missing"] and all(one["outcome"] in ("accepted", "repeated") for one in done["items"])
    return Answer(done, _print_replayed, Exit.DONE if is_whole else Exit.REFUSED)


def _replay(client: Client, ids: Sequence[int], *, dry_run: bool, rate: float) -> dict[str, Any]:
    """All of them in parts, no faster than `rate` letters a second; a line on stderr says how far it is."""
    done: dict[str, Any] = {"dry_run": dry_run, "items": [], "missing": []}
    part = max(1, min(_REPLAYED_AT_ONCE, int(rate)))
    left = list(ids)
    while left:
        began = time.monotonic()
        asked, later = left[:part], left[part:]
        body = {"ids": asked, "dry_run": dry_run}
        try:
            answer = client.post("dead-letters", "replay", body=body, patience=_PATIENCE)
        except typer.Exit:
            if tried := len(ids) - len(left):
                typer.echo(f"{tried} of {len(ids)} are done; the same command goes on with the rest", err=True)
            raise
        done["items"] += answer["items"]
        done["missing"] += answer["missing"]
        left = [*answer["left"], *later]
        if left:
            typer.echo(f"{len(ids) - len(left)} of {len(ids)}", err=True)
            tried = len(asked) - len(answer["left"])
            time.sleep(max(0.0, began + tried / rate - time.monotonic()))
    return done


def _open(open_only: bool) -> dict[str, str]:
    return {"open": "true"} if open_only else {}


@dead_letters.command()
@client_command
def drop(
    client: Client,
    ids: Annotated[list[int] | None, typer.Argument(help="Their ids.", show_default=False)] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All of them; with --source, --reason and --rule, all such.")
    ] = False,
    source: Source = "",
    reason: Reason = "",
    rule: Rule = "",
) -> Answer:
    """Forget them, for good."""
    if bool(ids) == every or (ids and (source or reason or rule)):
        raise fail(
            "say which: ids, or --all with --source, --reason and --rule if not all of them", Exit.WRONG_ARGUMENTS
        )
    if every:
        found = client.items("dead-letters", limit=2**62, source=source, reason=reason, rule=rule)
        ids = [letter["id"] for letter in found]
    assert ids is not None
    done: dict[str, list[int]] = {"dropped": [], "missing": []}
    for start in range(0, len(ids), _AT_ONCE):
        answer = client.post("dead-letters", "drop", body={"ids": ids[start : start + _AT_ONCE]})
        for name, some in done.items():
            some += answer[name]
    return Answer(done, _print_dropped, Exit.REFUSED if done["missing"] else Exit.DONE)


def _print_list(found: Sequence[Mapping[str, Any]]) -> None:
    names = ("id", "at", "source", "event_id", "rule", "reason", "detail")
    print_table([name.upper().replace("_", " ") for name in names], ([one[name] for name in names] for one in found))


def _print_letter(letter: Mapping[str, Any]) -> None:
    replays = [f"{one['at']} by {one['actor']}: {one['outcome']}" for one in letter["replays"]]
    print_fields({**letter, "replays": "\n".join(replays)})


def _print_replayed(done: Mapping[str, Any]) -> None:
    print_table(
        ("ID", "SOURCE", "EVENT ID", "WOULD BE" if done["dry_run"] else "OUTCOME", "RULES", "NOTIFICATIONS", "WHY"),
        (
            (one["id"], one["source"], one["event_id"], one["outcome"], one["rules"], _sent(one), _why(one))
            for one in done["items"]
        ),
    )
    if done["missing"]:
        typer.echo(f"not there: {', '.join(map(str, done['missing']))}")
    counts = Counter((one["outcome"], one["reason"]) for one in done["items"])
    parts = [f"{count} {outcome}" + (f" ({reason})" if reason else "") for (outcome, reason), count in counts.items()]
    typer.echo(f"{'would be' if done['dry_run'] else 'done'}: {', '.join(parts) or 'no such letter is open'}")


def _sent(letter: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['id']} to {one['expression']}" + ("" if one["is_new"] else " (accepted before)")
        for one in letter["notifications"]
    ]


def _why(letter: Mapping[str, Any]) -> str:
    failures = [f"rule {one['rule']}: {one['reason']}: {one['detail']}" for one in letter["failures"]]
    return "; ".join([*([f"{letter['reason']}: {letter['detail']}"] if letter["reason"] else []), *failures])


def _print_dropped(done: Mapping[str, Sequence[int]]) -> None:
    missing = ", ".join(map(str, done["missing"]))
    typer.echo(f"{len(done['dropped'])} dropped" + (f"; not there: {missing}" if missing else ""))
