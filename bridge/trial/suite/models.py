"""What a test file holds: tests of rules, each a few steps with what is expected of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bridge.config.section import Positive, Section, time_zone
from bridge.errors import Reason
from bridge.observe.facts import EventOutcome
from hub.errors import TagError
from hub.follow_up import FollowUpOutcome
from hub.notification import EVERYONE, Audience, Priority
from hub.platforms.table import services
from hub.tags import installation_tag, is_service_tag_value, parse, user_tag
from hub.times import parse_rfc3339

if TYPE_CHECKING:
    _Outcome = str
    _Reason = str
    _Platform = str
    _Priority = str
    _Unopened = str
else:
    _Outcome = Literal[tuple(each.value for each in EventOutcome)]
    _Reason = Literal[tuple(each.value for each in Reason)]
    _Platform = Literal[tuple(each.name for each in services())]
    _Priority = Literal[tuple(each.value for each in Priority)]
    _Unopened = Literal[
        tuple(each.value for each in (FollowUpOutcome.NOT_OPENED, FollowUpOutcome.FAILED, FollowUpOutcome.NO_PHONE))
    ]


FIRST_YEAR, END_YEAR = 1970, 9000
"""Years in which a test can be: what lives for a while after its last moment has a date too."""
_CENTURY = 100 * 365.25 * 86_400


def _bounded(seconds: float) -> float:
    if seconds > _CENTURY:
        raise ValueError("longer than a hundred years")
    return seconds


Span = Annotated[Positive, AfterValidator(_bounded)]


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("expected a time such as 2026-03-02T21:50:00+01:00")
    time = parse_rfc3339(value)
    if not FIRST_YEAR <= time.year < END_YEAR:
        raise ValueError(f"expected a time in the years {FIRST_YEAR} to {END_YEAR - 1}")
    return time


def one_or_more(value: object) -> object:
    """One thing as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _not_empty(value: object) -> object:
    """Said of what is empty alone: a list with a mistake in it is not called empty too."""
    if isinstance(value, list | tuple) and not value:
        raise ValueError("is empty")
    return value


def _audience(value: object) -> Audience:
    match value:
        case "everyone":
            return EVERYONE
        case str() as text:
            try:
                return parse(text)
            except TagError as error:
                raise ValueError(f"column {error.column}: {error}") from None
        case {"user": str() as id_, **others} if not others and is_service_tag_value(id_):
            return parse(user_tag(id_))
        case {"installation": str() as id_, **others} if not others and is_service_tag_value(id_):
            return parse(installation_tag(id_))
    raise ValueError("expected a tag expression, everyone, or one of user and installation with an id")


Time = Annotated[datetime, BeforeValidator(_time)]
To = Annotated[Any, BeforeValidator(_audience)]
Text = Annotated[str, Field(min_length=1)]


class GivenEvent(Section):
    """A message as a source would hand it over."""

    source: Text | None = None
    """The source that it comes from; may be left out where there is only one."""
    file: Text | None = None
    """A file with the body, relative to the test file."""
    data: Any = None
    """The body, as JSON of this."""
    body: str | None = None
    """The body as text."""
    set: Mapping[str, Any] = Field(default_factory=dict)
    """Other values for single paths of a JSON body, such as data.customerId."""
    headers: Mapping[str, Any] = Field(default_factory=dict)
    """Application headers of the message."""
    meta: Mapping[str, Any] = Field(default_factory=dict)
    """Properties of the message, as meta has them: message_id, routing_key and so on."""
    content_type: Text | None = None
    """The content type of the message."""
    fresh_id: bool = False
    """Whether the event has an id that no other event of the test has, also where it is repeated."""

    @model_validator(mode="after")
    def _check_body(self) -> Self:
        if len(self.model_fields_set & {"file", "data", "body"}) != 1:
            raise ValueError("write one of file, data and body")
        return self


class GivenTemplate(Section):
    """A template as an app registers it."""

    body: Any
    """JSON or XML with $(property) in it, as text, or JSON as an object."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Headers for the push service."""
    expiry: Text | None = None
    """When a push is no longer worth delivering; an expression of Notification Hubs."""
    tags: tuple[Text, ...] = ()
    """Tags of this template alone, besides those of the device."""


class GivenDevice(Section):
    """A device that is registered before the first step."""

    id: Text
    """Its installation id, by which steps name it."""
    platform: _Platform | None = None
    """Its push service; the first for which the hub has a credential unless named."""
    tags: tuple[Text, ...] = ()
    """Its tags."""
    tz: Annotated[Text, AfterValidator(time_zone)] | None = None
    """Its time zone, such as Europe/Zurich; it says none unless given."""
    user: Text | None = None
    """Its user, for `to: { user: … }`."""
    templates: Mapping[str, GivenTemplate] = Field(default_factory=dict)
    """Its templates by name; one that shows title and body unless given, or {} or `locale` say that it has none."""
    locale: Text | None = None
    """Its language, such as de-CH: texts of content come in it."""
    push_channel: Text | None = None
    """Its handle; one that fits its push service unless given."""
    hub: Text | None = None
    """The hub where it is registered; every hub that is not remote unless named."""


Names = Annotated[tuple[Text, ...], BeforeValidator(one_or_more)]


class ExpectedFollowUp(Section):
    """What `unless_opened` of a rule says of a notification."""

    after: Span | None = None
    """How long its phones have time to open it."""
    report_to: Names = ()
    """The sinks that are told of those that have not: these and no others."""


class ExpectedUnopened(Section):
    """A phone that sinks are told of, as it has not opened a notification; what is left out may be anything."""

    rule: Text | None = None
    """The rule of the notification."""
    device: Text | None = None
    """The device; null where the notification reached none."""
    outcome: _Unopened | None = None
    """not_opened, or at once failed or no_phone."""
    report_to: Names = ()
    """The sinks that are told: these and no others."""


class ExpectedPush(Section):
    """A notification that is expected; what is left out may be anything."""

    rule: Text | None = None
    """The rule that sends it."""
    hub: Text | None = None
    """The hub that it goes through."""
    to: To = None
    """The audience: a tag expression, everyone, { user: ID } or { installation: ID }."""
    devices: tuple[Text, ...] = ()
    """The devices that get it: these and no others."""
    platform: _Platform | None = None
    """The one push service that it goes out by."""
    platforms: tuple[_Platform, ...] = ()
    """The push services that it goes out by: these and no others."""
    with_: Mapping[str, str] = Field(default_factory=dict, alias="with")
    """Properties that it has, among others."""
    content: str | None = None
    """The content that it names; null where it names none."""
    locale: Text | None = None
    """A language in which it is read; title, subtitle and body are those of that language."""
    title: str | None = None
    """What is read first; with.title, where it names no content."""
    subtitle: str | None = None
    """The second line, of a content alone."""
    body: str | None = None
    """What is read below; with.body, where it names no content."""
    payload: Any = None
    """What the payload of a device has: JSON as part of its JSON, or text as part of its text."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Headers of the request to the push service, among others."""
    priority: _Priority | None = None
    """high or normal."""
    ttl: Span | None = None
    """How long it is worth delivering; null where nothing says it."""
    collapse: str | None = None
    """Its collapse key; null where it has none."""
    report_to: Names = ()
    """The sinks that are told what became of it: these and no others, [] where there is none."""
    unless_opened: ExpectedFollowUp | None = None
    """What is done about phones that do not open it; null where nothing is."""


class ExpectedDeadLetter(Section):
    """A dead letter that is expected; what is left out may be anything."""

    reason: _Reason | None = None
    """Why it ended so."""
    rule: str | None = None
    """The rule whose share of the message it is; empty for the message as a whole."""


class Suppressed(Section):
    """Events of a step that did nothing, and rules of them that sent nothing by themselves, by the cause."""

    duplicate: int = Field(default=0, ge=0)
    """How many were seen before."""
    dedupe: int = Field(default=0, ge=0)
    """How often a rule with `dedupe` fired for a key that had fired."""
    throttle: int = Field(default=0, ge=0)
    """How often a rule with `throttle` fired above its `max`, whether that is dropped or gathered into a digest."""
    quiet_hours: int = Field(default=0, ge=0)
    """Of how many notifications quiet hours keep a push for good."""


class Held(Section):
    """Notifications that wait, by the cause."""

    quiet_hours: int = Field(default=0, ge=0)
    """How many quiet hours hold from this step on, as a whole or for some of their devices."""


class Expected(Section):
    """What a step comes to; what is left out is not looked at."""

    rules: tuple[Text, ...] = ()
    """The rules that fire: these and no others. A rule without push that ends the evaluation is one of them."""
    observed: tuple[Text, ...] = ()
    """The rules with `mode: observe` that match: these and no others."""
    outcome: _Outcome | None = None
    """What becomes of each event of the step."""
    reason: _Reason | None = None
    """Why an event is refused or ends as a dead letter."""
    pushes: tuple[ExpectedPush, ...] = ()
    """Every notification, in any order; [] where there is none."""
    held: Held = Held()
    """How many notifications wait from this step on, by the cause; a cause that is left out stands for none."""
    cancelled: int = Field(default=0, ge=0)
    """How many waiting notifications the step's events withdraw by `cancel`."""
    suppressed: Suppressed = Suppressed()
    """How often events were kept back, by the cause; a cause that is left out stands for none."""
    unopened: tuple[ExpectedUnopened, ...] = ()
    """Every phone that sinks are told of in this step by `unless_opened`, in any order; [] where there is none."""
    dead_letter: Annotated[tuple[ExpectedDeadLetter, ...], BeforeValidator(one_or_more)] = ()
    """Every dead letter, in any order: one, or a list; [] where there is none."""

    @model_validator(mode="after")
    def _check_says(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("says nothing: write pushes, rules, outcome or such")
        return self


class Step(Section):
    """An event, time that passes, or notifications that are opened; first the time, and the event last."""

    event: GivenEvent | None = None
    """What comes in."""
    repeat: int = Field(default=1, ge=1, le=10_000)
    """How often the event comes in; what is expected is said of all of them together."""
    advance: Span | None = None
    """How much time passes."""
    advance_to: Time | None = None
    """Until when time passes."""
    opened: Names = ()
    """The devices whose users open all notifications that have come to them."""
    expect: Expected | None = None
    """What comes of it."""

    @model_validator(mode="after")
    def _check_does(self) -> Self:
        if self.event is None and self.advance is None and self.advance_to is None and not self.opened:
            raise ValueError("does nothing: write event, advance, advance_to or opened")
        if self.advance is not None and self.advance_to is not None:
            raise ValueError("write one of advance and advance_to")
        if self.event is None and "repeat" in self.model_fields_set:
            raise ValueError("repeat is for an event")
        if self.event is not None and self.expect is None:
            raise ValueError("expect is missing: a step with an event says what is expected of it")
        return self


class RuleTest(Section):
    """A test: devices, and steps that build on each other."""

    name: Annotated[str, AfterValidator(str.strip), Field(min_length=1, max_length=300)]
    """What it shows, as a sentence."""
    clock: Time | None = None
    """The time at its beginning; 2026-01-01T12:00:00Z unless given."""
    devices: tuple[GivenDevice, ...] = ()
    """Devices that are registered."""
    steps: Annotated[tuple[Step, ...], BeforeValidator(_not_empty)]
    """What happens, in order; duplicates and devices are remembered from step to step."""


class SuiteFile(Section):
    """A file *.test.yaml with tests of the rules of one configuration."""

    config: Annotated[tuple[Text, ...], BeforeValidator(one_or_more)] = ()
    """Files or directories of the configuration, relative to this file; its own directory unless named."""
    tests: Annotated[tuple[RuleTest, ...], BeforeValidator(_not_empty)]
    """The tests."""


LATER: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("tests", "*", "steps", "*", "expect", "suppressed"): ("silence", "inhibit"),
}
"""Keys that a later version will have, by where they stand."""
