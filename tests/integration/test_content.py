"""Texts held here, on phones: each in its language, beside phones that registered a template, over a kill and a reload."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, hubs
from tests.ports import free_ports

PATIENCE = 60.0
TOKEN = "only-for-these-tests"
RECEIVED = f"/api/v1/hubs/{HUB}/devices/swiss/received"
TEXTS = {
    "en": {"title": "Debit {{ amount | money('CHF') }}", "body": "{{ merchant }}, {{ at | datetime('short') }}"},
    "de": {"title": "Belastung {{ amount | money('CHF') }}", "body": "{{ merchant }}, {{ at | datetime('short') }}"},
}
PUSH = {
    "to": "user:ann",
    "content": "debit",
    "with": {"amount": "{{ data.amount }}", "merchant": "{{ data.merchant }}", "at": "{{ time }}"},
}


def configuration(services: PushServices, port: int, **rule: Any) -> dict[str, Any]:
    return {
        "sources": {"bank": {"http": {"path": "/in/bank"}, "map": {"id": "{{ data.id }}", "time": "{{ data.at }}"}}},
        "content": {"debit": {"locales": TEXTS, "fallback": "en", "options": {"deep_link": "acme://debits"}}},
        "rules": [{"name": "debit", "push": PUSH, **rule}],
        "hubs": {HUB: hubs(services)[HUB]},
        "bridge": {"timezone": "Europe/Zurich", "http": {"listen": f"127.0.0.1:{port}", "admin_token": TOKEN}},
    }


async def register(daemon: Daemon, phone: VirtualPhone, **more: Any) -> None:
    await daemon.register(
        {
            "installationId": phone.name,
            "platform": phone.platform,
            "pushChannel": phone.handle,
            "tags": ["user:ann"],
            **more,
        }
    )


async def test_each_phone_reads_its_language_and_none_gets_two_pushes(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    template = {"t": {"body": '{"message": {"notification": {"title": "$(merchant)"}}}'}}
    phones: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "swiss": ("apns", {"locale": "de-CH"}),
        "tokyo": ("fcmv1", {"locale": "de", "timeZone": "Asia/Tokyo"}),
        "variable": ("wns", {"pushVariables": {"Locale": "de_AT"}}),
        "french": ("fcmv1", {"locale": "fr"}),
        "silent": ("apns", {}),
        "templated": ("fcmv1", {"locale": "de", "templates": template}),
    }
    async with (
        PushServices(tmp_path) as services,
        Daemon(tmp_path, configuration(services, port)) as daemon,
        httpx.AsyncClient(timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
    ):
        daemon.url = f"http://127.0.0.1:{port}"
        await daemon.start()
        made = {name: services.add_phone(name, platform) for name, (platform, _) in phones.items()}
        for name, (_, more) in phones.items():
            await register(daemon, made[name], **more)
        event = {"id": "e1", "amount": 1250.5, "merchant": '<Migros> & "Co" $(merchant)', "at": "2026-03-02T11:00:00Z"}
        (await client.post(f"{daemon.url}/in/bank", json=event)).raise_for_status()
        async with asyncio.timeout(PATIENCE):
            while not all(phone.received for phone in made.values()):
                await asyncio.sleep(0.05)
        read = {name: [(each.title, each.body) for each in phone.received] for name, phone in made.items()}
        merchant = event["merchant"]
        assert read == {
            "swiss": [("Belastung CHF\u00a01'250.50", f"{merchant}, 02.03.26, 12:00")],
            "tokyo": [("Belastung 1.250,50\u00a0CHF", f"{merchant}, 02.03.26, 20:00")],
            "variable": [("Belastung CHF\u00a01.250,50", f"{merchant}, 02.03.26, 12:00")],
            "french": [("Debit CHF\u00a01,250.50", f"{merchant}, 3/2/26, 12:00\u202fPM")],
            "silent": [("Debit CHF\u00a01,250.50", f"{merchant}, 3/2/26, 12:00\u202fPM")],
            "templated": [(merchant, "")],
        }
        scrape = await daemon.metrics()
        fallbacks = {
            reason: scrape[f'pushbridge_content_fallbacks_total{{hub="{HUB}",reason="{reason}"}}']
            for reason in ("no_text", "no_locale", "not_filled")
        }
        assert fallbacks == {"no_text": 1, "no_locale": 1, "not_filled": 0}, "french, silent"
        async with asyncio.timeout(PATIENCE):
            while not (items := (await client.get(f"{daemon.url}{RECEIVED}")).raise_for_status().json()["items"]):
                await asyncio.sleep(0.05)
        assert "Belastung CHF" in items[0]["payload"]
        traced = await client.get(f"{daemon.url}/api/v1/events/e1/trace", params={"device": "swiss"})
        assert '"delivered"' in traced.raise_for_status().text
        wrong = {**event, "id": "e2", "amount": "much"}
        (await client.post(f"{daemon.url}/in/bank", json=wrong)).raise_for_status()
        letters = (await client.get(f"{daemon.url}/api/v1/dead-letters")).raise_for_status().json()["items"]
        assert [(each["reason"], each["rule"]) for each in letters] == [("render", "debit")]
        sent = await client.post(
            f"{daemon.url}/api/v1/hubs/{HUB}/notifications",
            json={
                "device": "swiss",
                "content": "debit",
                "properties": {"amount": "1", "merchant": "m", "at": "2026-03-02"},
            },
        )
        assert sent.status_code < 300, sent.text
        refused = await client.post(
            f"{daemon.url}/api/v1/hubs/{HUB}/notifications",
            json={"device": "swiss", "content": "debit", "properties": {"amount": "1", "at": "2026-03-02"}},
        )
        assert (refused.status_code, "merchant is missing" in refused.text) == (400, True)
        async with asyncio.timeout(PATIENCE):
            while len(made["swiss"].received) < 2:
                await asyncio.sleep(0.05)
        assert made["swiss"].received[1].title == "Belastung CHF\u00a01.00"


async def test_what_was_accepted_keeps_its_wording_over_a_kill_and_another_configuration(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with PushServices(tmp_path) as services:
        config = configuration(services, port, schedule={"at": "{{ data.due }}"})
        async with (
            Daemon(tmp_path, config) as daemon,
            httpx.AsyncClient(timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
        ):
            daemon.url = f"http://127.0.0.1:{port}"
            await daemon.start()
            phone = services.add_phone("swiss", "fcmv1")
            await register(daemon, phone, locale="de-CH")
            event = {"id": "e1", "amount": 1, "merchant": "m", "at": "2026-03-02T11:00:00Z", "due": _in_seconds(4)}
            (await client.post(f"{daemon.url}/in/bank", json=event)).raise_for_status()
            await daemon.kill()
            text = daemon.config_file.read_text()
            daemon.config_file.write_text(text.replace("Belastung", "Abbuchung"))
            await daemon.start()
            (await client.post(f"{daemon.url}/in/bank", json={**event, "id": "e2", "due": ""})).raise_for_status()
            async with asyncio.timeout(PATIENCE):
                while len(phone.received) < 2:
                    await asyncio.sleep(0.05)
            assert sorted(each.title for each in phone.received) == [
                "Abbuchung CHF\u00a01.00",
                "Belastung CHF\u00a01.00",
            ]


def _in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
