"""`pushbridge doctor` compares this machine's clock with that of each host which it asks over HTTP anyway."""

import asyncio
import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import orjson
import pytest

from sandbox.tls import Authority
from tests.fakes.provider import Provider
from tests.integration.daemon import HUB

pytestmark = [pytest.mark.processes, pytest.mark.slow]

Configure = Callable[[str, Path], dict[str, Any]]


class Host(BaseHTTPRequestHandler):
    """Gives access tokens and schemas, and keys of `provider`; says that it is `ahead` seconds later, or nothing of it."""

    ahead: float | None
    provider: Provider

    def do_GET(self) -> None:
        document: object = ["AVRO"] if self.path == "/schemas/types" else self.provider.key_set()
        self._answer(
            {"issuer": self.provider.issuer, "jwks_uri": f"{self.provider.issuer}/keys"}
            if self.path.endswith("openid-configuration")
            else document
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer({"access_token": "token", "expires_in": 3600})

    def _answer(self, document: object) -> None:
        body = orjson.dumps(document)
        self.send_response_only(200)
        if self.ahead is not None:
            self.send_header("Date", formatdate(time() + self.ahead, usegmt=True))
        self.send_header("Content-Length", f"{len(body)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def host(directory: Path, *, ahead: float | None, tls: bool) -> Iterator[str]:
    """Its address."""
    provider = Provider()
    handler = type("Handler", (Host,), {"ahead": ahead, "provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    provider.issuer = url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def oidc(url: str, directory: Path) -> dict[str, Any]:
    return {"issuer": url, "audience": "us", "tls": {"ca_file": str(directory / "ca.pem")}}


def push_service(url: str, directory: Path) -> dict[str, Any]:
    adm = {"client_id": "id", "client_secret": "s", "token_url": url, "tls": {"ca_file": str(directory / "ca.pem")}}
    return {"hubs": {HUB: {"platforms": {"adm": adm}}}}


def registry(url: str, directory: Path) -> dict[str, Any]:
    schemas = {"format": "json", "registry": {"url": url, "tls": {"ca_file": str(directory / "ca.pem")}}}
    return {"sources": {"web": {"http": {"path": "/in"}, "decode": schemas}}}


def senders(url: str, directory: Path) -> dict[str, Any]:
    return {"sources": {"web": {"http": {"path": "/in", "auth": {"oidc": oidc(url, directory)}}}}}


def administrators(url: str, directory: Path) -> dict[str, Any]:
    given = {**oidc(url, directory), "admin": ["admins"]}
    return {"listeners": {"admin": {"address": "127.0.0.1:0", "auth": {"oidc": given}}}}


def phones(url: str, directory: Path) -> dict[str, Any]:
    return {"hubs": {HUB: {"registration": {"auth": {"oidc": oidc(url, directory)}}}}}


ASKED: Mapping[str, tuple[Configure, bool]] = {
    "a push service's tokens": (push_service, True),
    "a schema registry": (registry, False),
    "who signs tokens of senders": (senders, True),
    "who signs tokens of administrators": (administrators, False),
    "who signs tokens of phones": (phones, True),
}
"""Who is asked, and whether over TLS."""


async def doctor(directory: Path, config: Mapping[str, Any]) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    path = directory / "bridge.yaml"
    whole = {"version": 1, "bridge": {"store": {"allow_ephemeral": True}}, "hubs": {HUB: {}}, **config}
    path.write_text(json.dumps(whole))
    command = [sys.executable, "-m", "bridge", "doctor", "--json", str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("asked", ASKED)
async def test_a_host_whose_clock_is_an_hour_off_is_named(tmp_path: Path, asked: str) -> None:
    Authority(tmp_path)
    configure, tls = ASKED[asked]
    with host(tmp_path, ahead=3600, tls=tls) as url:
        code, found = await doctor(tmp_path, configure(url, tmp_path))
    (finding,) = found["clock"]
    assert (code, finding["health"]) == (4, "failed")
    said = re.fullmatch(r"this machine's clock is (\d+) s behind the clock of 127\.0\.0\.1", finding["text"])
    assert said is not None, finding
    assert 3500 < int(said[1]) < 3610
    assert "NTP" in finding["cure"]
    problems = {each["text"] for name in found.keys() - {"clock", "store"} for each in found[name] if each["cure"]}
    assert problems == set(), "nothing else is wrong"


@pytest.mark.parametrize("ahead, said", [(None, []), (0, ["within 30 s of the clock of 127.0.0.1"])])
async def test_a_host_that_says_no_time_is_no_mistake_and_one_that_agrees_is_told(
    tmp_path: Path, ahead: float | None, said: list[str]
) -> None:
    Authority(tmp_path)
    with host(tmp_path, ahead=ahead, tls=True) as url:
        code, found = await doctor(tmp_path, push_service(url, tmp_path))
    assert code == 0
    assert [each["text"].removeprefix("this machine's clock is ") for each in found["clock"]] == said
    assert [each["text"] for each in found["push_services"]] == ["an access token was given"]


async def test_a_provider_that_is_away_is_named_with_a_cure(tmp_path: Path) -> None:
    Authority(tmp_path)
    code, found = await doctor(tmp_path, phones("https://127.0.0.1:1", tmp_path))
    (finding,) = found["providers"]
    assert (code, finding["name"], finding["health"]) == (4, "https://127.0.0.1:1", "failed")
    assert finding["cure"]
    assert found["clock"] == []
