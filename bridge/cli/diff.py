"""`pushbridge diff`: what a draft of a configuration would do differently with events that came; nothing is sent."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import Client, fail, target_of
from bridge.cli.command import Answer, TokenFile, Url, answer_command
from bridge.cli.exits import Exit
from bridge.cli.process import print_problems
from bridge.cli.tables import without_controls
from bridge.counts import how_many
from hub.notification import EVERYONE

if TYPE_CHECKING:
    from bridge.config.models.document import Settings
    from bridge.trial.draft import Change, Comparison, KeptValues

_MAX_LINE = 1024 * 1024
"""Bytes of an event's line; of an event with its values the journal keeps 32 KiB."""

_WIDTH = 300
"""Characters of one side of a change that are shown."""


@answer_command
def diff(
    new: Annotated[list[Path], typer.Argument(metavar="NEW...", help="The draft.", show_default=False)],
    against: Annotated[
        list[Path], typer.Option(help="The configuration that it is compared with; repeat it for several paths.")
    ],
    events: Annotated[
        Path | None,
        typer.Option(help="Events that `pushbridge events export` wrote; - is standard input. Asks no daemon."),
    ] = None,
    since: Annotated[str, typer.Option(help="Without --events: how far back to take the daemon's journal.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, help="How many events at most.")] = 10_000,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    url: Url = "",
    token_file: TokenFile = None,
) -> Answer:
    """Say what a draft would do differently with events that came: rules, audiences, contents; nothing is sent."""
    from bridge.trial.draft import compared

    old_settings, new_settings = _settings_of(against), _settings_of(new)
    if events is not None:
        comparison = compared(old_settings, new_settings, _in_file(events, limit))
        reached: Mapping[tuple[str, str], int] = {}
    else:
        with Client(target_of(url, token_file, against)) as client:
            comparison = compared(old_settings, new_settings, _in_journal(client, since, limit))
            reached = {} if client.is_at_rest else _reached(client, comparison.changes)
    notes = list(_notes(old_settings, new_settings, reached))
    if any(count.zone_is_assumed for count in comparison.windows.values()):
        notes.append("quiet hours by each phone's clock are counted by the zone of phones that say none")
    if comparison.events == limit:
        notes.append(f"{how_many(limit, 'event')} at most were taken: --limit takes more")
    lines = _markdown if markdown else _text

    def show(_: object) -> None:
        for line in lines(comparison, notes, reached):
            typer.echo(without_controls(line))

    return Answer(_report(comparison, notes, reached), show)


def _settings_of(paths: Sequence[Path]) -> "Settings":
    """Without secrets, which rules do not need. Raises: typer.Exit: it has mistakes, which were printed."""
    from bridge.config.load import check

    settings, problems = check(paths, no_secrets=True, samples=True)
    if settings is None:
        print_problems(problems)
        raise typer.Exit(Exit.MISTAKES)
    return settings


def _in_file(file: Path, limit: int) -> Iterator["KeptValues"]:
    """Raises: typer.Exit: it cannot be read, or a line is no event."""
    from bridge.trial.draft import event_of
    from hub.exact_json import loads_as_written

    taken = 0
    for number, line in enumerate(_lines_of(file), start=1):
        if taken == limit:
            return
        if not line.strip():
            continue
        taken += 1
        try:
            yield event_of(loads_as_written(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"has no {error}" if isinstance(error, KeyError) else "is no event that events export wrote"
            raise fail(f"{file}:{number}: {problem}", Exit.WRONG_ARGUMENTS) from error


def _lines_of(file: Path) -> Iterator[bytes]:
    """One at a time, as a file may be larger than the memory; a longer line comes in parts, none of which is an event.

    Raises: typer.Exit.
    """
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
            while line := stream.readline(_MAX_LINE):
                yield line
    except OSError as error:
        raise fail(f"{file}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error


def _in_journal(client: Client, since: str, limit: int) -> Iterator["KeptValues"]:
    from bridge.trial.draft import event_of

    asked = {"since": since_of(since, "--since")}
    for part in client.parts(("journal", "export"), asked, limit=limit, exact=True):
        yield from map(event_of, part["items"])


def since_of(text: str, option: str) -> str:
    """The time that was so long ago, as the API takes it. Raises: typer.Exit: no duration."""
    from pydantic import TypeAdapter, ValidationError

    from connectors.duration import Duration

    try:
        seconds = TypeAdapter(Duration).validate_python(text)
        return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    except (ValidationError, OverflowError) as error:
        raise fail(f"{option} {text!r}: write a time such as 30m, 24h or 7d", Exit.WRONG_ARGUMENTS) from error


def _reached(client: Client, changes: Iterable["Change"]) -> Mapping[tuple[str, str], int]:
    """How many pushes each audience would be now, by hub and expression."""
    hubs = {hub["name"] for hub in client.get("status")["hubs"]}
    asked = {(change.hub, audience) for change in changes for audience in (*change.lost, *change.gained)}
    return {
        (hub, audience): client.post("hubs", hub, "preview", body=_anything_to(audience), timeout=30.0)["total"]
        for hub, audience in sorted(asked)
        if hub in hubs
    }


def _anything_to(audience: str) -> Mapping[str, Any]:
    whom = {"everyone": True} if audience == str(EVERYONE) else {"tags": audience}
    return {**whom, "properties": {"title": ""}}


def _notes(old: "Settings", new: "Settings", reached: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """What this comparison does not show."""
    before, after = (
        {name: (source.decode, source.map) for name, source in each.sources.items()} for each in (old, new)
    )
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    if changed:
        yield (
            f"decode or map of {', '.join(changed)} differ: events are taken as they were mapped then, so try a body with"
            " explain"
        )
    if gone := sorted(before.keys() - after.keys()):
        yield f"the draft has no source {', '.join(gone)}"
    if any(rule.flow is not None and rule.flow.may_suppress for each in (old, new) for rule in each.rules.rules):
        yield "each event is taken by itself: what dedupe and throttle would keep back is not counted"
    if reached:
        yield "registrations are counted in today's registry"


def _report(comparison: "Comparison", notes: Sequence[str], reached: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    from bridge.cli.diff_windows import counts_of

    return {
        "events": comparison.events,
        "same": comparison.same,
        "notes": notes,
        "changes": [
            {
                "rule": change.rule,
                "hub": change.hub,
                "content": change.content,
                "kind": change.kind.value,
                "events": change.events,
                "registrations_lost": _sum(change.hub, change.lost, reached),
                "registrations_gained": _sum(change.hub, change.gained, reached),
                "samples": [asdict(sample) for sample in change.samples],
            }
            for change in comparison.changes
        ],
        "windows": [
            {
                "rule": rule,
                "quiet_hours": None if count.quiet is None else count.quiet.window.name,
                "zone": None if count.quiet is None else count.quiet.zone_for(""),
                "only_in": None if count.only_in is None else count.only_in.name,
                **counts_of(count),
                "before": None if rule not in comparison.windows_before else counts_of(comparison.windows_before[rule]),
            }
            for rule, count in comparison.windows.items()
        ],
    }


def _sum(hub: str, audiences: Iterable[str], reached: Mapping[tuple[str, str], int]) -> int | None:
    """Registrations of all these audiences; one that is in several counts in each. None where nobody was asked."""
    found = [reached[hub, audience] for audience in audiences if (hub, audience) in reached]
    return sum(found) if found else None


def _headline(comparison: "Comparison") -> str:
    if not comparison.events:
        return "No event was there to compare with."
    differ = comparison.events - comparison.same
    return f"{how_many(comparison.events, 'event')}: {comparison.same} come to the same, {differ} to something else."


def _title(change: "Change", reached: Mapping[tuple[str, str], int]) -> str:
    place = ", ".join(word for word in (change.hub, change.content if change.content != "template" else "") if word)
    title = f"{change.rule}{f' ({place})' if place else ''}: {change.kind.value}, {how_many(change.events, 'event')}"
    sides = (("lost", change.lost), ("gained", change.gained))
    counts = [f"{total} {word}" for word, side in sides if (total := _sum(change.hub, side, reached)) is not None]
    return f"{title}; registrations: {', '.join(counts)}" if counts else title


def _sides(change: "Change") -> Iterator[tuple[str, list[str]]]:
    for sample in change.samples:
        lines = [
            f"{sign} {_shown(side)}" for sign, side in (("-", sample.before), ("+", sample.after)) if side is not None
        ]
        yield f"{sample.id} of {sample.source}", lines


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _text(comparison: "Comparison", notes: Sequence[str], reached: Mapping[tuple[str, str], int]) -> Iterator[str]:
    from bridge.cli.diff_windows import lines_of

    yield _headline(comparison)
    yield from (f"note: {note}" for note in notes)
    if comparison.windows:
        yield ""
        yield "Quiet hours and windows of the draft:"
        yield from (f"  {line}" for line in lines_of(comparison))
    for change in comparison.changes:
        yield ""
        yield _title(change, reached)
        for sample, lines in _sides(change):
            yield f"  {sample}"
            yield from (f"    {line}" for line in lines)


def _markdown(comparison: "Comparison", notes: Sequence[str], reached: Mapping[tuple[str, str], int]) -> Iterator[str]:
    from bridge.cli.diff_windows import lines_of

    yield _headline(comparison)
    for note in notes:
        yield ""
        yield f"> {_escaped(note)}"
    if comparison.windows:
        yield ""
        yield "### Quiet hours and windows of the draft"
        yield ""
        yield from (f"- {_escaped(line)}" for line in lines_of(comparison))
    for change in comparison.changes:
        yield ""
        yield f"### {_escaped(_title(change, reached))}"
        for sample, lines in _sides(change):
            fence = "```" if not any("```" in line for line in lines) else "~~~~~~"
            yield ""
            yield f"{_escaped(sample)}"
            yield ""
            yield f"{fence}diff"
            yield from lines
            yield fence


def _escaped(text: str) -> str:
    """A line of Markdown that is the text: what an event says is no markup of a pull request."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|@&~" else letter for letter in text)
