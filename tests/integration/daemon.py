"""The daemon as its users run it: a process of its own, ended by signals, known by its ports, files and exit code."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from sandbox.sas import shared_access_signature
from sandbox.services import PushServices
from tests.integration.preloaded import ForkedProcess, Preloaded
from tests.ports import free_ports

START_TIMEOUT = 60.0
"""Seconds until a daemon is ready, or answers; it takes less than one on an idle machine."""

HUB = "app"
KEY_NAME, KEY = "Full", "only-for-these-tests"


class Daemon:
    """`python -m MODULE run` on `config`: `async with Daemon(directory, config) as daemon`, which kills what still runs.

    Everything is in `directory`: configuration, database, standard output (the log) and standard error, the last two
    over all starts. Listeners that `config` leaves out get ports that were free just now, the same over restarts. One
    that is `preloaded` imports its modules once for all its starts. With a `tree` the program is the one in that directory,
    from its next start on. The command `under` runs the program whose command line it gets, in its own place, from the next
    start on; `beside` does so for the commands of whoever works on the daemon's machine.
    """

    tree: Path | None = None
    under: Sequence[str] = ()
    beside: Sequence[str] = ()

    def __init__(
        self, directory: Path, config: Mapping[str, Any], *, module: str = "bridge", preloaded: bool = False
    ) -> None:
        self._module = module
        self._is_preloaded = preloaded
        self._preloaded: Preloaded | None = None
        admin, hub_api = free_ports(2)
        self.url, self.hub_url = f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{hub_api}"
        self.config_file = directory / "pushbridge.yaml"
        self.database_file = directory / "pushbridge.db"
        self.output_file, self.error_file = directory / "stdout", directory / "stderr"
        bridge = {**config.get("bridge", {})}
        bridge["http"] = {"listen": f"127.0.0.1:{admin}", **bridge.get("http", {})}
        token = bridge["http"].get("admin_token")
        self._admin_headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Where tests run may be a machine's memory; in the spelling that older versions know too.
        bridge["store"] = {"allow_memory": True, **bridge.get("store", {})}
        api = {"listen": f"127.0.0.1:{hub_api}", **config.get("hub_api", {})}
        whole = {**config, "hub_api": api, "bridge": bridge}
        self.config_file.write_text(json.dumps(whole, indent=2))  # JSON is YAML
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        if self._preloaded is not None:
            await self._preloaded.close()

    async def start(self) -> None:
        """Start, and return when it is ready."""
        await self.launch()
        await self.until_ready()

    async def launch(self) -> None:
        """Start, and return when there is a process."""
        if self._is_preloaded and self.tree is None:
            self._preloaded = self._preloaded or await Preloaded.start()
            arguments = ["run", str(self.config_file)]
            self._process = await self._preloaded.process(arguments, self.output_file, self.error_file)
            return
        with self.output_file.open("ab") as output, self.error_file.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(*self.under, sys.executable, "-m", self._module, "run", str(self.config_file)),
                stdout=output,
                stderr=errors,
                cwd=self.tree,
            )

    async def until_ready(self) -> None:
        """Return when `/readyz` says so, and each source takes messages."""
        await self.until_readiness(lambda status, lines: status == httpx.codes.OK and all(map(_flows, lines)))

    async def until_readiness(self, holds: Callable[[int, Sequence[str]], bool]) -> Sequence[str]:
        """The lines of `/readyz`, as soon as `holds` is true of its status and lines."""
        found: Sequence[str] = ()
        async with httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client:
            try:
                async with asyncio.timeout(START_TIMEOUT):
                    while True:
                        assert self._running.returncode is None, f"the daemon ended: {self.errors()}"
                        try:
                            answer = await client.get(f"{self.url}/readyz")
                        except httpx.TransportError:
                            pass
                        else:
                            found = answer.text.splitlines()
                            if holds(answer.status_code, found):
                                return found
                        await asyncio.sleep(0.02)
            except TimeoutError:
                raise AssertionError(f"not so within {START_TIMEOUT} s; {found}; {self.errors()}") from None

    def pause(self) -> None:
        """Let it not do one step more, so that whatever is sent to it now is never read."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._running.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it with SIGKILL, also while it is paused."""
        self._running.send_signal(signal.SIGKILL)
        await self._running.wait()

    async def terminate(self) -> int:
        """End it with SIGTERM; its exit code."""
        self._running.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def exit_code(self) -> int:
        """The exit code, once it has ended."""
        return await self._running.wait()

    def errors(self) -> str:
        """What it wrote to standard error."""
        return self.error_file.read_text()

    def log(self) -> list[dict[str, Any]]:
        """The lines it logged; one that a kill cut off is left out, with the first line of the process after it."""
        logged = []
        for line in self.output_file.read_bytes().splitlines():
            with suppress(orjson.JSONDecodeError):
                logged.append(orjson.loads(line))
        return logged

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The store as it is, read only: what a dead process left is not tidied up by looking at it."""
        with closing(sqlite3.connect(f"file:{self.database_file}?mode=ro", uri=True)) as connection:
            yield connection

    async def metrics(self) -> dict[str, float]:
        """A scrape: `name{label="value",...}`, as it is written, to its value."""
        async with httpx.AsyncClient(headers=self._admin_headers, verify=False, timeout=START_TIMEOUT) as client:
            text = (await client.get(f"{self.url}/metrics")).raise_for_status().text
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def register(self, *installations: Mapping[str, Any], hub: str = HUB, key: str = KEY) -> None:
        """Put installations into a hub, over its API."""
        async with httpx.AsyncClient(verify=False, timeout=START_TIMEOUT) as client:
            for installation in installations:
                url = f"{self.hub_url}/{hub}/installations/{installation['installationId']}"
                answer = await client.put(
                    url,
                    params={"api-version": "2020-06"},
                    json=installation,
                    headers={"Authorization": authorization(url, key=key)},
                )
                answer.raise_for_status()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process | ForkedProcess:
        assert self._process is not None, "not started"
        return self._process


def _flows(line: str) -> bool:
    """Whether a line of `/readyz` is about anything but a source that takes no messages."""
    return not line.startswith("source ") or line.split(": ")[1] in ("running", "paused", "limited")


async def register_phone(daemon: Daemon, services: PushServices) -> None:
    """One APNs phone with the tag `team:all`, which shows the property `text`."""
    phone = services.add_phone("phone", "apns")
    await daemon.register(
        {
            "installationId": phone.name,
            "platform": phone.platform,
            "pushChannel": phone.handle,
            "tags": ["team:all"],
            "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
        }
    )


def authorization(url: str, *, key: str = KEY) -> str:
    """The Authorization header for a request to the hub API."""
    expires_at = datetime.now(UTC) + timedelta(minutes=30)
    return shared_access_signature(url, key_name=KEY_NAME, key=key, expires_at=expires_at)


def hubs(services: PushServices) -> dict[str, Any]:
    """The configuration's `hubs`: one, with credentials for all stand-ins."""
    apns, fcm, wns = services.apns_credential, services.fcm_credential, services.wns_credential
    webpush = services.webpush_credential
    ca_file = str(services.ca_file)
    platforms = {
        "apns": {
            "key": f"${{file:{apns.key_file}}}",
            "key_id": apns.key_id,
            "team_id": apns.team_id,
            "topic": apns.topic,
            "endpoint": apns.endpoint,
            "tls": {"ca_file": ca_file},
        },
        "fcm": {
            "service_account": f"${{file:{fcm.service_account_file}}}",
            "endpoint": fcm.endpoint,
            "tls": {"ca_file": ca_file},
        },
        "wns": {
            "tenant": wns.tenant,
            "client_id": wns.client_id,
            "client_secret": wns.client_secret,
            "token_url": wns.token_url,
            "allowed_hosts": [wns.allowed_host],
            "tls": {"ca_file": ca_file},
        },
        "webpush": {
            "key": f"${{file:{webpush.key_file}}}",
            "subject": webpush.subject,
            "private_networks": [webpush.network],
            "navigate": "https://bank.example/inbox",
            "tls": {"ca_file": ca_file},
        },
    }
    policy = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
    return {HUB: {"access_policies": [policy], "platforms": platforms}}
