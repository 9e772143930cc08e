"""What an event says stands in no line of the log, whatever is wrong with it, and nowhere where its source is sensitive."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusMessage
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sandbox.servicebus import QueueSettings
from sandbox.services import PushServices
from tests.connectors.servicebus.harness import SUBSCRIPTION, TOPIC, connection
from tests.connectors.servicebus.harness import harness as new_harness
from tests.integration.daemon import Daemon, hubs, register_phone

pytestmark = [pytest.mark.processes, pytest.mark.slow]

CANARY = "zqcanary"
PATIENCE = 90.0
TOKEN = "only-for-these-tests-0123456789"
SOURCES = ("web", "quiet", "drop", "bus")
"""HTTP, HTTP of a sensitive source, files, and Service Bus."""

_near = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
words = st.builds(lambda before, after: f"{before}{CANARY}{after}", _near, _near)
values = st.recursive(
    words
    | st.builds(lambda word: f"a || {word}", words)
    | st.builds(lambda word: f"https://u:{word}@a/?b={word}", words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
bodies = st.builds(
    lambda kind, fields, cut: json.dumps({"kind": kind, **fields}).encode()[: cut or None],
    st.sampled_from(["plain", "amount", "asked", "nothing", "other", f"{CANARY} of no rule"]),
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("team", "text", "amount", "user", "email", "note"), values),
            "deep": st.dictionaries(words, values, max_size=3),
        },
    ),
    st.sampled_from([0, 0, 0, -1, -9]),
)
"""Bodies whose every value is a canary, of the wrong type for what a rule makes of it, or cut off."""

FAILING = [
    f'{{"kind": "plain", "team": "a || {CANARY}", "text": "{CANARY}"}}'.encode(),
    f'{{"kind": "plain", "text": "{CANARY}"}}'.encode(),
    f'{{"kind": "of no rule", "text": "{CANARY}"}}'.encode(),
    f'{{"kind": "plain", "text": "{CANARY}"'.encode(),
]
"""One body for each way to fail that has to be among them, whatever else is made up."""


def configuration(services: PushServices, incoming: Path, bus: Mapping[str, Any], format: str) -> dict[str, Any]:
    """Rules that fail by each field in another way, and none for what is of another kind."""
    to, text = {"to": "team:all"}, {"text": "{{ data.text }}"}
    kinds: Mapping[str, dict[str, Any]] = {
        "plain": {"push": {"to": "team:{{ data.team }}", "with": text}},
        "amount": {"push": {**to, "with": {"text": "{{ data.amount | number }}"}}},
        "nothing": {"push": {**to, "with": {"text": "{{ data.text | upper }} {{ data.note.of.nothing }}"}}},
        "asked": {"when": "data.amount > 3", "push": {**to, "with": text}},
    }
    rules = [{"name": kind, "match": {"data": {"kind": kind}}, **rule} for kind, rule in kinds.items()]
    files = {"path": str(incoming), "settle": 0, "poll": "50ms"}
    return {
        "bridge": {"log": {"level": "debug", "format": format}, "http": {"admin_token": TOKEN}},
        "hubs": hubs(services),
        "sources": {
            "web": {"http": {"path": "/in/web"}, "on_no_match": "dead_letter"},
            "quiet": {"http": {"path": "/in/quiet"}, "on_no_match": "dead_letter", "sensitive": True},
            "drop": {"files": files, "on_no_match": "dead_letter"},
            "bus": {"servicebus": bus, "on_no_match": "dead_letter"},
        },
        "rules": rules,
    }


async def deliver(format: str, bodies: Sequence[bytes], directory: Path) -> set[str]:
    """Give a daemon each of the bodies by each of the sources, and look for what is where; why there are dead letters."""
    incoming = directory / "in"
    for folder in (incoming, directory / "sandbox", directory / "home"):
        folder.mkdir(parents=True)
    async with PushServices(directory / "sandbox") as services, new_harness(QueueSettings()) as harness:
        bus = {"connection": connection(harness.broker), "topic": TOPIC, "subscription": {"name": SUBSCRIPTION}}
        async with Daemon(directory / "home", configuration(services, incoming, bus, format)) as daemon:
            await daemon.start()
            await register_phone(daemon, services)
            async with httpx.AsyncClient(base_url=daemon.url, timeout=PATIENCE) as client:
                for number, body in enumerate(bodies):
                    headers = {"X-Request-Id": f"r{number}", "X-Note": CANARY, "Cookie": f"a={CANARY}"}
                    for path in ("/in/web", "/in/quiet"):
                        await client.post(path, content=body, headers=headers, params={"note": CANARY})
                    (incoming / f"{number}.tmp").write_bytes(body)
                    (incoming / f"{number}.tmp").rename(incoming / f"{number}.json")
                    about: dict[str, Any] = {"subject": CANARY, "application_properties": {"note": CANARY}}
                    await harness.send(ServiceBusMessage(body, message_id=f"m{number}", **about))
            async with asyncio.timeout(PATIENCE):
                while any(ended < len(bodies) for ended in ended_by_source(await daemon.metrics())):
                    await asyncio.sleep(0.1)
            kept = await answers(daemon)
            assert await daemon.terminate() == 0, daemon.errors()
        said = daemon.output_file.read_text() + daemon.errors()
    assert said.count("\n") > len(bodies)
    assert [line for line in said.splitlines() if CANARY in line.lower()] == []
    of_quiet = [item for item in kept if item.get("source") == "quiet"]
    assert of_quiet
    assert [item for item in of_quiet if CANARY in json.dumps(item).lower()] == []
    assert [item for item in kept if CANARY in json.dumps(item).lower()], "the search finds what is kept of others"
    return {item["reason"] for item in kept if item.get("reason")}


def ended_by_source(metrics: Mapping[str, float]) -> list[float]:
    counter = "pushbridge_ingest_messages_total{"
    return [
        sum(value for name, value in metrics.items() if name.startswith(counter) and f'source="{source}"' in name)
        for source in SOURCES
    ]


async def answers(daemon: Daemon) -> list[dict[str, Any]]:
    """Dead letters and rows of the journal, whole, as who may read all of it gets them."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=daemon.url, timeout=PATIENCE, headers=headers) as client:
        listed = (await client.get("/api/v1/dead-letters", params={"limit": 500})).json()["items"]
        found = [(await client.get(f"/api/v1/dead-letters/{letter['id']}")).json() for letter in listed]
        found += (await client.get("/api/v1/journal", params={"limit": 500})).json()["items"]
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("format", ["json", "console"])
def test_no_value_of_an_event_stands_in_the_log_nor_anywhere_where_its_source_is_sensitive(
    format: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=3, deadline=None, phases=[Phase.generate])  # each starts a daemon
    @given(st.lists(bodies, min_size=20, max_size=40))
    def delivered(bodies: list[bytes]) -> None:
        reasons.update(asyncio.run(deliver(format, [*FAILING, *bodies], tmp_path_factory.mktemp("canaries"))))

    reasons = set[str]()
    delivered()
    assert reasons >= {"decode", "render", "tag_unsafe", "no_match"}, "they fail in many ways"
