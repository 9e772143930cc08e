"""Small configurations, and doubles of what tells of them, for the tests of the bridge's core."""

from pathlib import Path
from typing import Any

import yaml

from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.observe.facts import (
    EventsStored,
    Fact,
    InFlightEvent,
    IntakeFact,
    MessagesGivenUp,
    SourceChanged,
    SourceState,
)
from bridge.observe.telemetry import Taker, Telemetry
from connectors.base import Message
from hub.facts import Crashed


def read(directory: Path, *sections: str) -> Settings:
    """A configuration from its sections in YAML; it has no mistakes."""
    (directory / "c.yaml").write_text("\n".join(sections))
    settings, problems = check(directory / "c.yaml", environ={})
    assert settings is not None, [str(problem) for problem in problems]
    return settings


def section(name: str, content: object) -> str:
    """A section with values that a test made."""
    return str(yaml.safe_dump({name: content}))


def passage_of(message: Message, **changes: Any) -> InFlightEvent:
    """A message on its way."""
    return InFlightEvent(message, **changes)


def take(taker: Taker, fact: Fact) -> None:
    """Have one taker take a fact."""
    Telemetry(taker).observe(fact)


class FakeIntakeObserver:
    """Keeps the facts of the intake: the events stored and given up, the states of sources and why, the defects."""

    def __init__(self) -> None:
        self.stored: list[InFlightEvent] = []
        self.given_up: list[InFlightEvent] = []
        self.states: list[tuple[SourceState, str]] = []
        self.crashes: list[tuple[str, Exception]] = []

    def observe(self, fact: IntakeFact) -> None:
        match fact:
            case EventsStored():
                self.stored += fact.events
            case MessagesGivenUp():
                self.given_up += fact.events
            case SourceChanged():
                self.states.append((fact.status.state, fact.status.detail))
            case Crashed():
                self.crashes.append((fact.work, fact.error))


def complaints(directory: Path, text: str | bytes) -> list[str]:
    """What `check` says of a configuration, without the directory."""
    file = directory / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [str(problem).replace(f"{directory}/", "") for problem in check(file, environ={})[1]]
