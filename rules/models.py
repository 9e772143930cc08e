"""`rules` and `defaults` as pydantic models: each key once, with its type, its default and a sentence on it.

The reader of rules walks the nodes of YAML by these (`reading`), and the JSON Schema and the reference are made of them.
pydantic itself reads no rule: the reader names each mistake at its place, and ten thousand rules are read by it in the
time that pydantic would add.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from hub.notification import Priority
from hub.platforms.table import services
from hub.quiet import OnQuiet
from rules.flow_words import OnExcess, Order
from rules.ttl import TtlFrom


@dataclass(frozen=True, slots=True)
class Form:
    """What a text or a pattern is, in words, where its Python type does not say it."""

    words: str


PATTERN = Form("pattern")
TOP_PATTERN = Form("pattern of an object")
TEXT_PATTERN = Form("pattern of a text")
TEMPLATE = Form("text with placeholders")
CONSTANT = Form("constant text")

Name = Annotated[str, Form("text")]
"""A text; a number or boolean is taken as it was written."""
Template = Annotated[str, TEMPLATE]
Expression = Annotated[str, Form("expression")]
Constant = Annotated[str, CONSTANT]
"""A text and nothing else: a number would never equal it."""
Pattern = Annotated[Any, PATTERN]
"""Of any value: a constant, a list of patterns, an object of fields, or one of operators."""
TopPattern = Annotated[Any, TOP_PATTERN]
"""Of a whole body: its own fields have names that inside of another field would be taken for operators."""
TextPattern = Annotated[Any, TEXT_PATTERN]
"""Of an attribute of an event, which is a text: it has no fields, and equals no number."""
Bound = float | str

PROPERTY_NAME = "[A-Za-z0-9_]{1,120}"
_OWNER_CHARACTER = r"[\w@#.:/+ -]"
OWNER = _OWNER_CHARACTER + "{1,100}"
OWNER_WORDS = "up to 100 letters, digits, spaces and @ # . : / + _ -"
Owner = Annotated[str, Form("text"), Field(pattern=f"^{_OWNER_CHARACTER}+$", max_length=100)]
"""Who answers for a rule or a source: a label of metrics. The number stands beside the pattern: pydantic's engine takes
6 MB for a hundred of all letters there are."""

PropertyName = Annotated[str, Field(pattern=f"^{PROPERTY_NAME}$")]

if TYPE_CHECKING:
    PlatformName = str
else:
    PlatformName = Literal[tuple(each.name for each in services())]


class Keys(BaseModel):
    """An object of the rule language; a key that it does not have is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    empty_is_unwritten: ClassVar[bool] = True
    """Whether a key that is left empty is as if not written; else its value is null."""


class FoldedOperators(Keys):
    """The operators that `ignore_case` may hold."""

    empty_is_unwritten: ClassVar[bool] = False

    prefix: Constant | tuple[Constant, ...] | None = None
    """The text begins so, but for case."""
    suffix: Constant | tuple[Constant, ...] | None = None
    """The text ends so, but for case."""
    glob: Constant | tuple[Constant, ...] | None = None
    """The whole text fits * for any text, ? for one character, [ab] for one of these, but for case."""


class Operators(Keys):
    """An object of a pattern all of whose keys are these: the value has to satisfy each of them."""

    empty_is_unwritten: ClassVar[bool] = False

    prefix: Constant | tuple[Constant, ...] | None = None
    """A text that begins so; one of several in a list is enough."""
    suffix: Constant | tuple[Constant, ...] | None = None
    """A text that ends so; one of several in a list is enough."""
    glob: Constant | tuple[Constant, ...] | None = None
    """A text that fits as a whole: * is any text, ? one character, [ab] one of these."""
    ignore_case: (
        Constant | FoldedOperators | Annotated[tuple[Constant | FoldedOperators, ...], Field(min_length=1)] | None
    ) = None
    """A text that equals this but for upper and lower case, or fits prefix, suffix or glob so."""
    not_: Pattern = Field(default=None, alias="not")
    """There is a value and it does not match this; of an array, no element does."""
    gt: Bound | None = None
    """A number above this one, or a text that sorts behind it."""
    gte: Bound | None = None
    """A number that is this one or above, or a text that sorts so."""
    lt: Bound | None = None
    """A number below this one, or a text that sorts before it."""
    lte: Bound | None = None
    """A number that is this one or below, or a text that sorts so."""
    between: tuple[Bound, Bound] | None = None
    """A value from the first bound to the second, both included."""
    exists: bool | None = None
    """Whether there is a value at all; null is one."""
    cidr: Constant | tuple[Constant, ...] | None = None
    """An IP address in this network, or in one of several."""
    any: Pattern = None
    """Some element of an array matches this."""
    all: Pattern = None
    """Every element of an array matches this, and there is one."""


class Match(Keys):
    """The attributes of an event, each with a pattern; all that are named have to match."""

    empty_is_unwritten: ClassVar[bool] = False

    id: TextPattern = None
    """The identity of the event, by which a repeated one is known."""
    source: TextPattern = None
    """Who the event is from, in CloudEvents' sense: a text that map or the message gives."""
    type: TextPattern = None
    """What happened, as map or the message says it; else the name of the source."""
    subject: TextPattern = None
    """What it happened to, such as order/4711."""
    time: TextPattern = None
    """When it happened, a text in UTC such as 2026-03-02T11:00:00Z."""
    data: TopPattern = None
    """The decoded body: an object of fields, each with a pattern of its own."""
    meta: TopPattern = None
    """Properties that the broker or the request brought; headers are below headers."""


class Audience(Keys):
    """Who is notified, by the id of a user or of an installation: one of the two."""

    user: Template | None = None
    """All installations of one user, by an id that may have placeholders."""
    installation: Template | None = None
    """A single device, by its installation's id, which may have placeholders."""


class NativePayload(Keys):
    """A payload for one push service, as that service takes it."""

    payload: Mapping[str, Any] | str
    """What the push service gets, as an object, or as one text of JSON or XML; values fill its placeholders."""
    headers: Mapping[str, Template] | None = None
    """Headers of the request that the push service knows, such as apns-push-type of APNs; FCM has none."""


if TYPE_CHECKING:
    Native = Keys
else:  # a key for each push service of the table
    Native = create_model(
        "Native",
        __base__=Keys,
        __doc__="Payloads by push service.",
        **{
            each.name: (
                NativePayload | None,
                Field(default=None, description=f"What phones of {each.title} get, beside or instead of templates."),
            )
            for each in services()
        },
    )


class LiveActivity(Keys):
    """An update of a Live Activity: one of start, update and end, with the state that the app shows."""

    start: Mapping[str, Any] | None = None
    """The state that an activity begins with; aps has its attributes-type, attributes and alert."""
    update: Mapping[str, Any] | None = None
    """The state that it shows from now on, as the app's own type has it; values fill its placeholders."""
    end: Mapping[str, Any] | None = None
    """The state that it ends with."""
    channel: Template | None = None
    """The broadcast channel to send to, by its id in the hub, in place of `to`: one request for all who look on."""
    aps: Mapping[str, Any] | None = None
    """Further keys of aps, such as alert, stale-date and dismissal-date."""


class Push(Keys):
    """What is said, and to whom, when an event fits."""

    model_config = ConfigDict(use_attribute_docstrings=True)  # `PushDefaults` takes fields with their texts; slow

    to: Expression | Audience
    """Who is notified: everyone, a tag expression with && || ! ( ), or an object with user or installation."""
    with_: Mapping[PropertyName, Template] | None = Field(default=None, alias="with")
    """The properties that fill the templates of the phones; each is a text with placeholders."""
    content: Name | None = None
    """Texts of the section content, for phones that registered no template; the properties of with fill them."""
    locale: Name | None = None
    """The language of the texts: device, which is the phone's own and the usual, or one for all, such as de-CH."""
    level: Template | None = None
    """An amount, such as "{{ data.amount }}": of a topic with levels in `to`, phones whose level is at or below it."""
    native: Native | None = None
    """A whole payload for each push service named, beside or instead of templates."""
    live_activity: LiveActivity | None = None
    """An update of a Live Activity on iPhones, which is the payload for apns."""
    priority: Priority = Priority.HIGH
    """How urgently a phone is woken: high at once, normal when it suits the battery."""
    collapse: Template | None = None
    """A newer notification with the same text replaces an older one."""
    ttl: timedelta | None = None
    """How long a notification is worth delivering, from when its event was accepted."""
    ttl_from: TtlFrom = TtlFrom.NOW
    """Where the time to live begins: at acceptance, or at the time of the event, which may have come late."""
    sensitive: bool = False
    """What is said is cleared from the store at the end of the notification, and never kept in a dead letter or the
    journal: for one-time codes."""
    hub: Name | None = None
    """The hub whose phones are notified; without it the default one."""
    platforms: PlatformName | Annotated[tuple[PlatformName, ...], Field(min_length=1)] | None = None
    """Only phones of these push services are notified; without it those of all."""


class Schedule(Keys):
    """When a notification is sent that is not sent at once."""

    at: Template | None = None
    """A time that the event names, such as "{{ data.dueAt }}"; none, or one that has passed, is at once."""
    only_in: Name | None = None
    """A window, by its name: outside of it the notification waits until the window next opens."""


class QuietHours(Keys):
    """When phones are left in peace, and what becomes of a push then."""

    window: Name | None = None
    """The window in which phones are left in peace, by its name."""
    on_quiet: OnQuiet = OnQuiet.HOLD
    """hold sends the push when the window ends, drop does not send it, and silent sends it at once without a sound."""
    expire: timedelta | None = None
    """A push that would be held for longer than this is dropped."""


class Window(Keys):
    """A named calendar: times of the day on some days, by the clock of a time zone."""

    times: Annotated[str, Form("text")] | Annotated[tuple[Annotated[str, Form("text")], ...], Field(min_length=1)]
    """Times of the day such as 22:00-07:00; where the end is not after the begin, it is of the next day."""
    days: (
        Annotated[str, Form("text")] | Annotated[tuple[Annotated[str, Form("text")], ...], Field(min_length=1)] | None
    ) = None
    """The days on which the times begin, such as mon-fri or [sat, sun]; without it every day."""
    tz: Name | None = None
    """A time zone such as Europe/Zurich, or device for that of each phone; without it bridge.timezone."""
    except_: Annotated[str, Form("text")] | tuple[Annotated[str, Form("text")], ...] | None = Field(
        default=None, alias="except"
    )
    """Dates such as 2026-12-25 on which the times do not begin."""


class UnlessOpened(Keys):
    """What is done about a phone that has not opened a notification in time."""

    after: timedelta | None = None
    """How long after its delivery a phone has time to report that its user opened the notification: 7 days at most."""
    report_to: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The sinks that are told of each phone that has not, and at once of a push that no push service took."""


class Dedupe(Keys):
    """Fires once for a key, however often its events come within a time."""

    key: Template
    """What makes events the same for this rule, such as "{{ data.alertId }}"."""
    for_: timedelta | None = Field(default=None, alias="for")
    """How long after the rule fired for a key events of this key are suppressed: 366 days at most."""


class Throttle(Keys):
    """Fires so often for a key in a window of time, which begins with its first event."""

    key: Template
    """Whose events share a window, such as "{{ data.customerId }}"."""
    max: Annotated[int, Field(ge=1, le=1_000_000)]
    """How many events of a key are sent at once in a window."""
    per: timedelta
    """How long a window is: 366 days at most; a change holds for windows that begin after it."""
    on_excess: OnExcess = OnExcess.DROP
    """What becomes of further events: drop, or digest, which counts them into one notification at the window's end."""


class Cancel(Keys):
    """Withdraws notifications that wait."""

    key: Template
    """The key, as `key` of the rules that send them fills it: what of it has not started is cancelled."""


class RuleRate(Keys):
    """How many pushes of a rule go out in a second."""

    per_second: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
    """How many may pass a second on average; 0.5 is one in two seconds."""
    burst: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many may pass at once after a pause; without it as many as pass in a second, one at least."""


class Mode(Enum):
    """Whether a rule acts."""

    ACT = "act"
    OBSERVE = "observe"


class Rule(Keys):
    """One rule: which events it is about, and what is pushed when one fits."""

    name: Name
    """What metrics, logs and notifications call this rule; no two have the same."""
    source: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The sources whose events are looked at; without it those of all."""
    match: Match | None = None
    """A pattern that an event has to fit: constants, lists of alternatives, and operators; without it every event does."""
    when: Expression | None = None
    """An expression over the event that has to be true as well."""
    mode: Mode = Mode.ACT
    """With observe the rule is tried and counted for each event, and pushes nothing, stops nothing and fails nothing."""
    push: Push | None = None
    """What is said, and to whom, when an event fits."""
    schedule: Schedule | None = None
    """Sends at a time that the event names, or in a window alone, in place of at once."""
    quiet_hours: QuietHours | None = None
    """When phones are left in peace, by the clock of each, and what becomes of a push then."""
    dedupe: Dedupe | None = None
    """Suppresses events whose key fired this rule a short time ago, beyond repetitions of one event."""
    throttle: Throttle | None = None
    """Suppresses, or gathers into one, what is more than so many events of a key in a window of time."""
    key: Template | None = None
    """The key of this rule's notifications, by which `cancel` withdraws them and `order` orders them."""
    order: Order = Order.NONE
    """key: a notification starts when the one before it of its key has ended; none: as soon as it can."""
    cancel: Cancel | None = None
    """Withdraws waiting notifications of a key when an event fits."""
    rate: RuleRate | None = None
    """How many pushes of this rule go out in a second; what is over it waits in the store. Daemons of a fleet share it."""
    stop: bool = False
    """Rules further down do not see an event that fitted this one."""
    report_to: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The sinks that are told what became of each notification of this rule."""
    unless_opened: UnlessOpened | None = None
    """Tells sinks of each phone that has not opened the notification in time."""
    owner: Owner | None = None
    """The team that answers for this rule; metrics, dead letters, `why` and `explain` name it."""


if TYPE_CHECKING:

    class PushDefaults(Keys): ...

    class Defaults(Keys): ...

else:  # some keys of a push
    PushDefaults = create_model(
        "PushDefaults",
        __base__=Keys,
        **{
            name: (Push.model_fields[name].annotation, Push.model_fields[name])
            for name in ("locale", "priority", "collapse", "ttl", "sensitive", "hub", "platforms")
        },
    )
    Defaults = create_model(
        "Defaults",
        __base__=Keys,
        owner=(
            Owner | None,
            Field(default=None, description="The team that answers for rules which name none."),
        ),
        push=(
            PushDefaults | None,
            Field(default=None, description="What pushes of all rules have unless they say otherwise."),
        ),
    )


@cache
def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a model as a file writes them, in order."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


OPERATORS = frozenset(keys_of(Operators))
"""The words of the language that stand where a field could."""
