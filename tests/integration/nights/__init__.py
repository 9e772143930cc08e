"""Nights of whoever is on duty: daemons in trouble, and the commands of a runbook run beside them.

A module of this folder has the scenes of one subject, and what is made in each; `test_runbooks.py` beside it plays them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx

from sandbox.services import PushServices
from tests.bridge.test_alerts import RUNBOOKS, alerts, commands, section
from tests.integration.daemon import Daemon
from tests.integration.test_drill import told
from tests.selection import ROOT

DEADLINE = 150.0
"""Seconds until a fault is seen; it takes a few on an idle machine."""

Scene = Callable[..., AbstractAsyncContextManager["Night"]]
"""Of the push services and a directory of its own; what else it takes are fixtures, brokers among them, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A scene, what to do in it, and what the runbook's commands then print, as a regular expression."""

    scene: str
    prints: str
    make: Callable[["Night"], Awaitable[None]] | None = None


class Night:
    """A daemon in trouble, which is asked, and those beside it."""

    def __init__(self, daemon: Daemon, services: PushServices, directory: Path, *others: Daemon) -> None:
        self.daemon, self.services, self.directory, self.others = daemon, services, directory, others

    async def until_printed(self, alert: str, pattern: str) -> None:
        """Run the commands of a runbook until they print the cause: a fault takes its time to show."""
        printed = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not re.search(pattern, printed):
                    outputs = [
                        output
                        for daemon in (self.daemon, *self.others)
                        for output in [
                            *[await told(daemon, command) for command in runbook(alert)],
                            *[await scraped(daemon, wanted) for wanted in scrapes(alert)],
                        ]
                    ]
                    printed = "\n".join(outputs)
        except TimeoutError:
            raise AssertionError(f"{alert}: {pattern!r} is not in what its runbook prints:\n{printed}") from None


def runbook(alert: str) -> list[str]:
    """The commands of an alert's section that look, and need no name from another output."""
    found = commands(page_of(alert), alert)
    assert found
    return [command for command in found if not re.search(r"\b(TAG|ID|NAME|HUB|rewrite|restore|remove)\b", command)]


def scrapes(alert: str) -> list[str]:
    """The names that an alert's section looks for in the metrics."""
    return re.findall(
        r"^    curl -s localhost:8080/metrics \| grep (\w+)$", section(page_of(alert), alert), re.MULTILINE
    )


def page_of(alert: str) -> str:
    page: Path = next(
        ROOT / each["annotations"]["runbook_url"].partition("#")[0] for each in alerts() if each["alert"] == alert
    )
    assert page.parent == RUNBOOKS
    return page.read_text()


async def scraped(daemon: Daemon, wanted: str) -> str:
    """The lines of a scrape with a name."""
    try:
        samples = await daemon.metrics()
    except httpx.TransportError:
        return ""
    return "\n".join(f"{name} {value:g}" for name, value in samples.items() if wanted in name)
