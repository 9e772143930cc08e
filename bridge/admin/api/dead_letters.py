"""Messages, and shares of them, that could not become notifications."""

import base64
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bridge.admin.api.operation import Call, Model, Operation, Paged, cursor_of, instant, moment, place_in
from bridge.config.models.document import Settings
from bridge.observe.redaction import redact
from bridge.observe.replay import Replay
from hub.errors import CapacityError, NotFoundError, StoreError
from hub.store.contracts.dead_letters import KeptLetter, LetterFilter

_LIST = "dead-letters"
_LARGEST_ID = 2**63 - 1
_REPLAY_SECONDS = 4.0
"""After this time a request begins no other letter: one may take 5 s to read, and an answer has 10."""
_WITHHELD = "the body may be personal: it is shown to the role admin alone; set listeners.admin.auth"
_SENSITIVE = "the body is not kept: its source or a rule is sensitive"


class DeadLetterSummary(Model):
    """One dead letter; `rule` is empty when the message as a whole could not be used, `owner` answers for the rule, else
    for the source, and `size` are the bytes of its body.

    `relay` names the source whose broker has yet to get it. `replay` is `accepted` after a replay that was, else what the
    last one came to: `no_match`, or why it failed again.
    """

    id: int
    at: datetime
    source: str
    event_id: str
    rule: str
    owner: str
    stage: str
    reason: str
    detail: str
    size: int
    tries: int
    trace: str
    config_hash: str
    revision: str
    relay: str | None
    replayed_at: datetime | None
    replay: str


class LetterReplay(Model):
    """A replay of a dead letter: when, who, and what it came to."""

    at: datetime
    actor: str
    outcome: str


class DeadLetter(DeadLetterSummary):
    """A dead letter with its body: text where the body is UTF-8, else base64. `withheld` says why the body is left out.

    Headers whose names sound like credentials are removed. `replays` are the last 100, newest first."""

    content_type: str | None
    headers: dict[str, str]
    replays: list[LetterReplay]
    body: str | None = None
    body_base64: str | None = None
    withheld: str = ""


class DeadLetters(Model):
    """Newest first. With filters a part may hold few, or none, and have a next one."""

    items: list[DeadLetterSummary]
    next: str | None


class DeadLetterQuery(Paged):
    """Which dead letters."""

    source: str = ""
    reason: str = ""
    rule: str = ""
    open: Annotated[bool, Field(description="Leave out what a replay had accepted.")] = False


_Id = Annotated[int, Field(strict=True, ge=1, le=_LARGEST_ID)]


class Drop(Model):
    """Which dead letters to forget."""

    ids: Annotated[tuple[_Id, ...], Field(min_length=1, max_length=1000)]


class Dropped(Model):
    """Those that are gone now, and those that were not there."""

    dropped: list[int]
    missing: list[int]


class ReplayRequest(Model):
    """Which dead letters to send once more through the rules. With `dry_run` the answer says what would happen, and
    nothing is changed."""

    ids: Annotated[tuple[_Id, ...], Field(min_length=1, max_length=100)]
    dry_run: Annotated[bool, Field(strict=True)] = False


class ReplayedNotification(Model):
    """A notification of a letter. `is_new` is false where it was accepted before: then it causes nothing."""

    id: str
    rule: str
    hub: str
    expression: str
    is_new: bool


class ReplayFailure(Model):
    """A rule that becomes a dead letter of its own, beside notifications of other rules."""

    rule: str
    reason: str
    detail: str


class ReplayedLetter(Model):
    """What became, or would become, of a letter: `accepted`, `repeated` (everything was accepted before), `no_match`, or
    `failed` with `reason` and `detail`; in the latter two cases the letter stays."""

    id: int
    source: str
    event_id: str
    outcome: str
    reason: str
    detail: str
    rules: list[str]
    notifications: list[ReplayedNotification]
    failures: list[ReplayFailure]


class Replayed(Model):
    """Letters in the order asked for, those that were not there, and those that there was no time for: ask for these
    again."""

    items: list[ReplayedLetter]
    missing: list[int]
    left: list[int]


def _summary(kept: KeptLetter, settings: Settings) -> dict[str, Any]:
    """A letter of a remote hub's refusal names no owner: then today's is named."""
    letter = kept.letter
    return {
        "id": kept.id,
        "at": instant(kept.at),
        "source": letter.source,
        "event_id": letter.event_id,
        "rule": letter.rule,
        "owner": letter.owner or settings.owner_of(letter.source, letter.rule),
        "stage": letter.stage,
        "reason": letter.reason,
        "detail": letter.detail,
        "size": kept.size,
        "tries": letter.tries,
        "trace": letter.trace,
        "config_hash": letter.config_hash,
        "revision": letter.revision,
        "relay": letter.relay,
        "replayed_at": moment(kept.replayed_at),
        "replay": kept.replay,
    }


async def _list(call: Call) -> DeadLetters:
    query: DeadLetterQuery = call.query
    page = await call.management.hub.store.letters(
        LetterFilter(
            source=query.source or None,
            reason=query.reason or None,
            rule=query.rule or None,
            open_only=query.open,
        ),
        after=place_in(_LIST, query.cursor),
        limit=query.limit,
    )
    return DeadLetters(
        items=[DeadLetterSummary(**_summary(kept, call.management.settings)) for kept in page.items],
        next=cursor_of(_LIST, page.next),
    )


async def _show(call: Call) -> DeadLetter:
    text = call.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFoundError(f"dead letter {text[:40]!r} not found: an id is a number")
    kept = await call.management.hub.store.letter(int(text))
    return DeadLetter(
        **_summary(kept, call.management.settings),
        content_type=kept.letter.content_type,
        headers={name: str(value) for name, value in redact(kept.letter.headers).items()},
        replays=[LetterReplay(at=instant(one.at), actor=one.actor, outcome=one.outcome) for one in kept.replays],
        **_content(kept, sees_values=call.sees_values),
    )


def _content(kept: KeptLetter, *, sees_values: bool) -> Mapping[str, Any]:
    if kept.letter.withheld is not None:
        return {"withheld": _SENSITIVE}
    return _body(kept.letter.body) if sees_values else {"withheld": _WITHHELD}


def _body(body: bytes) -> Mapping[str, Any]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


async def _drop(call: Call) -> Dropped:
    body: Drop = call.body
    ids = list(dict.fromkeys(body.ids))
    dropped = await call.management.hub.store.drop_dead_letters(ids, actor=call.actor)
    return Dropped(dropped=list(dropped), missing=[letter for letter in ids if letter not in set(dropped)])


async def _replay(call: Call) -> Replayed:
    body: ReplayRequest = call.body
    ids = list(dict.fromkeys(body.ids))
    items: list[ReplayedLetter] = []
    missing: list[int] = []
    until = time.monotonic() + _REPLAY_SECONDS
    for index, letter_id in enumerate(ids):
        if index and time.monotonic() > until:
            return Replayed(items=items, missing=missing, left=ids[index:])
        try:
            items.append(_replayed(letter_id, await _replay_one(call, letter_id, dry_run=body.dry_run)))
        except NotFoundError:
            missing.append(letter_id)
        except (CapacityError, StoreError):
            if not items:  # else the answer says what was done until now
                raise
            return Replayed(items=items, missing=missing, left=ids[index:])
    return Replayed(items=items, missing=missing, left=[])


async def _replay_one(call: Call, letter_id: int, *, dry_run: bool) -> Replay:
    replayer = call.management.replayer
    return await replayer.preview(letter_id) if dry_run else await replayer.replay(letter_id, actor=call.actor)


def _replayed(letter_id: int, replay: Replay) -> ReplayedLetter:
    return ReplayedLetter(
        id=letter_id,
        source=replay.letter.letter.source,
        event_id=replay.letter.letter.event_id,
        outcome=replay.outcome.value,
        reason=replay.reason,
        detail=replay.detail,
        rules=list(replay.rules),
        notifications=[
            ReplayedNotification(
                id=one.id, rule=one.rule, hub=one.hub, expression=str(one.audience), is_new=one.id not in replay.known
            )
            for one in replay.notifications
        ],
        failures=[
            ReplayFailure(rule=failure.rule, reason=failure.reason.value, detail=failure.detail)
            for failure in replay.failures
        ],
    )


OPERATIONS = (
    Operation(
        name="listDeadLetters",
        method="GET",
        path="/dead-letters",
        summary="What could not become a notification, newest first.",
        run=_list,
        answer=DeadLetters,
        query=DeadLetterQuery,
    ),
    Operation(
        name="showDeadLetter",
        method="GET",
        path="/dead-letters/{id}",
        summary="One dead letter, with its body for who has the admin token.",
        run=_show,
        answer=DeadLetter,
        missing="no dead letter has that id",
    ),
    Operation(
        name="dropDeadLetters",
        method="POST",
        path="/dead-letters/drop",
        summary="Forget dead letters, for good.",
        run=_drop,
        answer=Dropped,
        admin_only=True,
        body=Drop,
    ),
    Operation(
        name="replayDeadLetters",
        method="POST",
        path="/dead-letters/replay",
        summary="Send dead letters once more through the rules of today, or say what that would do.",
        run=_replay,
        answer=Replayed,
        body=ReplayRequest,
    ),
)
