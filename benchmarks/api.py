"""The hub API under writes of phones, through all of it: PUT and PATCH of installations, PUT of registrations,
reports on pushes.

Rates are per second of CPU of the daemon. The phones are those of `benchmarks/registry.py`, whose single writes are the
same without HTTP and are measured beside them.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from benchmarks import daemon, registry
from benchmarks.daemon import HUB, Daemon
from hub.installation import Installation
from hub.registry.documents import document_of

CONNECTIONS = 16
"""Kept alive, with one request at a time each: phones and backends behind a proxy."""

_ROUNDS = 3
_VERSION = "api-version=2020-06"


def measure(directory: Path, *, ca_file: Path, writes: int, cores: Set[int]) -> Mapping[str, float]:
    """By turns: each round has all operations, and single writes without HTTP; the figures are the means of the rounds."""
    config = daemon.configuration(directory, apns_endpoint="https://127.0.0.1:1", ca_file=ca_file)
    rounds = []
    with daemon.running(config) as running:
        for number in range(_ROUNDS):
            here = asyncio.run(_round(running, list(registry.phones(number * writes, writes))))
            apart = [sys.executable, "-m", "benchmarks.api", str(writes)]
            rounds.append({**here, **registry.run_apart(apart, directory, cores)})
    return {name: sum(each[name] for each in rounds) / _ROUNDS for name in rounds[0]}


async def puts(running: Daemon, phones: Sequence[Installation]) -> Mapping[str, float]:
    """A CPU-second: of installations that are new, and of the same when they are there."""
    requests = [_put(running, phone) for phone in phones]
    return {
        "installation PUT, new": await _rate(running, requests),
        "installation PUT, again": await _rate(running, requests),
    }


async def _round(running: Daemon, phones: Sequence[Installation]) -> Mapping[str, float]:
    return {
        **{f"{name}/CPU-s": rate for name, rate in (await puts(running, phones)).items()},
        "installation PATCH/CPU-s": await _rate(running, [_patch(running, phone) for phone in phones]),
        "registration PUT/CPU-s": await _rate(running, [_registration(running, phone) for phone in phones]),
        "report of a phone/CPU-s": await _reports(running, phones),
    }


async def _reports(running: Daemon, phones: Sequence[Installation]) -> float:
    """Requests of phones that each say that they got a send to all, and that its user opened it."""
    before = running.metric("pushbridge_push_reports_total", 'outcome="accepted"')
    sent = running.broadcast({"title": "x", "text": "x"})
    while "<State>Enqueued</State>" in running.details(sent):
        await asyncio.sleep(0.05)
    rate = await _rate(running, [_report(running, phone, sent[:32]) for phone in phones])
    accepted = running.metric("pushbridge_push_reports_total", 'outcome="accepted"') - before
    if accepted != 2 * len(phones):
        raise SystemExit(f"{accepted:g} of {2 * len(phones)} reports were accepted")
    return rate


async def _rate(running: Daemon, requests: Sequence[bytes]) -> float:
    before = running.cpu_seconds
    waiting = iter(requests)
    await asyncio.gather(*(_send(running, waiting) for _ in range(CONNECTIONS)))
    return len(requests) / (running.cpu_seconds - before)


async def _send(running: Daemon, requests: Iterator[bytes]) -> None:
    """Requests on one connection, each after the answer to the one before."""
    address = urlsplit(running.api)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length))
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise SystemExit(f"{head!r} {body!r}")
    writer.close()


def _request(running: Daemon, method: str, path: str, body: bytes, content_type: str) -> bytes:
    head = (
        f"{method} /{HUB}/{path}?{_VERSION} HTTP/1.1\r\nHost: {urlsplit(running.api).netloc}\r\n"
        f"Authorization: {running.token()}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "User-Agent: bench\r\nAccept: */*\r\n\r\n"
    )
    return head.encode() + body


def _put(running: Daemon, phone: Installation) -> bytes:
    body = json.dumps(document_of(phone)).encode()
    return _request(running, "PUT", f"installations/{phone.id}", body, "application/json")


def _patch(running: Daemon, phone: Installation) -> bytes:
    body = json.dumps([{"op": "add", "path": "/tags", "value": "patched"}]).encode()
    return _request(running, "PATCH", f"installations/{phone.id}", body, "application/json")


def _report(running: Daemon, phone: Installation, notification_id: str) -> bytes:
    reports = [{"push": notification_id, "event": event} for event in ("received", "opened")]
    body = json.dumps({"installationId": phone.id, "reports": reports}).encode()
    return _request(running, "POST", "reports", body, "application/json")


def _registration(running: Daemon, phone: Installation) -> bytes:
    described, channel = _DESCRIPTIONS[phone.platform.value]
    body = (
        '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
        f'<{described} xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">'
        f"<Tags>{escape(','.join(phone.tags))}</Tags><{channel}>{escape(phone.push_channel)}</{channel}>"
        f"</{described}></content></entry>"
    )
    number = int(phone.id.rpartition("-")[2], 16) % 10**15
    path = f"registrations/{number}-{number}-1"
    return _request(running, "PUT", path, body.encode(), "application/atom+xml;type=entry;charset=utf-8")


_DESCRIPTIONS: Mapping[str, tuple[str, str]] = {
    "apns": ("AppleRegistrationDescription", "DeviceToken"),
    "fcmv1": ("FcmV1RegistrationDescription", "FcmV1RegistrationId"),
    "wns": ("WindowsRegistrationDescription", "ChannelUri"),
}


async def _without_http(writes: int, directory: Path) -> registry.Figures:
    store = await registry.open_store(directory / "hub.db")
    figures = await registry.single_writes(store, 0, writes)
    await store.close()
    return {f"without HTTP: {name}": value for name, value in figures.items()}


if __name__ == "__main__":
    registry.run(_without_http)
