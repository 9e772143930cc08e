"""What rules may refer to: sources, hubs with their platforms, sinks, contents and windows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from hub.notification import Platform
from hub.platforms.table import services
from hub.tags import MaxTags
from hub.topics import Levels
from hub.windows import Window
from rules.content.reader import NamedContent

PLATFORMS: Mapping[str, Platform] = {each.name: each.platform for each in services()}
"""The platforms by the names that a configuration uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubScope:
    """What rules have to know of a hub: the platforms it has credentials for, and how large an expression may be.

    An `is_remote` hub is reached over the Notification Hubs REST API, and gets what that API can express.
    """

    platforms: frozenset[Platform] = frozenset()
    max_tags: MaxTags = field(default_factory=MaxTags)
    is_remote: bool = False
    time_zone: str = ""
    """Of phones that say none; empty: that of the process."""
    locale: str = ""
    """The language of its phones that say none, empty where that is each content's fallback."""
    topics: Mapping[str, Levels] = field(default_factory=dict)
    """Topics that its phones can be subscribed to, with their levels."""
    usual_fields: Mapping[Platform, Mapping[str, str]] = field(default_factory=dict)
    """Header fields, by lower-case name, of pushes that give none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The names that rules may refer to. Without a `default_hub` every rule has to name its own."""

    sources: frozenset[str]
    hubs: Mapping[str, HubScope]
    default_hub: str | None = None
    sinks: frozenset[str] = frozenset()
    contents: Mapping[str, NamedContent] = field(default_factory=dict)
    """Texts held here, by name, without those that have a mistake, which `mistaken_contents` names."""
    mistaken_contents: frozenset[str] = frozenset()
    timezone: tzinfo = UTC
    """Of times that come without an offset."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    sources_are_known: bool = True
    """False where the section is a mistake itself, which is said of it: what rules name cannot be looked up then."""
    hubs_are_known: bool = True
    sinks_are_known: bool = True
