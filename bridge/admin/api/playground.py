"""The playground: an event is tried on a draft of the rules, rule by rule up to a phone's screen; nothing is sent."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import Field, JsonValue, ValidationError

from bridge.admin.api.audience_preview import Preview
from bridge.admin.api.operation import Call, Model, Operation
from bridge.admin.api.problems import ProblemError
from bridge.admin.playground.audiences import Wanted, reached
from bridge.admin.playground.process import TryFailedError, TryStoppedError
from bridge.config.models.sources import SourceSettings
from bridge.explanation import kind_of
from hub.errors import InvalidRequestError, NotFoundError

_MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request: of the event, and of the rules."""

_PATIENCE = 45.0
_OFF = "the playground is turned off: listeners.admin.playground.at_once is 0"


_Answer = TypeVar("_Answer")


class DraftSource(Model):
    """A source whose messages may be tried: its broker, the format of its bodies, and the properties of its messages."""

    name: str
    title: str
    format: str
    meta: dict[str, str]


class DraftRules(Model):
    """What a draft begins with: the sections `defaults` and `rules` as the files have them now. `may_try` is whether who
    asks may try."""

    rules: str
    sources: list[DraftSource]
    may_try: bool


class TriedMessage(Model):
    """A message as a source would hand it over, and the draft's sections `defaults` and `rules` in YAML.

    Texts held here are shown in `locale`, as a phone of that language reads them; empty: as one that says none.
    """

    source: str
    body: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    meta: dict[str, str] = Field(default_factory=dict)
    content_type: str = ""
    locale: Annotated[str, Field(max_length=100)] = ""
    rules: str


class DraftProblem(Model):
    """A mistake or a warning; `line` and `column` count from 1, and are 0 where it is not in the draft."""

    line: int
    column: int
    key: str
    message: str
    hint: str
    severity: str


class Tried(Model):
    """What would become of the message. `events` have the shape of `pushbridge explain --json`, one for each record of a
    body that is taken apart, the first ones of `count`; rules of other sources are counted in `rules_of_other_sources`. A
    notification for a hub that is here has its `reach` besides (see `Preview`). Of its `payloads` those with 0
    `registrations` are made with a sample of a template.

    `test` is a file of tests that passes with these rules. `not_enforced` says what nothing keeps the process from on this
    machine that ran it.
    """

    problems: list[DraftProblem]
    events: list[dict[str, JsonValue]]
    count: int
    test: str
    not_enforced: list[str]


class RecentQuery(Model):
    """Which event."""

    id: Annotated[str, Field(min_length=1, description="The id of an event that is kept.")]
    source: Annotated[str, Field(description="The source that brought it.")]


class RecentMessage(Model):
    """An event that came, as a message to try. `body` is JSON of its data, empty where its source's bodies are of another
    format. `masked`: texts and numbers are not shown, so the copy has others in their places. `missing` says why there
    is nothing to try, empty where there is."""

    source: str
    body: str
    headers: dict[str, str]
    meta: dict[str, str]
    masked: bool
    missing: str


async def _draft(call: Call) -> DraftRules:
    _refuse_if_off(call)
    draft = await _of(call.management.playground.draft())
    sources = call.management.settings.sources
    return DraftRules(
        rules=draft.rules,
        sources=[_source(name, source) for name, source in sources.items()],
        may_try=call.role >= _TRY.least_role,
    )


def _source(name: str, source: SourceSettings) -> DraftSource:
    connector = source.connector
    return DraftSource(
        name=name, title=connector.title, format=source.decode.format or "json", meta=dict(connector.meta)
    )


async def _try(call: Call) -> Tried:
    _refuse_if_off(call)
    asked: TriedMessage = call.body
    management = call.management
    if asked.source not in management.settings.sources:
        raise InvalidRequestError(f"source: there is no {asked.source[:100]!r}")
    previews: list[Preview] = []

    async def found(wanted: Sequence[Any]) -> Sequence[Any]:
        answers = []
        for each in wanted:
            preview, known = await reached(management, Wanted.model_validate(each))
            previews.append(preview)
            answers.append(known)
        return answers

    answer, by_phones = await _of(
        management.playground.tried(
            {**asked.model_dump(), "now": datetime.now(UTC).replace(microsecond=0).isoformat()},
            at_once=management.settings.listeners.admin.playground.at_once,
            found=found,
        )
    )
    del answer["audiences"]
    local = [each for event in answer["events"] for each in event["notifications"] if not each["remote"]]
    for notification, preview, filled in zip(local, previews, by_phones, strict=False):
        notification |= {
            "audience": preview.counts,
            "unreached": preview.unreached_meaning,
            "reach": preview.model_dump(mode="json"),
            **filled,
        }
    return Tried.model_validate(answer)


async def _of(work: Awaitable[_Answer]) -> _Answer:
    """Raises: ProblemError: it came to a limit, or failed."""
    try:
        return await work
    except TryStoppedError as error:
        raise ProblemError(422, str(error)) from error
    except (TryFailedError, ValidationError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ProblemError(500, f"the try failed: {error}" if str(error) else "the try failed") from error


async def _recent(call: Call) -> RecentMessage:
    _refuse_if_off(call)
    query: RecentQuery = call.query
    kept = await call.management.hub.store.journaled(query.id, source=query.source, limit=1)
    if not kept:
        raise NotFoundError(f"no event {query.id[:200]!r} of {query.source[:100]!r} is kept")
    (event,) = kept
    source = call.management.settings.sources.get(event.source)
    missing = ""
    if source is None:
        missing = f"there is no source {event.source} any more"
    elif event.content is None:
        missing = "its values are not kept"
    elif (source.decode.format or "json") != "json":
        missing = (
            f"bodies of {event.source} are {source.decode.format}, and what was decoded is kept alone: paste its body"
        )
    if missing or event.content is None:
        return RecentMessage(source=event.source, body="", headers={}, meta={}, masked=False, missing=missing)
    values: Mapping[str, Any] = orjson.loads(event.content)
    data, meta = values["data"], dict(values["meta"])
    if not call.sees_values:
        data, meta = masked(data), masked(meta)
    headers = meta.pop("headers", {})
    known = {} if source is None else source.connector.meta
    return RecentMessage(
        source=event.source,
        body=orjson.dumps(data, option=orjson.OPT_INDENT_2).decode(),
        headers=_texts(headers),
        meta=_texts({name: value for name, value in meta.items() if name in known}),
        masked=not call.sees_values,
        missing="",
    )


def masked(value: Any) -> Any:
    """A copy of the same shape: of a text its length is left, of a number that it is one, and of true and false nothing."""
    match value:
        case dict():
            return {key: masked(each) for key, each in value.items()}
        case list():
            return [masked(each) for each in value]
        case bool():
            return False
        case int() | float():
            return 0
        case str():
            return f"({kind_of(value)})"
    return value


def _texts(values: Any) -> dict[str, str]:
    """What a person can edit."""
    return {str(name): str(value) for name, value in values.items() if value is not None} if values else {}


def _refuse_if_off(call: Call) -> None:
    """Raises: NotFoundError."""
    if not call.management.settings.listeners.admin.playground.at_once:
        raise NotFoundError(_OFF)


_TRY = Operation(
    name="tryEvent",
    method="POST",
    path="/playground",
    summary="Try an event on a draft of the rules, in a process with limits; nothing is sent, kept or changed.",
    run=_try,
    answer=Tried,
    body=TriedMessage,
    missing="The playground is turned off.",
    patience=_PATIENCE,
    max_body=_MAX_BODY,
)

OPERATIONS = (
    Operation(
        name="getDraft",
        method="GET",
        path="/playground",
        summary="What a draft of the rules begins with.",
        run=_draft,
        answer=DraftRules,
        missing="The playground is turned off.",
        patience=_PATIENCE,
    ),
    _TRY,
    Operation(
        name="getRecentMessage",
        method="GET",
        path="/playground/recent",
        summary="An event that is kept as a message to try; with values for the role admin alone.",
        run=_recent,
        answer=RecentMessage,
        query=RecentQuery,
        missing="No such event is kept, or the playground is turned off.",
    ),
)
