"""Silences: what is held or dropped for a while, by whose wish and why."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bridge.admin.api.operation import Call, Management, Model, Operation, instant, moment
from bridge.config.unstored import needs_no_disk
from connectors.duration import Duration
from hub.errors import InvalidRequestError
from hub.silence import LONGEST, MAX_NAME, MAX_REASON, SHORTEST, NewSilence, Silence, SilenceAction, SilenceUse
from hub.spelling import did_you_mean

_NOWHERE = "all hubs have durability: remote, and this process keeps nothing that it could hold: drop, or hold there"

Name = Annotated[str, Field(max_length=MAX_NAME)]


class SilenceModel(Model):
    """One silence. Of `rule`, `source` and `hub` those that are not empty have to fit; `missing` names those that the
    configuration in force does not have. `active` says whether it is in force; then it ends at `until`, else it ended then.

    `held` notifications wait for its end, the oldest since `held_since`; `dropped` counts those that it ended, while they
    are kept.
    """

    id: str
    action: Literal["hold", "drop"]
    rule: str
    source: str
    hub: str
    reason: str
    actor: str
    at: datetime
    until: datetime
    active: bool
    removed_by: str
    held: int
    held_since: datetime | None
    dropped: int
    missing: list[str]


class Silences(Model):
    """Those in force, and those that ended in the last 30 days; the newest first."""

    items: list[SilenceModel]


class SilenceQuery(Model):
    """Which silences."""

    active: Annotated[bool, Field(description="Those in force alone.")] = False


class NewSilenceModel(Model):
    """What to be silent about: what fits all of `rule`, `source` and `hub` that are given. One of them has to be."""

    action: Literal["hold", "drop"]
    seconds: Annotated[Duration, Field(description="How long, up to 30 days; a number, or text such as 2h.")]
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
    rule: Name = ""
    source: Name = ""
    hub: Name = ""

    @field_validator("seconds")
    @classmethod
    def _check_bounds(cls, seconds: float) -> float:
        if not SHORTEST <= seconds <= LONGEST:
            raise ValueError("from 1s to 30d: what is to be silent for longer is a change of the configuration")
        return seconds

    @field_validator("reason")
    @classmethod
    def _check_reason(cls, reason: str) -> str:
        if not reason.strip() or not reason.isprintable():
            raise ValueError("say why, in printable characters of one line")
        return reason.strip()


async def _list(call: Call) -> Silences:
    query: SilenceQuery = call.query
    store = call.management.hub.store
    now, usage = store.now(), await store.silence_usage()
    chosen = [each for each in store.known_silences if each.until > now or not query.active]
    return Silences(items=[_model(call.management, each, usage) for each in reversed(chosen)])


async def _add(call: Call) -> SilenceModel:
    asked: NewSilenceModel = call.body
    settings = call.management.settings
    if not (asked.rule or asked.source or asked.hub):
        raise InvalidRequestError("say what to be silent about: a rule, a source or a hub")
    hubs = {name.lower(): name for name in settings.hubs}
    new = NewSilence(
        id=secrets.token_hex(4),
        action=SilenceAction(asked.action),
        seconds=asked.seconds,
        reason=asked.reason,
        actor=call.actor,
        rule=_known("rule", asked.rule, [rule.name for rule in settings.rules.rules]),
        source=_known("source", asked.source, settings.sources),
        hub=_known("hub", asked.hub.lower() and hubs.get(asked.hub.lower(), asked.hub), settings.hubs).lower(),
    )
    if new.action is SilenceAction.HOLD and needs_no_disk(settings.hubs):
        raise InvalidRequestError(_NOWHERE)
    return _model(call.management, await call.management.hub.add_silence(new), {})


def _known(kind: str, name: str, names: Iterable[str]) -> str:
    """Raises: InvalidRequestError: there is none of that name."""
    known = list(names)
    if name and name not in known:
        hint = did_you_mean(name, known)
        raise InvalidRequestError(f"{kind}: there is none named {name[:100]!r}{f' ({hint})' if hint else ''}")
    return name


async def _remove(call: Call) -> SilenceModel:
    removed = await call.management.hub.remove_silence(call.path["id"], actor=call.actor)
    return _model(call.management, removed, await call.management.hub.store.silence_usage())


def _model(management: Management, silence: Silence, usage: Mapping[str, SilenceUse]) -> SilenceModel:
    use = usage.get(silence.id, SilenceUse())
    return SilenceModel(
        id=silence.id,
        action=silence.action.value,
        rule=silence.rule,
        source=silence.source,
        hub=silence.hub,
        reason=silence.reason,
        actor=silence.actor,
        at=instant(silence.at),
        until=instant(silence.until),
        active=silence.until > management.hub.store.now(),
        removed_by=silence.removed_by,
        held=use.held,
        held_since=moment(use.oldest),
        dropped=use.dropped,
        missing=_missing(management, silence),
    )


def _missing(management: Management, silence: Silence) -> list[str]:
    """What it names and the configuration in force does not have, in words."""
    settings = management.settings
    there: Sequence[tuple[str, str, Iterable[str]]] = (
        ("rule", silence.rule, [rule.name for rule in settings.rules.rules]),
        ("source", silence.source, settings.sources),
        ("hub", silence.hub, [name.lower() for name in settings.hubs]),
    )
    return [f"{kind} {name}" for kind, name, names in there if name and name not in names]


def silence_said(management: Management, silence_id: str) -> str:
    """A silence in a line, for what it decided about; empty for no id."""
    if not silence_id:
        return ""
    found = next((each for each in management.hub.store.known_silences if each.id == silence_id), None)
    if found is None:
        return f"silence {silence_id}, which is past its time"
    ended = found.until <= management.hub.store.now()
    by = f" by {found.removed_by}" if found.removed_by else ""
    until = (
        f"ended {instant(found.until).isoformat(timespec='seconds')}{by}"
        if ended
        else (f"until {instant(found.until).isoformat(timespec='seconds')}")
    )
    return f"silence {found.id} of {found.actor} ({found.action.value} {found.target}, {until}): {found.reason}"


OPERATIONS = (
    Operation(
        name="listSilences",
        method="GET",
        path="/silences",
        summary="Silences in force, and those that ended in the last 30 days, newest first.",
        run=_list,
        answer=Silences,
        query=SilenceQuery,
    ),
    Operation(
        name="addSilence",
        method="POST",
        path="/silences",
        summary="Hold or drop notifications of a rule, a source or a hub for a while.",
        run=_add,
        answer=SilenceModel,
        body=NewSilenceModel,
        status=201,
    ),
    Operation(
        name="removeSilence",
        method="POST",
        path="/silences/{id}/remove",
        summary="End a silence before its time; what it holds goes out.",
        run=_remove,
        answer=SilenceModel,
        missing="no silence of that id is in force",
    ),
)
