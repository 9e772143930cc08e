"""What peers say to each other (part 2, section 7; part 5, section 3): fields in the order of the wire.

All fields are written, null included: some clients find them by position and stumble over a short list.
"""

from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, ClassVar, get_args, get_type_hints

from sandbox.servicebus.amqp.decoding import decode
from sandbox.servicebus.amqp.encoding import encode, encode_described, encode_list
from sandbox.servicebus.amqp.errors import DecodeError
from sandbox.servicebus.amqp.types import Array, Described, Symbol, UByte, UInt, ULong, UShort

Symbols = Symbol | Array | None
"""One symbol, several, or none."""


@dataclass(slots=True)
class Performative:
    """What a frame says; `code` is its descriptor."""

    code: ClassVar[int]

    def encode(self) -> bytes:
        """The bytes of a frame's body, a payload aside."""
        return encode_described(self.code, encode_list([encode(getattr(self, name)) for name in _FIELDS[type(self)]]))


@dataclass(slots=True)
class SaslMechanisms(Performative):
    code = 0x40
    mechanisms: Symbols


@dataclass(slots=True)
class SaslInit(Performative):
    code = 0x41
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True)
class SaslOutcome(Performative):
    code = 0x44
    outcome: UByte
    additional_data: bytes | None = None


@dataclass(slots=True)
class Open(Performative):
    code = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None
    outgoing_locales: Symbols = None
    incoming_locales: Symbols = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Begin(Performative):
    code = 0x11
    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Attach(Performative):
    """`role` is True for the receiving side."""

    code = 0x12
    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Flow(Performative):
    code = 0x13
    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Transfer(Performative):
    code = 0x14
    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: Described | None = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


@dataclass(slots=True)
class Disposition(Performative):
    """`role` is the role of who says it; `last` is None for one delivery only."""

    code = 0x15
    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: Described | None = None
    batchable: bool | None = None


@dataclass(slots=True)
class Detach(Performative):
    code = 0x16
    handle: UInt
    closed: bool | None = None
    error: Described | None = None


@dataclass(slots=True)
class End(Performative):
    code = 0x17
    error: Described | None = None


@dataclass(slots=True)
class Close(Performative):
    code = 0x18
    error: Described | None = None


def read_performative(body: bytes) -> tuple[Performative, bytes]:
    """What a frame's body says, and the payload behind it.

    Raises: DecodeError: it is no performative that is known, or a field has the wrong type.
    """
    described, end = decode(body)
    if not isinstance(described, Described) or not isinstance(described.value, list):
        raise DecodeError("a frame's body is not a performative")
    kind = _KINDS.get(described.descriptor)
    if kind is None:
        raise DecodeError(f"no performative has the descriptor {described.descriptor!r}")
    allowed = _FIELDS[kind]
    if len(described.value) > len(allowed):
        raise DecodeError(f"{kind.__name__} has {len(allowed)} fields, not {len(described.value)}")
    for value, (name, types) in zip(described.value, allowed.items(), strict=False):
        if not isinstance(value, types):
            raise DecodeError(f"{name} of {kind.__name__} cannot be of type {type(value).__name__}")
    try:
        return kind(*described.value), body[end:]
    except TypeError as error:
        raise DecodeError(f"{kind.__name__} is incomplete: {error}") from error


def _types(hint: Any) -> tuple[type, ...]:
    """The types that a field's annotation allows; generics by their origin."""
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(getattr(member, "__origin__", member) for member in members)


_KINDS: dict[Any, type[Performative]] = {
    kind.code: kind
    for kind in (
        SaslMechanisms, SaslInit, SaslOutcome, Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close
    )
}  # fmt: skip
_FIELDS = {
    kind: {field.name: _types(get_type_hints(kind)[field.name]) for field in fields(kind)} for kind in _KINDS.values()
}
