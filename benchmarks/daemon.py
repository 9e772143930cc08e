"""The measured process: `pushbridge run` on a core of its own, with a configuration made for the figure."""

import base64
import hashlib
import hmac
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote_plus

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.pinning import cpu_seconds, on_the_measured_core, resident_mib
from tests.ports import free_ports

HUB = "bench"
_KEY_NAME, _KEY = "full", secrets.token_urlsafe(32)
_READY_TIMEOUT = 30.0


KEPT = httpx.Limits(keepalive_expiry=1.0)
"""A connection is idle for less time than the daemon leaves one: else a request may meet its end."""


@dataclass(slots=True, kw_only=True)
class Daemon:
    """A running daemon and what can be asked of it from outside."""

    pid: int
    admin: str
    api: str
    key: str
    started_in: float
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30.0, limits=KEPT))

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    @property
    def resident_mib(self) -> float:
        return resident_mib(self.pid)

    def reload(self) -> None:
        """Have it go by what its file says now."""
        self.client.post(f"{self.admin}/-/reload").raise_for_status()

    def broadcast(self, properties: Mapping[str, str], *, tags: str | None = None) -> str:
        """Send a template notification to everyone, or to those with tags; its id."""
        headers = {"ServiceBusNotification-Format": "template", "Authorization": self.token()}
        if tags is not None:
            headers["ServiceBusNotification-Tags"] = tags
        answer = self.client.post(
            f"{self.api}/{HUB}/messages?api-version=2020-06",
            json=dict(properties),
            headers=headers,
        )
        answer.raise_for_status()
        return answer.headers["location"].partition("/messages/")[2].partition("?")[0]

    def details(self, notification_id: str) -> str:
        """What the wire API tells of the notification, as XML."""
        url = f"{self.api}/{HUB}/messages/{notification_id}?api-version=2020-06"
        return self.client.get(url, headers={"Authorization": self.token()}).raise_for_status().text

    def is_completed(self, notification_id: str) -> bool:
        return "<State>Completed</State>" in self.details(notification_id)

    def took(self, notification_id: str) -> float:
        """Seconds from the acceptance of a notification to its end."""
        accepted, ended = self.ran(notification_id)
        return ended - accepted

    def ran(self, notification_id: str) -> tuple[float, float]:
        """When a notification was accepted and when it ended, in seconds since 1970, by the daemon's own clock."""
        details = self.details(notification_id)
        ends = [details.partition(f"<{name}>")[2].partition("<")[0] for name in ("EnqueueTime", "EndTime")]
        accepted, ended = (datetime.fromisoformat(text).timestamp() for text in ends)
        return accepted, ended

    def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric's series whose text has all of `labels`."""
        text = self.client.get(f"{self.admin}/metrics").raise_for_status().text
        rows = [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]
        return sum(float(row.rpartition(" ")[2]) for row in rows if all(label in row for label in labels))

    def token(self) -> str:
        """A shared access signature for the whole namespace."""
        resource = quote_plus(f"{self.api}/".lower())
        expiry = int(time.time()) + 3600
        digest = hmac.digest(self.key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256)
        signature = quote_plus(base64.b64encode(digest))
        return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={_KEY_NAME}"


def apns_key() -> str:
    """A new signing key, as Apple hands it out."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


def configuration(
    directory: Path,
    *,
    apns_endpoint: str,
    ca_file: Path,
    sources: Mapping[str, object] | None = None,
    rules: Sequence[Mapping[str, object]] = (),
    port: int | None = None,
) -> Path:
    """Write a configuration with one hub, and its admin listener at `port` where that is said.

    Every log line of the default level is written, to a file.
    """
    admin_port, api_port = free_ports(2)
    config = {
        "bridge": {
            "http": {"listen": f"127.0.0.1:{port or admin_port}"},
            "store": {"url": f"sqlite:///{directory}/bench.db", "max_pending": 200_000},
        },
        "sources": dict(sources or {}),
        "rules": [dict(rule) for rule in rules],
        "hub_api": {"listen": f"127.0.0.1:{api_port}"},
        "hubs": {
            HUB: {
                "access_policies": [{"name": _KEY_NAME, "rights": ["Manage", "Send", "Listen"], "key": _KEY}],
                "platforms": {
                    "apns": {
                        "key": apns_key(),
                        "key_id": "ABC123DEFG",
                        "team_id": "DEF123GHIJ",
                        "topic": "com.example.bench",
                        "endpoint": apns_endpoint,
                        "ca_file": str(ca_file),
                    }
                },
            }
        },
    }
    path = directory / "bench.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


@contextmanager
def running(config: Path, *, tree: Path | None = None) -> Iterator[Daemon]:
    """Start it, wait until it is ready, end it in good order; with `tree` that of another tree, by its environment."""
    settings = yaml.safe_load(config.read_text())
    admin = f"http://{settings['bridge']['http']['listen']}"
    started = time.perf_counter()
    with (config.parent / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable if tree is None else str(tree / ".venv/bin/python"), "-m", "bridge", "run", str(config)],
            cwd=tree,
            stdout=log,
            stderr=log,
            preexec_fn=on_the_measured_core,
        )
        try:
            _await_ready(process, admin, started + _READY_TIMEOUT)
            yield Daemon(
                pid=process.pid,
                admin=admin,
                api=f"http://{settings['hub_api']['listen']}",
                key=settings["hubs"][HUB]["access_policies"][0]["key"],
                started_in=time.perf_counter() - started,
            )
        finally:
            process.terminate()
            process.wait(30)


def _await_ready(process: subprocess.Popen[bytes], admin: str, deadline: float) -> None:
    while True:
        try:
            status = httpx.get(f"{admin}/readyz/sources", timeout=1).status_code
            if status in (200, 404):  # 0.1.0 has no such part where there is no source
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.perf_counter() > deadline:
            raise SystemExit("the daemon did not become ready; see daemon.log")
        time.sleep(0.01)
