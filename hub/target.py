"""What the store finds of a registration for a push, and what content is rendered from."""

from collections.abc import Callable, Mapping, Sequence
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
    tags: Callable[[], Sequence[str]] = tuple
    """Reads the tags that it carries: only those of pages under way are asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template as it was registered; `expiry` is an expression."""

    body: str
    headers: Mapping[str, str]
    expiry: str | None
