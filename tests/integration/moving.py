"""Two daemons, one with registrations that move to the other: `python -m tests.integration.moving --registrations=100000`.

The first plays an Azure Notification Hub: it is known by its wire API over TLS alone.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.delivery.remote_api import RemoteApi
from hub.delivery.remote_settings import RemoteSettings
from hub.installation import Installation, Registration
from hub.moving.found import found_in, read
from hub.moving.listing import Listing
from hub.notification import Platform
from hub.registry.documents import installation_from_document
from hub.store.sqlite.database import SqliteDatabase
from hub.store.store import SqlStore
from sandbox.tls import Authority
from tests.fakes.browsers import subscription
from tests.integration.central import Central
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon, authorization
from tests.ports import free_ports

TOKEN = "only-for-these-tests"
PAGE = Path(__file__).parents[2] / "docs" / "moving.md"
KINDS = ("apns", "fcmv1", "wns", "adm", "browser")
BODIES = {
    "apns": '{"aps":{"alert":"$(m)"}}',
    "fcmv1": '{"message":{"notification":{"title":"$(m)"}}}',
    "wns": "<toast><text>$(m)</text></toast>",
    "adm": '{"data":{"m":"$(m)"}}',
    "browser": '{"title":"$(m)"}',
}
POLICY = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
LISTEN = {"name": "Listen", "rights": ["Listen"], "key": KEY}
"""Which may not list."""


def document_of(number: int, rng: random.Random) -> dict[str, Any]:
    """A phone of one of five platforms."""
    platform = KINDS[number % len(KINDS)]
    document: dict[str, Any] = {
        "installationId": f"phone-{number}",
        "platform": platform,
        "pushChannel": channel_of(platform, f"{number}"),
        "tags": [f"team:{number % 7}", *(["vip"] if rng.random() < 0.1 else [])],
        "pushVariables": {"name": f"Phone {number}"},
        "templates": {
            name: {"body": BODIES[platform], "tags": [f"of:{name[0]}"]} for name in ("news", "a b")[: rng.randrange(3)]
        },
    }
    if rng.random() < 0.7:
        document["userId"] = f"user-{number % 1000}"
    if rng.random() < 0.3:
        document["expirationTime"] = "2099-01-31T10:00:00.0000000Z"
    if platform == "wns" and rng.random() < 0.3:
        document["secondaryTiles"] = {
            "city": {
                "pushChannel": channel_of("wns", f"{number}-tile"),
                "tags": ["weather"],
                "templates": {"news": {"body": BODIES["wns"]}},
            }
        }
    return document


def channel_of(platform: str, name: str) -> str:
    if platform == "apns":
        return name.encode().hex().upper()
    if platform == "browser":
        return subscription(f"https://push.example/{name}")
    return f"https://{platform}.example/{name}" if platform == "wns" else f"token-{name}"


def single_of(number: int) -> Registration:
    """A registration that a client made alone."""
    return Registration(
        registration_id=f"{number}-{number}-1",
        platform=Platform.APNS,
        push_channel=channel_of("apns", f"single-{number}"),
        tags=(f"team:{number % 7}", f"$UserId:{{user-{number % 1000}}}"),
    )


@dataclass
class Moving:
    """`old` is moved from, `new` to."""

    directory: Path
    old: Daemon
    new: Daemon
    remote: RemoteSettings
    client: httpx.AsyncClient
    told: list[str] = field(default_factory=list)

    @property
    def connection_string(self) -> str:
        authority = self.remote.endpoint.removeprefix("https://")
        return f"Endpoint=sb://{authority}/;SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"

    @property
    def source(self) -> str:
        """The old hub, as an import names it."""
        return f"{self.remote.endpoint}/{HUB}"

    async def put(self, document: Mapping[str, Any], *, hub: str = HUB, at: str = "") -> None:
        """At the old hub unless `at` says the URL of another."""
        url = f"{at or self.remote.endpoint}/{hub}/installations/{document['installationId']}"
        answer = await self.client.put(url, json=document, headers={"Authorization": authorization(url)})
        answer.raise_for_status()

    async def delete(self, id: str) -> None:
        url = f"{self.remote.endpoint}/{HUB}/installations/{id}"
        (await self.client.delete(url, headers={"Authorization": authorization(url)})).raise_for_status()

    async def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """`pushbridge import anh` with these; exit code, output, errors."""
        process = await self.process(*arguments, **environ)
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()

    async def process(self, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
        token = self.directory / "token"
        token.write_text(TOKEN)
        pipe = asyncio.subprocess.PIPE
        given = ["--ca-file", str(self.remote.egress.tls.ca_file)] if self.remote.egress.tls else []
        return await asyncio.create_subprocess_exec(
            *[
                sys.executable,
                "-m",
                "bridge",
                "import",
                "anh",
                *given,
                "--hub",
                HUB,
                "--url",
                self.new.url,
                "--token-file",
                str(token),
            ],
            *arguments,
            cwd=self.directory,
            env={**os.environ, "PUSHBRIDGE_IMPORT_CONNECTION_STRING": self.connection_string, **environ},
            stdout=pipe,
            stderr=pipe,
        )

    async def shell(self, script: str, directory: Path) -> tuple[int, str]:
        """Run commands of the page in a directory, until one fails; the exit code, and all that was printed."""
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OLD_HUB": HUB,
            "NEW_HUB": HUB,
            "CONFIG": str(self.new.config_file),
            "PUSHBRIDGE_IMPORT_CONNECTION_STRING": self.connection_string,
            "SSL_CERT_FILE": str(self.remote.egress.tls.ca_file) if self.remote.egress.tls else "",
        }
        pipe, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        process = await asyncio.create_subprocess_exec(
            "bash", "-eu", "-c", script, cwd=directory, env=environ, stdout=pipe, stderr=both
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def audited(self) -> list[str]:
        """What the new daemon's audit has of imports, newest first."""
        answer = await self.client.get(f"{self.new.url}/api/v1/audit", headers={"Authorization": f"Bearer {TOKEN}"})
        rows = answer.raise_for_status().json()["items"]
        return [row["detail"] for row in rows if (row["action"], row["target"]) == ("devices.import", HUB)]

    async def imported(self) -> dict[str, float]:
        """The new daemon's metrics of imports, without what is zero."""
        answer = await self.client.get(f"{self.new.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        lines = [line for line in answer.raise_for_status().text.splitlines() if line.startswith("pushbridge_import_")]
        found = {name.removeprefix("pushbridge_import_"): float(value) for name, _, value in map(_parted, lines)}
        return {name: value for name, value in found.items() if value}

    async def listed(self, daemon: Daemon) -> list[Registration]:
        """All registrations of a hub, as its API lists them."""
        return await registrations_at(self.remote if daemon is self.old else daemon)


async def registrations_at(hub: Daemon | RemoteSettings) -> list[Registration]:
    """All registrations of a hub, as its API lists them."""
    if isinstance(hub, Daemon):
        hub = RemoteSettings(endpoint=hub.hub_url, hub=HUB, key_name=KEY_NAME, key=KEY)
    api = RemoteApi(hub, patience=60.0)
    try:
        return [read(found_in(each)) async for page in Listing(api).pages() for each in page.descriptions]
    finally:
        await api.close()


def _parted(line: str) -> tuple[str, str, str]:
    return line.rpartition(" ")


def scripts(heading: str) -> list[str]:
    """The commands under a heading of docs/moving.md, block by block."""
    _, found, below = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, f"{PAGE.name} has no heading {heading!r}"
    return [part.partition("```")[0] for part in below.partition("\n## ")[0].split("```bash\n")[1:]]


def counted(registrations: Sequence[Registration]) -> Counter[tuple[object, ...]]:
    """By platform, and by platform and tag; the tags of a derived one are without its installation's."""
    counts: Counter[tuple[object, ...]] = Counter()
    for each in registrations:
        kind = "native" if each.template is None else "template"
        counts[each.platform.value, kind] += 1
        counts[each.platform.value, each.push_channel, each.template_name, each.installation_id] += 1
        counts.update((each.platform.value, kind, tag) for tag in each.tags)
    return counts


async def fill(file: Path, documents: Sequence[Mapping[str, Any]], singles: Sequence[Registration]) -> None:
    """Write a store that no daemon has open."""
    store = SqlStore(SqliteDatabase(file, allow_ephemeral=True))
    await store.open()
    installations: list[Installation] = [
        installation_from_document(document["installationId"], document) for document in documents
    ]
    for start in range(0, len(installations), 1000):
        await store.import_installations(HUB, installations[start : start + 1000])
    for start in range(0, len(singles), 500):
        await asyncio.gather(*(store.put_registration(HUB, each) for each in singles[start : start + 500]))
    await store.close()


@asynccontextmanager
async def moving(
    directory: Path, documents: Sequence[Mapping[str, Any]], singles: Sequence[Registration] = ()
) -> AsyncIterator[Moving]:
    """Both daemons, the old one with these registrations."""
    (admin,) = free_ports(1)
    hub = {HUB: {"access_policies": [POLICY, LISTEN]}}
    old = Central(directory / "old", hub, ca_file=Authority(directory).ca_file)
    (directory / "new").mkdir()
    new = {"bridge": {"http": {"listen": f"127.0.0.1:{admin}", "admin_token": TOKEN}}, "hubs": hub}
    async with (
        old,
        Daemon(directory / "new", new) as new_daemon,
        httpx.AsyncClient(verify=False, timeout=60.0) as client,
    ):
        new_daemon.url = f"http://127.0.0.1:{admin}"
        await fill(old.daemon.database_file, documents, singles)
        await asyncio.gather(old.daemon.start(), new_daemon.start())
        yield Moving(directory, old.daemon, new_daemon, old.settings, client)


async def move(registrations: int, kills: int, seed: int) -> str:
    """What was seen. Raises: AssertionError: something was lost."""
    rng = random.Random(seed)
    documents: list[dict[str, Any]] = []
    singles: list[Registration] = []
    count = 0
    while count < registrations:
        if rng.random() < 0.2:
            singles.append(single_of(len(singles)))
            count += 1
        else:
            document = document_of(len(documents), rng)
            documents.append(document)
            tiles = document.get("secondaryTiles", {})
            count += 1 + len(document["templates"]) + sum(1 + len(tile["templates"]) for tile in tiles.values())
    with tempfile.TemporaryDirectory() as folder:
        async with moving(Path(folder), documents, singles) as world:
            began = time.monotonic()
            for _ in range(kills):
                process = await world.process()
                await asyncio.sleep(rng.uniform(2.0, 60.0))
                if process.returncode is None:
                    process.kill()
                await process.communicate()
            code, output, errors = await world.run("--json")
            assert code == 0, output + errors
            seconds = time.monotonic() - began
            before, after = counted(await world.listed(world.old)), counted(await world.listed(world.new))
            assert before == after, (before - after, after - before)
            answers = json.loads(output)["answers"]
            return (
                f"seed {seed}: {count} registrations ({len(documents)} installations, {len(singles)} single) with {kills}"
                f" kills in {seconds:.0f} s, {answers}; {len(before)} counts equal"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registrations", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    print(f"--seed={chosen.seed}", flush=True)
    print(asyncio.run(move(chosen.registrations, chosen.kills, chosen.seed)))


if __name__ == "__main__":
    main()
