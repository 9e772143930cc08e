"""Each fault is made, the commands of its alert's runbook are run, and the cause is in what they print.

What is looked for stands in no runbook: it is the word of the broker, the service or the file that is at fault. A scene is
one daemon with several faults, as a bad night has them. The drill of `test_drill.py` has Prometheus fire an alert;
`alerts_test.yaml` has all of them fire by their figures.
"""

import asyncio
import inspect
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sandbox.services import PushServices
from tests.bridge.test_alerts import alerts
from tests.bridge.test_ended import certificate
from tests.integration.daemon import HUB, Daemon
from tests.integration.nights import (
    DEADLINE,
    Fault,
    Night,
    Scene,
    delivery,
    disks,
    fleets,
    mirrors,
    phones,
    process,
    sources,
    store,
)
from tests.integration.test_drill import told
from tests.integration.test_made_up_decoder import CONFIG as OF_PAIRS
from tests.integration.test_operator import configuration, post, register
from tests.ports import free_ports

pytestmark = pytest.mark.processes

# Scenes


@asynccontextmanager
async def many_faults(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A broker, a sink and a remote hub that are not there, a batch that did not come, and a rule that asks too many."""
    dead = [f"127.0.0.1:{port}" for port in free_ports(3)]
    config = configuration(services)
    config["sources"] |= {
        "shop": {
            "rabbitmq": {"url": f"amqp://guest:guest@{dead[0]}", "queue": {"name": "shop"}},
            "map": {"id": "{{ data.id }}"},
        },
        "nightly": {"http": {"path": "/in/nightly"}, "map": {"id": "{{ data.id }}"}, "expect_every": "60s"},
    }
    config["hubs"][HUB]["limits"] = {"confirm_above": 1}
    config["sinks"] = {"crm": {"http": {"url": f"http://{dead[1]}/hook", "secret": "of a test, and long enough"}}}
    config["rules"][0]["report_to"] = "crm"
    token = "of who is on duty tonight"
    config["bridge"] = {**config.get("bridge", {}), "http": {"admin_token": token}}  # who adds a silence needs a role
    async with Daemon(directory, config) as daemon:
        (daemon.config_file.parent / "token").write_text(token)
        await daemon.launch()
        await daemon.until_readiness(lambda status, _: status == httpx.codes.OK)
        yield Night(daemon, services, directory)


@asynccontextmanager
async def full_disk(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """No file may grow any more."""
    async with Daemon(directory, configuration(services)) as daemon:
        await daemon.start()
        size = max(file.stat().st_size for file in directory.glob("pushbridge.db*"))
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, hard))
        try:
            async with asyncio.timeout(DEADLINE):
                number = 0
                for more in (50_000, 1):  # what is left of the last file is used up first, to what a heartbeat needs
                    while (await post(daemon, f"more-{number}", text="x" * more)).status_code == httpx.codes.ACCEPTED:
                        number += 1
            yield Night(daemon, services, directory)
        finally:
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))


@asynccontextmanager
async def silence(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A push service that takes a push and answers nothing, before a daemon whose heart beats each second."""
    config = configuration(services)
    config["bridge"] = {"heartbeat": "1s"}
    async with Daemon(directory, config) as daemon:
        await daemon.start()
        await register(daemon, services)
        services.apns.faults.hold()
        yield Night(daemon, services, directory)


@asynccontextmanager
async def greedy(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A decoder that holds the event loop for a second with each body."""
    async with Daemon(directory, OF_PAIRS, module="tests.pairs") as daemon:
        await daemon.start()
        async with httpx.AsyncClient(base_url=daemon.url, trust_env=False, timeout=60) as client:
            for number in range(8):
                await client.post("/in/shop", content=f"id={number}\nwait=1\nkind=paid")
        yield Night(daemon, services, directory)


@asynccontextmanager
async def gone(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """A daemon that was killed, and whose configuration would not let it start."""
    async with Daemon(directory, configuration(services)) as daemon:
        await daemon.start()
        await daemon.kill()
        await misspelt(night := Night(daemon, services, directory))
        yield night


@asynccontextmanager
async def bounds(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """Small bounds that are all reached, and certificates that end in two days."""
    certificate(directory, begins=-timedelta(days=1), ends=timedelta(days=2), topic="com.acme.app")
    pem, (dead, probes) = str(directory / "cert.pem"), free_ports(2)
    config = configuration(services)
    config["listeners"] = {"probes": {"address": f"127.0.0.1:{probes}", "tls": {"cert": pem, "key": pem}}}
    config["dead_letters"] = {"default": {"store": {"max_rows": 10}}}
    sink = {"url": f"http://127.0.0.1:{dead}/hook", "secret": "of a test, and long enough"}
    config["sinks"] = {"crm": {"http": sink, "max_rows": 1}}
    config["rules"][0]["report_to"] = "crm"
    config["hubs"][HUB]["default"] = True
    config["hubs"]["ios"] = {
        "platforms": {"apns": {"certificate": pem, "endpoint": services.apns_credential.endpoint}},
    }
    async with Daemon(directory, config) as daemon:
        await daemon.launch()
        await daemon.until_readiness(lambda status, _: status == httpx.codes.OK)
        yield Night(daemon, services, directory)


@asynccontextmanager
async def far_away(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """The hub that this one mirrors is not there."""
    (dead,) = free_ports(1)
    config = configuration(services)
    there = f"Endpoint=sb://127.0.0.1:{dead}/;SharedAccessKeyName=Full;SharedAccessKey=of-a-test"
    config["hubs"][HUB] |= {"remote": {"connection_string": there, "hub": HUB}, "mirror": "local"}
    async with Daemon(directory, config) as daemon:
        await daemon.launch()
        await daemon.until_readiness(lambda status, _: status == httpx.codes.OK)
        yield Night(daemon, services, directory)


NIGHTS = (delivery, disks, fleets, mirrors, phones, process, sources, store)
"""Modules of further scenes, each with its faults."""

SCENES: Mapping[str, Scene] = {
    **{name: scene for night in NIGHTS for name, scene in night.SCENES.items()},
    "many faults": many_faults,
    "full disk": full_disk,
    "silence": silence,
    "greedy": greedy,
    "gone": gone,
    "bounds": bounds,
    "far away": far_away,
}


# What is done in them


async def misspelt(night: Night) -> None:
    text = night.daemon.config_file.read_text()
    night.daemon.config_file.write_text(text.replace('"rules"', '"rulez"'))


async def unsafe_tag(night: Night) -> None:
    await post(night.daemon, "bad", team="a || b")


async def wrong_key(night: Night) -> None:
    night.services.apns.faults.answer(403, "InvalidProviderToken")
    await register(night.daemon, night.services)
    await post(night.daemon, "refused")


async def throttled(night: Night) -> None:
    night.services.fcm.faults.answer(429, "QUOTA_EXCEEDED")
    phone = night.services.add_phone("android", "fcmv1")
    await night.daemon.register(
        {
            "installationId": "android",
            "platform": "fcmv1",
            "pushChannel": phone.handle,
            "tags": ["team:green"],
            "templates": {"text": {"body": '{"message": {"notification": {"title": "$(text)"}}}'}},
        }
    )
    await post(night.daemon, "throttled", team="green")


async def failing(night: Night) -> None:
    night.services.wns.faults.answer(500, "Internal Server Error")
    phone = night.services.add_phone("desk", "wns")
    toast = "<toast><visual><binding template='ToastText01'><text id='1'>$(text)</text></binding></visual></toast>"
    await night.daemon.register(
        {
            "installationId": "desk",
            "platform": "wns",
            "pushChannel": phone.handle,
            "tags": ["team:desk"],
            "templates": {"text": {"body": toast, "headers": {"X-WNS-Type": "wns/toast"}}},
        }
    )
    await post(night.daemon, "failing", team="desk")


async def to_many(night: Night) -> None:
    for name in ("one", "two"):
        phone = night.services.add_phone(name, "apns")
        await night.daemon.register(
            {
                "installationId": name,
                "platform": "apns",
                "pushChannel": phone.handle,
                "tags": ["team:large"],
                "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
            }
        )
    await post(night.daemon, "large", team="large")


async def silent(night: Night) -> None:
    command = "silences add --rule order --hold --for 1h --reason"
    assert "hold" in await told(night.daemon, f'{command} "a night\'s work"')


async def wrong_tokens(night: Night) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(25):
            headers = {"authorization": f"SharedAccessSignature sr=x&sig=wrong&se=9999999999&skn=guess-{number}"}
            await client.get(f"{night.daemon.hub_url}/{HUB}/registrations?api-version=2015-01", headers=headers)


async def no_one_there(night: Night) -> None:
    await post(night.daemon, "reported", team="nobody")


async def many_unsafe(night: Night) -> None:
    for number in range(9):
        await post(night.daemon, f"bad-{number}", team="a || b")


async def reports(night: Night) -> None:
    """More than the sink may keep."""
    for number in range(3):
        await post(night.daemon, f"reported-{number}", team="nobody")


async def to_the_remote(night: Night) -> None:
    await post(night.daemon, "to the remote")


async def registers_here(night: Night) -> None:
    await register(night.daemon, night.services)


async def one_push(night: Night) -> None:
    await post(night.daemon, "held up")


FAULTS: Mapping[str, Fault] = {
    **{alert: fault for night in NIGHTS for alert, fault in night.FAULTS.items()},
    "PushbridgeAbsent": Fault(scene="gone", prints=r"rulez"),
    "PushbridgeSourceDown": Fault(scene="many faults", prints=r"shop .*cannot connect to 127\.0\.0\.1"),
    "PushbridgeDeadLettersGrowing": Fault(scene="many faults", prints=r"tag_unsafe", make=unsafe_tag),
    "PushbridgePnsCredentialRejected": Fault(scene="many faults", prints=r"InvalidProviderToken", make=wrong_key),
    "PushbridgePnsCircuitOpen": Fault(scene="many faults", prints=r"apns +breaker open"),
    "PushbridgePnsThrottled": Fault(scene="many faults", prints=r"QUOTA_EXCEEDED", make=throttled),
    "PushbridgePnsFailureRatioHigh": Fault(scene="many faults", prints=r"wns .*(50\d|[Ss]erver)", make=failing),
    "PushbridgeNotificationsHeld": Fault(scene="many faults", prints=r"Held", make=to_many),
    "PushbridgeAuthFailures": Fault(
        scene="many faults", prints=r"hub_api .*25 requests had wrong credentials", make=wrong_tokens
    ),
    "PushbridgeSinkWaits": Fault(scene="many faults", prints=r"crm +failing", make=no_one_there),
    "PushbridgeConfigReloadFailed": Fault(scene="many faults", prints=r"rulez[\s\S]*refused", make=misspelt),
    "PushbridgeSourceLate": Fault(
        scene="many faults", prints=r"nightly +late"
    ),  # a minute after the start, at the least
    "PushbridgeSilenceForgotten": Fault(scene="many faults", prints=r"hold +rule order .*a night's work", make=silent),
    "PushbridgeSilenceHoldsMuch": Fault(scene="many faults", prints=r"hold +rule order", make=silent),
    "PushbridgeStoreFails": Fault(scene="full disk", prints=r"store +failing"),
    "PushbridgeIngestStalled": Fault(scene="full disk", prints=r"store +failing"),
    "PushbridgeHeartbeatStale": Fault(scene="silence", prints=r"heartbeat +send +stalled", make=one_push),
    "PushbridgeEventLoopHeld": Fault(scene="greedy", prints=r"event loop +held .*s of the last minute"),
    "PushbridgeQueueHeadTooOld": Fault(scene="silence", prints=r"send +stalled"),
    "PushbridgeCertificateExpires": Fault(scene="bounds", prints=r"warning +probes +good until .* 1 day"),
    "PushbridgePnsCredentialExpires": Fault(scene="bounds", prints=r"warning +ios/apns +its credential ends on"),
    "PushbridgeDeadLettersNearBound": Fault(scene="bounds", prints=r"(tag_unsafe[\s\S]*){9}", make=many_unsafe),
    "PushbridgeSinkDrops": Fault(scene="bounds", prints=r"crm +failing", make=reports),
    "PushbridgeRemoteCircuitOpen": Fault(scene="far away", prints=r"127\.0\.0\.1", make=to_the_remote),
    "PushbridgeMirrorNotListed": Fault(scene="far away", prints=r"never listed to the end"),
    "PushbridgeMirrorNotWritten": Fault(scene="far away", prints=r"waiting for the remote +1", make=registers_here),
    "PushbridgeMirrorBlind": Fault(scene="far away", prints=r"remote hub +app +failing"),
}


def test_each_alert_has_its_fault() -> None:
    assert FAULTS.keys() == {alert["alert"] for alert in alerts()}
    assert {fault.scene for fault in FAULTS.values()} == set(SCENES)


@pytest.mark.slow
@pytest.mark.timeout(600)  # a scene has several alerts, each of which waits for its cause
@pytest.mark.parametrize("scene", SCENES)
async def test_the_commands_of_a_runbook_find_the_cause_of_its_alert(
    request: pytest.FixtureRequest, services: PushServices, tmp_path: Path, scene: str
) -> None:
    _, _, *fixtures = inspect.signature(SCENES[scene]).parameters
    given = {name: request.getfixturevalue(name) for name in fixtures}
    async with SCENES[scene](services, tmp_path, **given) as night:
        for alert, fault in FAULTS.items():
            if fault.scene == scene:
                if fault.make is not None:
                    await fault.make(night)
                await night.until_printed(alert, fault.prints)
