"""What the store finds of a registration for a push, and what content is rendered from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hub.notification import Platform


@dataclass(slots=True)
class Target:
    """One registration to push to; `template` is an id for `Store.templates`, None for a native registration."""

    ordinal: int
    platform: Platform
    push_channel: str
    template: int | None
    push_variables: Mapping[str, str] | None
    registered_at: float
    tags: Callable[[], frozenset[str]] = frozenset
    """Keys of the tags that the registration carries, worked out when asked: only those of pages under way are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template as it was registered; `expiry` is an expression."""

    body: str
    headers: Mapping[str, str]
    expiry: str | None
