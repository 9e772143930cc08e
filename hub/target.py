"""What the store finds of a registration for a push, and what content is rendered from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hub.notification import Platform
from hub.self_description import locale_of, time_zone_of


@dataclass(slots=True)
class Target:
    """One registration to push to; `template` is an id for `Store.templates`, None for a native registration."""

    ordinal: int
    platform: Platform
    push_channel: str
    template: int | None
    push_variables: Mapping[str, str] | None
    registered_at: float
    own_locale: str | None = None
    own_time_zone: str | None = None
    tags: Callable[[], Sequence[str]] = tuple
    """Reads the tags that it carries: only those of pages under way are asked for again."""

    @property
    def locale(self) -> str:
        """The language tag of the phone, empty where it says none."""
        return locale_of(self.own_locale, self.push_variables)

    @property
    def time_zone(self) -> str:
        """The name of the phone's time zone, empty where it says none."""
        return time_zone_of(self.own_time_zone, self.push_variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template as it was registered; `expiry` is an expression."""

    body: str
    headers: Mapping[str, str]
    expiry: str | None
