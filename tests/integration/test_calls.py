"""Calls (VoIP) by a rule, by the name of a hub and by the API, and critical alerts, as an iPhone gets them."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.phones import VirtualPhone
from sandbox.services import TOPIC, PushServices
from tests.integration.daemon import HUB, START_TIMEOUT, Daemon, authorization, hubs
from tests.integration.test_dead_handles import until
from tests.integration.test_operator import post

pytestmark = pytest.mark.processes

CALLS = "app.voip"
CRITICAL = {"alert": {"title": "Fire", "body": "{{ data.text }}"}, "sound": {"critical": 1, "name": "default"}}
RULES = [
    {
        "name": "ring",
        "match": {"data": {"team": "ring"}},
        "push": {
            "to": "ann",
            "hub": HUB,
            "native": {
                "apns": {
                    "payload": {"caller": "{{ data.text }}"},
                    "headers": {"apns-push-type": "voip", "apns-expiration": "0"},
                }
            },
        },
    },
    {
        "name": "ring-by-hub",
        "match": {"data": {"team": "hub"}},
        "push": {"to": "ann", "hub": CALLS, "native": {"apns": {"payload": {"caller": "{{ data.text }}"}}}},
    },
    {
        "name": "fire",
        "match": {"data": {"team": "fire"}},
        "push": {
            "to": "ann",
            "hub": HUB,
            "native": {"apns": {"payload": {"aps": {**CRITICAL, "interruption-level": "critical"}}}},
        },
    },
]


async def got(phone: VirtualPhone, services: PushServices, count: int) -> tuple[Any, str, str, str | None]:
    """The newest of so many pushes of a phone: its payload, push type, topic and expiration."""
    await until(lambda: len(phone.received) == count)
    headers = services.journal.of_handle(phone.handle)[-1].headers
    payload = json.loads(phone.received[-1].raw)
    return payload, headers["apns-push-type"], headers["apns-topic"], headers.get("apns-expiration")


async def test_a_call_is_rung_by_a_rule_by_a_hub_of_calls_and_by_the_api_and_a_critical_alert_stays_one(
    services: PushServices, tmp_path: Path
) -> None:
    whole = hubs(services)
    whole[CALLS] = json.loads(json.dumps(whole[HUB]))
    config = {
        "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
        "rules": RULES,
        "hubs": whole,
    }
    async with Daemon(tmp_path, config) as daemon:
        await daemon.start()
        phone = services.add_phone("ann", "apns")
        document = {"installationId": "ann", "platform": "apns", "pushChannel": phone.handle, "tags": ["ann"]}
        for hub in (HUB, CALLS):
            await daemon.register(document, hub=hub)

        await post(daemon, "1", team="ring", text="Bob")
        assert await got(phone, services, 1) == ({"caller": "Bob"}, "voip", f"{TOPIC}.voip", "0")
        await post(daemon, "2", team="hub", text="Cem")
        payload, *sent = await got(phone, services, 2)
        assert (payload, sent[:2]) == ({"caller": "Cem"}, ["voip", f"{TOPIC}.voip"])

        url = f"{daemon.hub_url}/{HUB}/messages"
        headers = {
            "Authorization": authorization(url),
            "Content-Type": "application/json",
            "ServiceBusNotification-Format": "apple",
            "ServiceBusNotification-Tags": "ann",
            "apns-push-type": "voip",
        }
        async with httpx.AsyncClient(timeout=START_TIMEOUT) as client:
            answer = await client.post(url, params={"api-version": "2020-06"}, json={"caller": "Dee"}, headers=headers)
            answer.raise_for_status()
        payload, *sent = await got(phone, services, 3)
        assert (payload, sent[:2]) == ({"caller": "Dee"}, ["voip", f"{TOPIC}.voip"])

        await post(daemon, "4", team="fire", text="Leave the house")
        payload, *sent = await got(phone, services, 4)
        assert payload["aps"] == {
            "alert": {"title": "Fire", "body": "Leave the house"},
            "sound": {"critical": 1, "name": "default"},
            "interruption-level": "critical",
        }
        assert sent[:2] == ["alert", TOPIC]
        assert phone.screen[-1].title == "Fire"
