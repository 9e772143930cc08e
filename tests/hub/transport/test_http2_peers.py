"""The HTTP/2 client against servers that others wrote: nginx, Node's `http2` and Go's `net/http`.

Each allows seven streams or so and leaves its connections by a GOAWAY after a while, so the client changes connections
under load, and nothing may be lost or sent twice. The server of `h2` is the sandbox's: `test_against_sandbox.py`.
"""

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hub.egress import Egress
from hub.tls import Tls
from hub.transport.client import Transport
from sandbox.tls import Authority
from tests.fakes.requests import Request, post_each
from tests.ports import free_ports

pytestmark = pytest.mark.processes

_SOURCES = Path(__file__).parent / "peers"
_GO = Path(sys.prefix) / "bin" / "http2-peer"
"""Built by `make test`."""
_PUSHES = 600
_PATIENCE = 120

_NGINX = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    log_format taken '$request_uri $request_length';
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 40;
    http2_max_concurrent_streams 7;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    access_log {directory}/taken.log taken;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        location / {{ return 200; }}
        location ~ 7$ {{ return 410 '{{"reason":"Unregistered"}}'; }}
    }}
}}
"""


@asynccontextmanager
async def running(program: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def until_connectable(port: int) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


async def printed_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    async with asyncio.timeout(_PATIENCE):
        return int(await process.stdout.readline())


def pushes(port: int) -> list[Request]:
    """Small ones, and some that are larger than a frame and than the windows of a stream and of the connection."""
    headers = [b"authorization: bearer abc", b"content-type: application/json", b"apns-topic: com.example"]
    origin = f"https://127.0.0.1:{port}"
    return [
        Request(f"{origin}/3/device/{number}", headers, b"x" * (90_000 if number % 50 == 3 else 100 + number))
        for number in range(_PUSHES)
    ]


async def post_all(authority: Authority, port: int) -> Transport:
    """Post them, and see that each has its own answer; the transport, open."""
    transport = Transport(Egress(tls=Tls(ca_file=authority.ca_file)), connections=2)
    answers = await post_each(transport, pushes(port), deadline=_PATIENCE)
    for number, answer in enumerate(answers):
        is_gone = str(number).endswith("7")
        expected = (410, b'{"reason":"Unregistered"}') if is_gone else (200, b"")
        assert (answer.status, answer.body) == expected, (number, answer.failure)
    return transport


@pytest.mark.parametrize("name", ["node", "go"])
async def test_a_server_that_others_wrote_gets_each_push_once_though_it_leaves_its_connections(
    tmp_path: Path, name: str
) -> None:
    authority = Authority(tmp_path)
    certificate = str(tmp_path / "server.pem")
    program = ["node", str(_SOURCES / "server.mjs"), certificate] if name == "node" else [str(_GO), certificate]
    async with running(program) as server:
        port = await printed_port(server)
        transport = await post_all(authority, port)
        asked = [Request(f"https://127.0.0.1:{port}/taken", [], b"")]
        (taken,) = await post_each(transport, asked, deadline=_PATIENCE)
        await transport.close()
    assert Counter(json.loads(taken.body)) == Counter(
        f"{urlsplit(each.url).path} {len(each.body)}" for each in pushes(port)
    )


async def test_nginx_gets_each_push_once_though_it_leaves_its_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert nginx is not None, "make test installs nginx"
    (port,) = free_ports(1)
    file = tmp_path / "nginx.conf"
    file.write_text(_NGINX.format(directory=tmp_path, certificate=tmp_path / "server.pem", port=port))
    async with running([nginx, "-c", str(file), "-p", str(tmp_path)]):
        await until_connectable(port)
        await (await post_all(authority, port)).close()
        log = tmp_path / "taken.log"
        async with asyncio.timeout(_PATIENCE):
            while log.read_text().count("\n") < _PUSHES:
                await asyncio.sleep(0.01)
    taken = Counter(line.partition(" ")[0] for line in log.read_text().splitlines())
    assert taken == Counter(urlsplit(each.url).path for each in pushes(port))
