"""What becomes of events, line by line as it falls: `pushbridge events --follow`."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer

from bridge.cli.client import AwayError, Client
from bridge.cli.tables import without_controls

_LOOK_EVERY = 0.5
MOST_AT_ONCE = 20
"""Events of one look that have a line; the others are counted in one: nobody reads hundreds a second."""

_LOOKED_AT = 500


def followed(
    client: Client,
    *,
    as_json: bool = False,
    source: str = "",
    outcome: str = "",
    rule: str = "",
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Lines without end, from the events after the call. A line has no value of an event and no tag of its audience.

    A daemon that goes away is waited for, which is said once on stderr.

    Raises: typer.Exit: the daemon does not answer at the first look.
    """
    asked = {"source": source, "outcome": outcome, "rule": rule}
    last = _newest(client)
    client.outlasts = True
    is_away = False
    while True:
        pause(_LOOK_EVERY)
        try:
            events = list(_until(client.items("events", limit=_LOOKED_AT, **asked), last))
            # A daemon that was started again counts from 1.
            if not events and (newest := _newest(client)) < last:
                last, events = 0, []
                if newest:
                    events = list(client.items("events", limit=_LOOKED_AT, **asked))
        except AwayError:
            if not is_away:
                typer.echo("the daemon does not answer: what it does is shown again once it answers", err=True)
            is_away = True
            continue
        is_away = False
        if not events:
            continue
        last = events[0]["number"]
        for event in reversed(events[:MOST_AT_ONCE]):
            yield json.dumps(event, ensure_ascii=True) if as_json else _line(event)
        if (left_out := len(events) - MOST_AT_ONCE) > 0 and not as_json:
            more = "at least " if len(events) == _LOOKED_AT else ""
            yield f"... and {more}{left_out} more in this moment"


def _newest(client: Client) -> int:
    return max((event["number"] for event in client.items("events", limit=1)), default=0)


def _until(found: Iterator[Any], last: int) -> Iterator[Any]:
    for event in found:
        if event["number"] <= last:
            return
        yield event


def _line(event: Mapping[str, Any]) -> str:
    at = event["received_at"][11:23].rstrip("Z")
    rules = ",".join(event["rules"]) or "-"
    why = event["reason"] or event["detail"]
    said = f"{at:<12}  {event['source']:<20}  {event['outcome']:<11}  {event['id']}  {event['type']}  rules {rules}"
    return without_controls(f"{said}  {why}" if why else said)
