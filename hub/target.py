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
    carried: Callable[[], str] | str = "[]"
    """Gives `tags`, or is them: only those of pages under way are asked for again."""

    @property
    def tags(self) -> str:
        """A JSON array."""
        return self.carried if isinstance(self.carried, str) else self.carried()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template as it was registered; `expiry` is an expression."""

    body: str
    headers: Mapping[str, str]
    expiry: str | None
