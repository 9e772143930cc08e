"""What the rest of the house asks about a push service, beside sending: each service's folder has one `Traits`.

`hub/platforms/table.py` lists them. No other part knows a service by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

import orjson

from hub.errors import InvalidRequestError, TemplateError
from hub.host_time import HostTime
from hub.notification import NativeContent, Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.hints import Hints
from hub.platforms.settings import PlatformSettings
from hub.platforms.shown import Shown
from hub.platforms.soundless import Soundless
from hub.platforms.xml_payload import xml_root


class ChannelError(Exception):
    """A service does not do what is asked of a broadcast channel, or does not answer; in its words."""


class BroadcastChannels(Protocol):
    """The broadcast channels of one credential, at its service, which lets it have `most`. Raises: ChannelError."""

    most: int

    async def create(self, *, stored: bool) -> str:
        """Make one, which keeps the newest message for who comes later where it is `stored`; its push channel."""

    async def all(self) -> Sequence[str]:
        """Their push channels."""

    async def delete(self, push_channel: str) -> None:
        """End one for good; one that is not there is as good as deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that was seen when a credential was tried; `cure` says what to do, empty where nothing is to be done.

    `host_time` is the clock of who was asked, where its answer says it.
    """

    text: str
    cure: str = ""
    host_time: HostTime | None = None


JSON_CONTENT_TYPE = "application/json;charset=utf-8"


class PayloadKind(Enum):
    """How values are escaped in a payload. RAW is any text: JSON where it is JSON, else one value."""

    JSON = "json"
    XML = "xml"
    RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateBody:
    """A template's body that its service takes; `headers` are those that follow from the body."""

    text: str
    kind: PayloadKind
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """How the wire contract spells registrations of a platform (Notification Hubs REST API, "Registration").

    `name` begins the names of the elements: `Apple` of `AppleRegistrationDescription` and of
    `AppleTemplateRegistrationDescription`. `handles` are the elements that a push channel consists of, `template` those of
    a template, in the data contract's order; one that ends with `Headers` holds the template's headers.
    """

    name: str
    handles: Sequence[str]
    template: Sequence[str] = ("BodyTemplate", "TemplateName")
    tile: str = ""
    """The element of a native registration that names a secondary tile, where the platform has any."""


class Traits:
    """One push service. A subclass sets what differs; what it leaves out is right for a service that takes plain JSON.

    `name` is the key in `hubs.NAME.platforms`, in `push.native` and `platforms` of rules. `title` is for people.
    `platform` is stored, and the label of metrics. `other_names` are further spellings of the platform in
    installations, `other_formats` of `wire_format` in `ServiceBusNotification-Format`. `counts_element` holds its
    outcomes in NotificationDetails; services that the wire contract does not know have none. Names of its headers begin
    with `header_prefix`, or are `header_names`; a service without headers of its own has neither. `payload_root` is a key
    that a JSON payload has to have, by the document `payload_reference`. `header_advice` says what to write for headers
    where there are none. `hints` are the headers whose values are made to fit. `expiry_header` takes a template's own
    expiry, in seconds since 1970 or `0` for "now or never"; a service without it has no expiry in templates. A push
    replaces an earlier one on the screen that has the same value in `collapse_header`. `retired` says of a service that its
    vendor gave up what to expect. `descriptions` spell its
    registrations, the first in what is read; a service that the wire contract does not know has none. `sample_template` is
    the body of a template that shows `title` and `body`.
    """

    name: str
    title: str
    platform: Platform
    settings: type[PlatformSettings]
    retired: str = ""
    is_rare: bool = False
    """Whether few hubs have its phones: metrics hold nothing of it before its first push."""
    wire_format: str
    other_names: Sequence[str] = ()
    other_formats: Sequence[str] = ()
    counts_element: str = ""
    descriptions: Sequence[Description] = ()
    payload: PayloadKind = PayloadKind.JSON
    payload_root: str = ""
    payload_reference: str = ""
    header_prefix: str = ""
    header_names: Sequence[str] = ()
    header_advice: str = ""
    hints: Hints = {}  # noqa: RUF012 - read only, as the attributes of all traits are
    expiry_header: str = ""
    collapse_header: str = ""
    sample_template: str = '{"title":"$(title)","body":"$(body)"}'
    data_path: Sequence[str] = ()
    """Where in a JSON payload an app finds keys of its own: the names of the objects on the way."""
    shown_size: int = 4096
    """Bytes that a payload made of a text held here may have; senders add a little to some payloads."""
    shown_headers: Mapping[str, str] = {}
    """The headers of such a payload."""
    wants_text: Callable[[tuple[str, ...]], bool] | None = None
    """Whether a value at a path of a JSON payload has to be a text, as its service refuses a number there."""

    @property
    def has_tiles(self) -> bool:
        """Whether a phone may have push channels of secondary tiles."""
        return any(each.tile for each in self.descriptions)

    @property
    def headers(self) -> tuple[str, ...]:
        """How names of headers that go with its payloads begin, in lower case; empty for a service without."""
        return tuple(each.lower() for each in (self.header_prefix, *self.header_names) if each)

    @property
    def header_words(self) -> str:
        """What names of its headers are, for complaints."""
        return f"begin with {self.header_prefix}" if self.header_prefix else f"are {', '.join(self.header_names)}"

    def takes_header(self, name: str) -> bool:
        """Whether a header may go with a payload."""
        name, prefix = name.lower(), self.header_prefix.lower()
        return bool(prefix and name.startswith(prefix)) or any(name == each.lower() for each in self.header_names)

    def sender(self, settings: Any) -> Sender:
        """A sender with credentials of the class `settings`; building it connects to nothing.

        It imports its module when it is called: a process without credentials has neither libcurl nor cryptography in
        its memory.
        """
        raise NotImplementedError

    async def look(self, settings: Any, *, push_channel: str = "") -> Sequence[Seen]:
        """What an operator is told of a credential when it is tried; with `push_channel` by a push that is not shown.

        No phone is reached. A service whose credential cannot be tried by itself says nothing.
        """
        return ()

    def broadcast_channels(self, settings: Any) -> "BroadcastChannels | None":
        """The channels of a credential by which one push reaches all who look on; None for a service without."""
        return None

    def is_broadcast(self, push_channel: str) -> bool:
        """Whether a push to it reaches all who look on: no phone may say that such a push channel is its own."""
        return False

    def expires_at(self, settings: Any) -> datetime | None:
        """When a credential ends; None for one that does not, or does not say so."""
        return None

    def push_channel(self, text: str) -> str:
        """The handle as it is stored and compared: one phone cannot be registered as two by its spelling.

        Raises: InvalidRequestError.
        """
        return text

    def joined_handles(self, handles: Sequence[str]) -> str:
        """The push channel that stands in the elements of a description. Raises: InvalidRequestError."""
        return self.push_channel(handles[0])

    def split_handles(self, push_channel: str) -> Sequence[str]:
        """The texts of a description's elements for a push channel as it is stored."""
        return (push_channel,)

    def sample_push_channel(self, device: str) -> str:
        """A push channel that a device of this id could have, for tests of rules: another one for each id."""
        return f"sample-{device}"

    def template_body(self, body: str, headers: Mapping[str, Any]) -> TemplateBody:
        """Check a template's body as the service does when it is registered; `headers` may hold expressions.

        Raises: TemplateError, InvalidRequestError.
        """
        if self.payload is PayloadKind.XML:
            xml_root(body)
        return TemplateBody(text=body, kind=self.payload)

    def shown_payload(self, shown: Shown) -> bytes:
        """The payload that shows a text held here; what only the app reads is added where `data_path` leads."""
        return orjson.dumps({"title": shown.title, "body": shown.text})

    def native_content(self, headers: Mapping[str, str], body: bytes) -> NativeContent:
        """The body of a native send that is known to be JSON where the payload is; `headers` of the request in lower case.

        Raises: InvalidRequestError.
        """
        own = {name: value for name, value in headers.items() if self.takes_header(name)}
        return NativeContent(platform=self.platform, payload=body, headers=own)

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """Complain of what the service is sure to refuse in a native payload that compiles; `headers` by lower-case name.

        JSON comes as an object, also where it was written as one text; what is sent as XML comes as it was written.
        """

    def is_silent(self, fields: Mapping[str, str], payload: bytes) -> bool:
        """Whether a push shows nothing on the phone that a later one could replace; `fields` are its headers."""
        return False

    can_be_soundless: bool = False
    """Whether a push can ask its phone to be shown without a sound: the service has a word for that."""

    def soundless(self, fields: Mapping[str, str], payload: bytes) -> Soundless | None:
        """A push as it is shown without a sound; None for one that the service cannot send so, such as a call."""
        return None

    def remote_fields(self, fields: Mapping[str, str], payload: bytes) -> dict[str, str]:
        """Headers of a native send to a remote hub: the payload's own `fields`, and those that the hub needs."""
        return {**fields, "content-type": JSON_CONTENT_TYPE}


def text_of(body: bytes) -> str:
    """Raises: InvalidRequestError: no UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"The body is not UTF-8: {error}") from error


def template_error(error: InvalidRequestError) -> TemplateError:
    """A complaint of a body as one of a template's body."""
    return error if isinstance(error, TemplateError) else TemplateError(f"body: {error}", where="body")
