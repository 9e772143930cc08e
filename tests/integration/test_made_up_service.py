"""A push service is one folder and one line: `tests/pigeon/` is one, and no other file of the house knows of it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson

from hub.platforms.table import services
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon, authorization

POLICY = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
PHONE: dict[str, Any] = {
    "installationId": "phone",
    "platform": "CarrierPigeon",
    "pushChannel": "LOFT:Anna",
    "tags": ["anna"],
    "templates": {
        "t": {"body": '{"note": "$(title)"}', "headers": {"pigeon-speed": "fast"}, "expiry": "2100-01-01T00:00:00Z"}
    },
}


def config(directory: Path, **pigeon: Any) -> dict[str, Any]:
    settings = {"ring": "secret", "loft": str(directory / "loft"), **pigeon}
    return {
        "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
        "hubs": {HUB: {"access_policies": [POLICY], "platforms": {"pigeon": settings}}},
        "rules": [
            {
                "name": "order",
                "push": {
                    "to": "anna",
                    "with": {"title": "Order {{ data.id }}"},
                    "native": {"pigeon": {"payload": {"raw": "{{ data.id }}"}, "headers": {"pigeon-speed": "slow"}}},
                },
                "platforms": "pigeon",
            }
        ],
    }


async def test_its_phones_are_registered_and_reached_and_it_is_measured(tmp_path: Path) -> None:
    async with Daemon(tmp_path, config(tmp_path), module="tests.pigeon") as daemon:
        await daemon.start()
        await daemon.register(PHONE)
        async with httpx.AsyncClient(verify=False, timeout=60) as client:
            url = f"{daemon.hub_url}/{HUB}/installations/phone"
            read = await client.get(
                url, params={"api-version": "2020-06"}, headers={"Authorization": authorization(url)}
            )
            assert (read.json()["platform"], read.json()["pushChannel"]) == ("carrierpigeon", "loft:anna")
            refused = await client.put(
                url,
                params={"api-version": "2020-06"},
                json=PHONE | {"pushChannel": "tower"},
                headers={"Authorization": authorization(url)},
            )
            assert (refused.status_code, "a pigeon flies to loft:NAME" in refused.text) == (400, True)
            (await client.post(f"{daemon.url}/in/orders", json={"id": 7})).raise_for_status()
            url = f"{daemon.hub_url}/{HUB}/messages"
            sent = await client.post(
                url,
                params={"api-version": "2020-06"},
                json={"wire": 1},
                headers={
                    "Authorization": authorization(url),
                    "ServiceBusNotification-Format": "pigeon",
                    "ServiceBusNotification-Tags": "anna",
                },
            )
            assert sent.status_code == 201
            found = await _landed(tmp_path / "loft", 3)
            assert ({"note": "Order 7"}, "4102444800") in found
            assert ({"raw": 7}, None) in found
            assert ({"wire": 1}, None) in found
            part = await client.get(f"{daemon.url}/readyz/push-services/{HUB}/pigeon")
            assert f"{HUB}/carrierpigeon" in part.text
            titles = await client.get(f"{daemon.url}/platforms.js")
            assert '"carrierpigeon":"Pigeon post"' in titles.text.replace('": "', '":"')
        measured = await daemon.metrics()
        name = "pushbridge_pns_deliveries_total"
        assert measured[f'{name}{{hub="{HUB}",outcome="success",platform="carrierpigeon"}}'] == 3
        assert measured[f'pushbridge_devices{{hub="{HUB}",platform="carrierpigeon"}}'] >= 1


async def _landed(loft: Path, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        while not loft.exists() or len(loft.read_bytes().splitlines()) < count:
            await asyncio.sleep(0.02)
    lines = [orjson.loads(line) for line in loft.read_bytes().splitlines()]
    assert {line["to"] for line in lines} == {"loft:anna"}
    return [(line["says"], line["until"]) for line in lines]


def test_check_knows_its_keys_and_names_its_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "pushbridge.yaml"
    file.write_bytes(orjson.dumps(config(tmp_path)))
    clean = _check(file)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    file.write_bytes(orjson.dumps(config(tmp_path, rng="x", ring="")))
    mistaken = _check(file)
    said = mistaken.stdout + mistaken.stderr
    assert mistaken.returncode != 0
    assert f"hubs.{HUB}.platforms.pigeon.rng: unknown key" in said
    assert f"hubs.{HUB}.platforms.pigeon.ring: is empty" in said


def test_check_names_what_the_service_refuses(tmp_path: Path) -> None:
    mistaken = config(tmp_path)
    mistaken["rules"][0]["push"]["native"]["pigeon"] = {
        "payload": {"cargo": "brick"},
        "headers": {"Pigeon-Hurry": "now"},
    }
    file = tmp_path / "pushbridge.yaml"
    file.write_bytes(orjson.dumps(mistaken))
    found = _check(file)
    said = found.stdout + found.stderr
    assert found.returncode != 0
    native = "rules[0].push.native.pigeon"
    assert f"{native}.payload.cargo: a pigeon carries no brick (write a letter)" in said
    assert f"{native}.headers.Pigeon-Hurry: warning: no pigeon hurries (write pigeon-speed: fast)" in said


def test_the_schema_and_the_reference_have_its_keys() -> None:
    schema = orjson.loads(_run("schema").stdout)
    assert "Credentials for Pigeon post;" in str(schema)
    assert "The ring that the pigeons of this hub wear." in str(schema)
    names = [each.name for each in services()]
    assert f"'enum': {[*names, 'pigeon']}" in str(schema)
    assert "hubs.NAME.platforms.pigeon" in _run("schema", "--reference").stdout


def _check(file: Path) -> subprocess.CompletedProcess[str]:
    return _run("check", str(file))


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pigeon", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
