"""Live Activities as an app, a rule and Apple have them: started by a push, updated by the token that the start brought,
broadcast on a channel, and gone with the activity.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.display import Shown
from sandbox.phones import VirtualPhone
from sandbox.services import TOPIC, PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, hubs
from tests.integration.hook import Hook
from tests.integration.test_dead_handles import until
from tests.integration.test_drill import told

pytestmark = pytest.mark.processes

TOKEN = "only-for-these-tests"
ATTRIBUTES = {"attributes-type": "MatchAttributes", "attributes": {"match": "{{ data.match }}"}}
ALERT = {"alert": {"title": "{{ data.match }} begins", "body": "{{ data.score }}"}}
STATE = {"score": "{{ data.score }}"}


def rule(name: str, push: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "match": {"type": name}, "push": push}


RULES = [
    rule(
        "kick-off",
        {
            "to": "to-start:{{ data.match }}",
            "live_activity": {"start": STATE, "aps": {**ATTRIBUTES, **ALERT, "input-push-token": 1}},
        },
    ),
    rule(
        "kick-off-for-all",
        {
            "to": "to-start:{{ data.match }}",
            "live_activity": {
                "start": STATE,
                "aps": {**ATTRIBUTES, **ALERT, "input-push-channel": "{{ data.channel }}"},
            },
        },
    ),
    rule("goal", {"to": "activity:{{ data.match }}", "live_activity": {"update": STATE}}),
    rule("goal-for-all", {"live_activity": {"update": STATE, "channel": "channel-{{ data.match }}"}}),
    rule(
        "final-whistle",
        {"to": "activity:{{ data.match }}", "live_activity": {"end": STATE, "aps": {"dismissal-date": 1}}},
    ),
]


class App:
    """The app on one iPhone, as far as Live Activities go (Apple, "Starting and updating Live Activities with ActivityKit
    push notifications"): it registers the token that starts activities, and for an activity that was started with
    `input-push-token` the token that iOS gives it; with `input-push-channel` it hears of the channel.
    """

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.start_token = self._token("to start")
        self.start_token.watch(world.services.journal)
        self.activity: VirtualPhone | None = None
        self.channel: VirtualPhone | None = None

    async def register(self, match: str) -> None:
        await self._world.register(f"{self.name}-start", self.start_token.handle, f"to-start:{match}")

    async def started(self, match: str) -> dict[str, Any]:
        """iOS has started the activity, and has given the app what the push asked for; `aps` of the push."""
        await until(lambda: bool(self.start_token.received))
        aps: dict[str, Any] = aps_of(self.start_token.received[-1])
        if aps.get("input-push-token") == 1:
            self.activity = self._token(f"of {match}")
            self.activity.watch(self._world.services.journal)
            await self._world.register(f"{self.name}-{match}", self.activity.handle, f"activity:{match}")
        if channel := aps.get("input-push-channel"):
            self.channel = VirtualPhone(name=self.name, platform="apns", handle=f"channel:{channel}")
            self.channel.watch(self._world.services.journal)
        return aps

    def _token(self, what: str) -> VirtualPhone:
        handle = hashlib.sha512(f"{self.name} {what}".encode()).hexdigest().upper()
        self._world.services.apns.register(handle, topic=TOPIC)
        return VirtualPhone(name=f"{self.name} {what}", platform="apns", handle=handle)


class World:
    def __init__(self, daemon: Daemon, services: PushServices, hook: Hook) -> None:
        self.daemon, self.services, self.hook = daemon, services, hook

    async def register(self, id: str, token: str, tag: str) -> None:
        await self.daemon.register({"installationId": id, "platform": "apns", "pushChannel": token, "tags": [tag]})

    async def happen(self, type: str, time: str, **data: str) -> None:
        event = {"specversion": "1.0", "source": "/matches", "id": f"{type}-{time}", "type": type, "time": time}
        async with httpx.AsyncClient(timeout=START_TIMEOUT) as client:
            answer = await client.post(
                f"{self.daemon.url}/in",
                content=json.dumps({**event, "data": data}),
                headers={"content-type": "application/cloudevents+json"},
            )
            assert answer.json()["outcome"] == "accepted", answer.text


def aps_of(push: Shown) -> dict[str, Any]:
    return dict(json.loads(push.raw)["aps"])


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    (directory / "sandbox").mkdir()
    async with PushServices(directory / "sandbox") as services, Hook(directory / "hook") as hook:
        (directory / "token").write_text(TOKEN)
        config = {
            "bridge": {"http": {"admin_token": TOKEN}},
            "sources": {"in": {"http": {"path": "/in", "format": "cloudevents"}}},
            "sinks": {"crm": {"http": hook.settings}},
            "rules": RULES,
            "hubs": {HUB: {**hubs(services)[HUB], "report_to": ["crm"]}},
        }
        async with Daemon(directory, config) as daemon:
            await daemon.start()
            yield World(daemon, services, hook)


async def test_an_activity_is_started_by_a_push_updated_by_the_token_of_the_start_and_its_token_ends_with_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        checked = await told(world.daemon, f"check {world.daemon.config_file}")
        assert "Live Activity" not in checked, checked
        app = App(world, "anna")
        await app.register("m7")
        await world.happen("kick-off", "2026-03-04T10:00:00Z", match="m7", score="0:0")
        aps = await app.started("m7")
        assert aps == {
            "timestamp": 1772618400,
            "event": "start",
            "content-state": {"score": "0:0"},
            "attributes-type": "MatchAttributes",
            "attributes": {"match": "m7"},
            "alert": {"title": "m7 begins", "body": "0:0"},
            "input-push-token": 1,
        }
        entry = world.services.journal.accepted()[-1]
        assert entry.headers["apns-topic"] == f"{TOPIC}.push-type.liveactivity"
        assert (entry.headers["apns-push-type"], entry.headers.get("apns-priority", "10")) == ("liveactivity", "10")

        assert app.activity is not None
        token = app.activity
        await world.happen("goal", "2026-03-04T10:20:00Z", match="m7", score="1:0")
        await until(lambda: len(token.received) == 1)
        await world.happen("goal", "2026-03-04T10:10:00Z", match="m7", score="late")
        await until(lambda: len(token.received) == 2)
        assert [(aps_of(push)["event"], aps_of(push)["content-state"]) for push in token.received] == [
            ("update", {"score": "1:0"}),
            ("update", {"score": "late"}),
        ]
        assert [push.body for push in token.screen] == ["score: 1:0"], "a phone takes no update that is older"
        await world.happen("final-whistle", "2026-03-04T11:50:00Z", match="m7", score="2:0")
        await until(lambda: len(token.received) == 3)
        assert aps_of(token.received[-1]).items() >= {"event": "end", "dismissal-date": 1}.items()
        assert [push.body for push in token.screen] == ["score: 2:0"]

        world.services.apns.unregister(token.handle, reason="ExpiredToken")
        await world.happen("goal", "2026-03-04T11:51:00Z", match="m7", score="3:0")
        await until(lambda: len(world.hook.of_type("device.removed")) == 1)
        (removed,) = world.hook.of_type("device.removed")
        assert (removed["installationIds"], removed["reason"]) == (["anna-m7"], "ExpiredToken")
        listed = json.loads(await told(world.daemon, f"devices list --hub {HUB} --json"))
        dead = {one["id"]: one["push_channel_expired"] for one in listed}
        assert dead == {"anna-start": False, "anna-m7": True}, "the token that starts activities lives on"


async def test_an_activity_that_was_started_with_a_channel_is_updated_by_one_request_for_all(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        made = await told(world.daemon, f"channels create channel-m8 --tag match:m8 --hub {HUB}")
        found = re.fullmatch(r"channel-m8: channel:(\S+)\n", made)
        assert found is not None, made
        apps = [App(world, name) for name in ("anna", "bob", "cem")]
        for app in apps:
            await app.register("m8")
        await world.happen("kick-off-for-all", "2026-03-04T10:00:00Z", match="m8", score="0:0", channel=found[1])
        for app in apps:
            assert (await app.started("m8"))["input-push-channel"] == found[1]
            assert app.activity is None
        before = len(world.services.journal.accepted())
        await world.happen("goal-for-all", "2026-03-04T10:20:00Z", match="m8", score="1:0")
        for app in apps:
            channel = app.channel
            assert channel is not None
            await until(lambda channel=channel: len(channel.received) == 1)  # type: ignore[misc]
            assert [push.body for push in channel.screen] == ["score: 1:0"]
        assert len(world.services.journal.accepted()) == before + 1, "one request, however many look on"
