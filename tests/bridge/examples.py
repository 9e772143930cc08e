"""Small configurations, and doubles of what tells of them, for the tests of the bridge's core."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge.config.load import check
from bridge.config.models import Settings
from bridge.intake.pipeline import InFlightEvent
from bridge.intake.supervisor import SourceState, SourceStatus
from connectors.base import Message


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


class FakePassages:
    """Hears what became of messages, and of defects."""

    def __init__(self) -> None:
        self.passages: list[InFlightEvent] = []
        self.returned: list[InFlightEvent] = []
        self.crashes: list[tuple[str, Exception]] = []

    def passed(self, passages: Sequence[InFlightEvent]) -> None:
        self.passages += passages

    def given_up(self, passages: Sequence[InFlightEvent]) -> None:
        self.returned += passages

    def crashed(self, what: str, error: Exception) -> None:
        self.crashes.append((what, error))


class FakeStates:
    """Hears in which states a source was, and why."""

    def __init__(self) -> None:
        self.states: list[tuple[SourceState, str]] = []
        self.crashes: list[tuple[str, Exception]] = []

    def source_changed(self, status: SourceStatus) -> None:
        self.states.append((status.state, status.detail))

    def crashed(self, what: str, error: Exception) -> None:
        self.crashes.append((what, error))


def complaints(directory: Path, text: str | bytes) -> list[str]:
    """What `check` says of a configuration, without the directory."""
    file = directory / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [str(problem).replace(f"{directory}/", "") for problem in check(file, environ={})[1]]
