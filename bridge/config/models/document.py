"""A whole configuration: its sections, what files may hold, and what is in force once it is checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from bridge.config.models.dead_letters import DeadLetters
from bridge.config.models.delivery import Delivery
from bridge.config.models.hubs import HubSettings
from bridge.config.models.journal import JournalSettings
from bridge.config.models.listeners import Listeners
from bridge.config.models.process import BridgeSettings
from bridge.config.models.sinks import SinkSettings
from bridge.config.models.sources import SourceSettings
from bridge.config.section import HubName, Name, Section
from rules.content.models import Content, ContentName
from rules.content.texts import ContentTexts, Reader
from rules.engine import RuleSet
from rules.models import Defaults, Rule, Window

TAKES_A_RESTART = (
    "bridge.store",
    "bridge.log",
    "listeners.admin.address",
    "listeners.admin.tls",
    "listeners.admin.connections",
    "listeners.probes",
    "listeners.intake",
    "listeners.hub_api",
    "delivery",
)
"""What a process keeps from its start to its end; a reload takes up everything else."""


class Sections(Section):
    """The sections of a configuration that pydantic reads; `rules` and `defaults` are compiled (`rules/loader.py`)."""

    version: Literal[1] = 1
    """The version of this language; there is one so far."""
    bridge: BridgeSettings = BridgeSettings()
    """The process: its name, database and log."""
    listeners: Listeners = Listeners()
    """Where the process listens: for operators, probes, events over HTTP, phones and back ends."""
    sources: Mapping[Name, SourceSettings] = Field(default_factory=dict)
    """Where events come from, each under a name that rules and metrics use."""
    hubs: Mapping[HubName, HubSettings] = Field(default_factory=dict)
    """The notification hubs, one for each mobile app, by name."""
    sinks: Mapping[Name, SinkSettings] = Field(default_factory=dict)
    """Where other systems are told what became of notifications, each under a name that rules and hubs use."""
    dead_letters: DeadLetters = DeadLetters()
    """What becomes of messages that cannot be used."""
    journal: JournalSettings = JournalSettings()
    """What is kept of each event, for the question why."""
    delivery: Delivery = Delivery()
    """How pushes go out."""


class Document(Sections):
    """Everything that a file may hold."""

    windows: Mapping[Name, Window] = Field(default_factory=dict)
    """Named calendars: when phones are left in peace, or when alone something is sent."""
    rules: tuple[Rule, ...] = ()
    """What is pushed, to whom, for which events; in order."""
    content: Mapping[ContentName, Content] = Field(default_factory=dict)
    """Texts in several languages, for phones that registered no template of their own; a push names one."""
    defaults: Defaults = Defaults()
    """What all rules have unless they say otherwise."""


class Settings(Sections):
    """A whole configuration, checked. `directory` is where its relative paths begin."""

    rules: RuleSet
    contents: Mapping[str, ContentTexts] = Field(default_factory=dict)
    directory: Path

    def content_of(self, hub: str, name: str) -> ContentTexts | None:
        """A text held here as phones of a hub read it; None: there is none of this name."""
        texts = self.contents.get(name)
        reader = Reader(locale=self.hubs[hub].locale, timezone=self.hubs[hub].timezone or self.bridge.timezone)
        return None if texts is None else texts.for_reader(reader)

    @property
    def store_path(self) -> Path:
        """The database file, where the store is one."""
        return self.bridge.store.path(self.directory)

    @property
    def store_name(self) -> str:
        """What messages call the store: its file or its address."""
        return self.bridge.store.name(self.directory)

    def owner_of(self, source: str, rule: str = "") -> str:
        """Who answers for a rule, else for a source; empty where neither says so, or is configured any more."""
        owned = self.sources.get(source)
        return self.rules.owners.get(rule) or ("" if owned is None else owned.owner)


def default_hub(hubs: Mapping[str, HubSettings]) -> str | None:
    """The hub that rules push through unless they name one: the one marked as default, or the only one."""
    names = [name for name, hub in hubs.items() if hub.default] or list(hubs)
    return names[0] if len(names) == 1 else None
