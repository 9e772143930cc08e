"""The daemon on Service Bus: poison does not stop the flow, one bad source does not stop the others, outages pass."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from azure.servicebus import ServiceBusMessage

from sandbox.servicebus import QueueSettings, ServiceBus
from tests.connectors.servicebus.harness import SUBSCRIPTION, TOPIC, connection
from tests.connectors.servicebus.harness import harness as new_harness
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon

POLICY = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
RULES = [
    {
        "name": "posted",
        "match": {"data": {"kind": "debit"}},
        "push": {"to": "customer:{{ data.customer }}", "with": {"title": "Debit", "body": "{{ data.amount }}"}},
    }
]


def configuration(sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    native = {"dead_letter": {"sources": {name: {"native": True} for name in sources}}}
    return {"hubs": {HUB: {"access_policies": [POLICY]}}, "rules": RULES, "sources": sources, **native, **changes}


def servicebus(broker: ServiceBus, **changes: Any) -> dict[str, Any]:
    whole = {"connection": connection(broker), "topic": TOPIC, "subscription": {"name": SUBSCRIPTION}} | changes
    return {"servicebus": whole, "map": {"type": "posting"}}


def debit(number: int, **properties: Any) -> ServiceBusMessage:
    body = orjson.dumps({"kind": "debit", "customer": f"c{number}", "amount": "7.20"})
    return ServiceBusMessage(body, message_id=f"m{number}", **properties)


POISON = {
    "not JSON": (b"{", "decode", ""),
    "nobody to push to": (b'{"kind": "debit", "amount": "1"}', "render", "rule posted: "),
    "not a tag": (b'{"kind": "debit", "customer": "x || y", "amount": "1"}', "tag_unsafe", "rule posted: "),
}
"""Bodies, with the reason and the beginning of the description that they are dead-lettered with."""


@pytest.mark.parametrize("session", [None, "account-7"])
async def test_poison_is_dead_lettered_by_the_broker_with_reason_and_rule_and_the_flow_goes_on(
    tmp_path: Path, session: str | None
) -> None:
    sessions: dict[str, Any] = {"receive": {"sessions": {"max_in_flight": 2, "idle": 1}}} if session else {}
    async with (
        new_harness(QueueSettings(requires_session=session is not None), **sessions) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker, **sessions)})) as daemon,
    ):
        await daemon.start()
        poison = [ServiceBusMessage(body, session_id=session) for body, _, _ in POISON.values()]
        await harness.send(debit(1, session_id=session), *poison, debit(2, session_id=session))
        await harness.until(completed=2, dead_lettered=len(POISON))
        for dead, (body, reason, description) in zip(
            await harness.dead_letters(len(POISON)), POISON.values(), strict=True
        ):
            assert (dead.body, dead.properties["dead_letter_reason"]) == (body, reason)
            assert dead.properties["dead_letter_error_description"].startswith(description)
        positions = {line["message_id"]: line["position"] for line in daemon.log() if "message_id" in line}
        assert positions.items() >= {"m1": "1", "m2": str(len(POISON) + 2)}.items()


async def test_a_wrong_key_degrades_its_source_with_the_cause_and_the_others_run(tmp_path: Path) -> None:
    async with new_harness(QueueSettings()) as good, new_harness(QueueSettings()) as bad:
        bad.broker.faults.token_verdict = lambda audience, token: 401
        sources = {"good": servicebus(good.broker), "bad": servicebus(bad.broker)}
        async with Daemon(tmp_path, configuration(sources)) as daemon:
            await daemon.launch()
            lines = await daemon.until_readiness(lambda _, lines: any("bad: degraded" in line for line in lines))
            (line,) = [line for line in lines if line.startswith("source bad")]
            assert "the credentials are refused" in line
            assert "SAS_KEY_VALUE" not in line
            await good.send(debit(1))
            await good.until(completed=1)


async def test_a_subscription_with_other_settings_is_told_in_readiness_and_used(tmp_path: Path) -> None:
    new = {"name": SUBSCRIPTION, "create_if_missing": {"max_delivery_count": 3}}
    async with (
        new_harness(QueueSettings()) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker, subscription=new)})) as daemon,
    ):
        await daemon.launch()
        line = "source postings: running: max_delivery_count: configured 3, at the broker 10"
        await daemon.until_readiness(lambda status, lines: status == 200 and line in lines)
        await harness.send(debit(1))
        await harness.until(completed=1)


async def test_a_broker_that_is_away_at_the_start_and_again_later_costs_nothing(tmp_path: Path) -> None:
    async with (
        new_harness(QueueSettings(lock_duration=2_000, max_delivery_count=100)) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker)})) as daemon,
    ):
        await harness.broker.stop()
        await daemon.launch()
        await daemon.until_readiness(lambda _, lines: any("postings: connecting: " in line for line in lines))
        await harness.broker.start()
        await daemon.until_ready()
        await harness.send(*map(debit, range(100)))
        await harness.until(completed=1)
        harness.broker.cut()
        await harness.broker.stop()
        await daemon.until_readiness(lambda _, lines: any("postings: connecting: " in line for line in lines))
        await harness.broker.start()
        await harness.until(completed=100)
        with daemon.database() as database:
            assert database.execute("SELECT count(*) FROM notification").fetchone() == (100,)


async def test_a_source_that_has_gone_deaf_with_a_backlog_is_rebuilt(tmp_path: Path) -> None:
    watchdog = {"bridge": {"watchdog": {"stall_after": "1s"}}}
    async with (
        new_harness(QueueSettings()) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker)}, **watchdog)) as daemon,
    ):
        await daemon.start()
        harness.broker.detach()  # the links of its authentication too, which the SDK does not notice
        await harness.send(debit(1))
        await daemon.until_readiness(lambda _, lines: any("postings: stalled" in line for line in lines))
        await harness.until(completed=1)
        await daemon.until_ready()


async def test_locks_are_held_for_as_long_as_the_store_is_away(tmp_path: Path) -> None:
    async with (
        new_harness(QueueSettings(lock_duration=9_000)) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker)})) as daemon,
    ):
        await daemon.start()
        with closing(sqlite3.connect(daemon.database_file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await harness.send(*map(debit, range(5)))
            await harness.until(delivered=1)
            await harness.until_renewed()
            assert harness.queue.counts.completed == 0
            other.execute("ROLLBACK")
        await harness.until(completed=5)
        assert (harness.queue.counts.delivered, harness.queue.counts.lock_expired) == (5, 0)
