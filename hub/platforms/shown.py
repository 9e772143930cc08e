"""What a text held here says to a phone, before it becomes the payload of a push service."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Texts as they are read. What a service cannot show is left out or put where it can; empty is not said.

    `sound` is `none` for a push without one. `data` is for the app, and `locale` the language tag of the texts.
    """

    body: str
    title: str = ""
    subtitle: str = ""
    category: str = ""
    deep_link: str = ""
    sound: str = ""
    image: str = ""
    channel: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    locale: str = ""

    @property
    def lines(self) -> list[str]:
        """Subtitle and body, for services that know no subtitle."""
        return [line for line in (self.subtitle, self.body) if line]

    @property
    def text(self) -> str:
        """Those as one text."""
        return "\n".join(self.lines)

    @property
    def for_app(self) -> dict[str, str]:
        """What the app reads: `data`, and what the service does not know by a field of its own."""
        named = {"category": self.category, "deep_link": self.deep_link}
        return {**{name: text for name, text in named.items() if text}, **self.data}
