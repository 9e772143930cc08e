"""What the rest of the program knows of a connector: an entry, made in the connector's folder and listed in `table.py`."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from connectors.base import Publisher, Source, StoredOffsets
from hub.egress import EgressDefaults

MAX_BODY = 1024 * 1024
"""Bytes of the largest body that is taken, unless a source's `decode.max_body` says otherwise."""

SettingsT = TypeVar("SettingsT", bound=BaseModel)
PlaceT = TypeVar("PlaceT", bound=BaseModel)


def _no() -> bool:
    return False


def _yes() -> bool:
    return True


def _as_they_are(settings: SettingsT, default: EgressDefaults) -> SettingsT:
    return settings


def _passes(_: int) -> float:
    return 0.0


def _nowhere(_: BaseModel) -> str:
    return ""


def _none(_: BaseModel) -> int:
    return 0


def _never(_: BaseModel) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What can be kept: a source with waiting senders asks before it takes a request in.

    `admit` lets so many messages pass, all of them or none, and returns the seconds to wait where the source's rate allows
    none, else 0; it is for a source with waiting senders, and all others are received from at their rate. `admit(0)` asks.
    What is done in a block of `ahead` goes before the work of sources that have more to do.

    A message of more than `max_body` bytes is refused as it is decoded. A source that reads a log begins where the store's
    `offsets` end.
    """

    store_fails: Callable[[], bool] = _no
    has_room: Callable[[], bool] = _yes
    max_body: int = MAX_BODY
    offsets: StoredOffsets | None = None
    admit: Callable[[int], float] = _passes
    ahead: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRoute(Generic[SettingsT, PlaceT]):
    """How the dead letters of a source go to a place of its own broker.

    `place` is the class of what stands at `dead_letters.sources.NAME.KEY`, and `doc` says in one sentence what it is.
    `destination` gives what the publisher routes by (`OutMessage.destination`).
    """

    doc: str
    place: type[PlaceT]
    make_publisher: Callable[[str, SettingsT, PlaceT], Publisher]
    destination: Callable[[PlaceT], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRoute(Generic[SettingsT]):
    """How reports go out: `settings` is the class of what stands at `sinks.NAME.KEY`, and `doc` one sentence on it.

    `destination` gives what the publisher routes by (`OutMessage.destination`); `behind` and `unproxied` are as those of
    the connector.
    """

    doc: str
    settings: type[SettingsT]
    make_publisher: Callable[[str, SettingsT], Publisher]
    destination: Callable[[SettingsT], str]
    behind: Callable[[SettingsT, EgressDefaults], SettingsT]
    unproxied: Callable[[SettingsT], str] = _nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector(Generic[SettingsT]):
    """One connector. Building an entry, a source or a publisher does no I/O and imports no broker client.

    `key` is the connector's key in a source (`sources.NAME.KEY`), `title` the name that people read, and `doc` one
    sentence for the reference. `old_keys` are earlier spellings of `key`, which stay accepted. `settings` is the class of
    what stands at the key.

    `meta` are the names that an event may have under `meta`, each with a sentence: they are `Message.properties`, and
    `check` warns of rules that read others.
    """

    key: str
    title: str
    doc: str
    settings: type[SettingsT]
    make_source: Callable[[str, SettingsT, Capacity], Source]
    meta: Mapping[str, str]
    old_keys: tuple[str, ...] = ()
    old_paths: Mapping[str, str] = field(default_factory=dict)
    """The present path of a setting by its earlier one, both below `key`: what was written before stays accepted."""

    has_position: bool = False
    """Whether each message has a `position`: a message that comes twice is then known as one without an id too."""

    is_posted_to: bool = False
    """Whether messages are requests to a path of the process's listener, whose senders wait for the answer.

    The settings of such a connector have `path` and `auth`, and its source has `route()`.
    """

    sample: str = ""
    """The shortest section at `key` that works, as YAML; NAME stands for the name of the source, and no secret is in it."""

    keeps_dead_letters: bool = True
    """Whether the broker has a dead-letter place of its own, for `Settlement.REJECT` (`native: true`)."""

    dead_letters: DeadLetterRoute[SettingsT, Any] | None = None

    probe: Callable[[str, SettingsT], Awaitable[None]] | None = None
    """Connects, looks whether a source could start, and ends: nothing is consumed, and nothing created at the broker.

    Raises: SourceError. None where there is nothing to connect to."""

    sink: SinkRoute[Any] | None = None

    brings_cloudevents: Callable[[SettingsT], bool] = _never
    """Whether the settings say that bodies are CloudEvents; unless they do, only `decode.format` says so."""

    behind: Callable[[SettingsT, EgressDefaults], SettingsT] = _as_they_are
    """The settings with what `bridge.egress` says of proxy and certificates, where they say nothing of it."""

    unproxied: Callable[[SettingsT], str] = _nowhere
    """The host that is connected to without a proxy, also where one is configured, as the client can use none; or empty."""

    main_setting: str = ""
    """The setting that a text in the place of all settings is likely meant for."""

    handed_out: Callable[[SettingsT], int] = _none
    """Messages that the broker hands out ahead and takes back where they are not settled within half an hour; 0: none."""

    later: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    """Keys that a later version will know, by the path of what they stand in, from the connector's key on."""
