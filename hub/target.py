"""What the store finds of a registration for a push, and what content is rendered from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import overload

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


@dataclass(frozen=True, slots=True)
class TargetKind:
    """What registrations of a page have in common: of one kind, what a notification says to them is the same."""

    platform: Platform
    template: int | None
    push_variables: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, eq=False)
class TargetColumns(Sequence[Target]):
    """Registrations of a page as columns: none is an object before it is asked for by its position.

    Each is of the kind in `kinds` that `which` says by its number; without `which` all are of the first. They say nothing
    of tags, locales and time zones. `latest` is when the last of them was registered, in seconds of the store's clock.
    """

    ordinals: Sequence[int]
    push_channels: Sequence[str]
    kinds: Sequence[TargetKind]
    which: Sequence[int] | None = None
    latest: float = 0.0

    @classmethod
    def joined(cls, parts: Sequence["TargetColumns"]) -> "TargetColumns":
        """All of these, which are of one kind each, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            list(chain.from_iterable(part.ordinals for part in parts)),
            list(chain.from_iterable(part.push_channels for part in parts)),
            [part.kinds[0] for part in parts],
            list(chain.from_iterable([number] * len(part) for number, part in enumerate(parts))),
            max((part.latest for part in parts), default=0.0),
        )

    def by_ordinal(self) -> "TargetColumns":
        """The same, by rising ordinal."""
        if sorted(self.ordinals) == self.ordinals:  # as a store reads them, nearly always
            return self
        return self._at(sorted(range(len(self)), key=self.ordinals.__getitem__))

    def by_kind(self) -> Sequence["TargetColumns"]:
        """Those of each kind that there is, as columns of one kind."""
        if self.which is None:
            return (self,) if self.ordinals else ()
        places: dict[int, list[int]] = {}
        for place, number in enumerate(self.which):
            places.setdefault(number, []).append(place)
        return [self._at(each, self.kinds[number]) for number, each in places.items()]

    def _at(self, places: Sequence[int], kind: TargetKind | None = None) -> "TargetColumns":
        if len(places) == 1:  # of which an itemgetter makes no tuple
            return self._at([*places, *places], kind)[:1]
        pick = itemgetter(*places)
        which = None if kind or self.which is None else pick(self.which)
        kinds = self.kinds if kind is None else (kind,)
        return TargetColumns(pick(self.ordinals), pick(self.push_channels), kinds, which, self.latest)

    def __len__(self) -> int:
        return len(self.ordinals)

    @overload
    def __getitem__(self, place: int) -> Target: ...
    @overload
    def __getitem__(self, place: slice) -> "TargetColumns": ...
    def __getitem__(self, place: int | slice) -> "Target | TargetColumns":
        if isinstance(place, slice):
            which = None if self.which is None else self.which[place]
            return TargetColumns(self.ordinals[place], self.push_channels[place], self.kinds, which, self.latest)
        kind = self.kinds[0 if self.which is None else self.which[place]]
        return Target(
            self.ordinals[place],
            kind.platform,
            self.push_channels[place],
            kind.template,
            kind.push_variables,
            self.latest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template as it was registered; `expiry` is an expression."""

    body: str
    headers: Mapping[str, str]
    expiry: str | None
