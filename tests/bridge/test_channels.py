"""Broadcast channels as an operator has them: made at Apple's stand-in, sent to by tag, compared, and deleted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.admin.api.channels import TAG
from bridge.app import Daemon
from hub.installation import Installation
from hub.notification import NativeContent, Notification, Platform
from hub.tags import parse
from sandbox.services import PushServices
from tests.bridge.examples import read
from tests.bridge.test_admin_api import TOKEN
from tests.bridge.test_client_commands import Shell

CONFIGURATION = """
bridge: {{ http: {{ listen: "127.0.0.1:0", admin_token: {token} }} }}
hub_api: {{ listen: "127.0.0.1:0" }}
hubs:
  app: {{ platforms: {{ apns: {apns} }} }}
  spare: {{}}
"""
LIVE = b'{"aps":{"timestamp":1,"event":"update","content-state":{"score":2}}}'


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[tuple[Shell, PushServices]]:
    async with PushServices(tmp_path) as services:
        credential = services.apns_credential
        apns = {
            "key": f"${{file:{credential.key_file}}}",
            "key_id": credential.key_id,
            "team_id": credential.team_id,
            "topic": credential.topic,
            "endpoint": credential.endpoint,
            "tls": {"ca_file": str(services.ca_file)},
        }
        settings = read(tmp_path, CONFIGURATION.format(token=TOKEN, apns=json.dumps(apns)))
        daemon = Daemon(settings, config="c.yaml")
        with capture_logs():
            async with daemon.running():
                yield Shell(daemon, tmp_path), services


@pytest.mark.slow
async def test_a_channel_is_made_sent_to_by_its_tag_compared_and_deleted(shell: tuple[Shell, PushServices]) -> None:
    run, services = shell
    made = await run.json("channels", "create", "match-1", "--tag", "match:1", "--stored", "--hub", "app")
    assert (made["id"], made["tags"], made["state"]) == ("match-1", ["match:1"], "ok")
    content = NativeContent(platform=Platform.APNS, payload=LIVE, headers={"apns-push-type": "liveactivity"})
    sent = Notification(id="0" * 32, hub="app", audience=parse("match:1"), content=content)
    await run.daemon.hub.send(sent)
    (entry,) = await services.journal.wait_for(count=1, timeout=60)
    assert (entry.handle, entry.payload) == (made["push_channel"], LIVE)

    strange = services.apns.channels.make(services.apns_credential.topic)
    listed = await run.json("channels", "list", "--hub", "app")
    assert [(one["id"], one["state"]) for one in listed["items"]] == [("match-1", "ok"), (None, "unknown")]
    assert listed["items"][1]["push_channel"] == f"channel:{strange}"
    assert (listed["used"], listed["most"]) == (2, 10_000)
    services.apns.channels.drop(made["push_channel"].removeprefix("channel:"))
    said = await run.run("channels", "list", "--hub", "app")
    assert "missing" in said.stdout
    assert "1 of 10000 channels of the app are in use" in said.stdout
    assert "match-1 is deleted" in (await run.run("channels", "delete", "match-1", "--hub", "app")).stdout
    assert len((await run.json("channels", "list", "--hub", "app"))["items"]) == 1
    page = await run.daemon.hub.store.audit(limit=10)
    assert [(one.entry.action, one.entry.target, one.entry.detail) for one in page.items] == [
        ("channels.delete", "app", "match-1"),
        ("channels.create", "app", "match-1"),
    ]


@pytest.mark.slow
async def test_a_channel_that_is_unknown_here_is_taken_over_and_then_deleted_like_others(
    shell: tuple[Shell, PushServices],
) -> None:
    """Whoever runs out of channels has to get rid of those that another system made, or that a lost store had."""
    run, services = shell
    strange = f"channel:{services.apns.channels.make(services.apns_credential.topic)}"
    made = await run.json("channels", "create", "found", "--channel", strange, "--tag", "match:2", "--hub", "app")
    assert (made["id"], made["push_channel"], made["tags"], made["state"]) == ("found", strange, ["match:2"], "ok")
    listed = await run.json("channels", "list", "--hub", "app")
    assert [(one["id"], one["push_channel"], one["state"]) for one in listed["items"]] == [("found", strange, "ok")]
    assert listed["used"] == 1, "none was made"

    async def refused(*arguments: str) -> str:
        return await run.error("channels", "create", *arguments, "--hub", "app", code=5)

    assert "the device 'found' has it" in await refused("again", "--channel", strange)
    assert "has no channel 'channel:AAAA'" in await refused("other", "--channel", "channel:AAAA")
    other = f"channel:{services.apns.channels.make(services.apns_credential.topic)}"
    assert "stored: the channel exists" in await refused("other", "--stored", "--channel", other)
    assert "id: a device 'found' exists" in await refused("found", "--channel", other)
    assert (await run.json("channels", "list", "--hub", "app"))["used"] == 2, "a refusal deletes nothing there"
    await run.run("channels", "delete", "found", "--hub", "app")
    listed = await run.json("channels", "list", "--hub", "app")
    assert [one["push_channel"] for one in listed["items"]] == [other]
    page = await run.daemon.hub.store.audit(limit=10)
    assert [one.entry.action for one in page.items] == ["channels.delete", "channels.adopt"]


@pytest.mark.slow
async def test_what_cannot_be_made_says_why_and_leaves_nothing(shell: tuple[Shell, PushServices]) -> None:
    run, services = shell
    await run.run("channels", "create", "a", "--hub", "app")
    assert "id: a device 'a' exists" in await run.error("channels", "create", "a", "--hub", "app", code=5)
    assert "not allowed: 'a b'" in await run.error("channels", "create", "c", "--tag", "a b", "--hub", "app", code=5)
    assert (await run.json("channels", "list", "--hub", "app"))["used"] == 1
    services.apns.channels.most = 1
    assert "CannotCreateChannelConfig" in await run.error("channels", "create", "b", "--hub", "app", code=5)
    assert "no credential" in await run.error("channels", "list", "--hub", "spare", code=5)
    assert "'b' not found" in await run.error("channels", "delete", "b", "--hub", "app", code=5)


@pytest.mark.slow
async def test_a_phone_that_took_the_tag_of_channels_is_none(shell: tuple[Shell, PushServices]) -> None:
    run, services = shell
    taken = Installation(id="phone", platform=Platform.APNS, push_channel=services.make_handle("apns", 1), tags=(TAG,))
    await run.daemon.hub.store.put_installations("app", [taken])
    assert (await run.json("channels", "list", "--hub", "app"))["items"] == []
    said = await run.error("channels", "delete", "phone", "--hub", "app", code=5)
    assert "'phone' is no broadcast channel" in said
    assert await run.daemon.hub.store.get_installation("app", "phone") == taken
