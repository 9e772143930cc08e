"""A push service that costs next to nothing: nginx over HTTP/2 and TLS, answering 200 to every push."""

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.tls import Authority
from tests.ports import free_ports

_CONFIG = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
worker_rlimit_nofile 65536;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_format arrivals '$msec $request_uri';
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    keepalive_time 24h;
    http2_max_concurrent_streams 1000;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        location / {{ return 200; }}
    }}
    server {{
        listen 127.0.0.1:{logged_port} ssl http2;
        access_log {directory}/arrivals.log arrivals buffer=64k flush=1s;
        location / {{ return 200; }}
    }}
    server {{
        listen 127.0.0.1:{echoing_port} ssl http2;
        location / {{ add_header apns-id $http_apns_id; return 200; }}
    }}
    server {{
        listen 127.0.0.1:{status_port};
        location / {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastPushService:
    """Requests to `logged_url` leave a line in `arrivals` (seconds since 1970, path); those to `url` leave nothing.

    `PushCounter` asks `status_port`. Answers of `echoing_url` have the push's `apns-id`, as Apple's have: a client may know
    an answer by it.
    """

    url: str
    logged_url: str
    ca_file: Path
    arrivals: Path
    echoing_url: str
    status_port: int


class PushCounter:
    """Counts pushes from now on without asking who sends them: a scrape is work for the measured process."""

    def __init__(self, service: FastPushService) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.status_port)
        self._others = 0
        self._others = self.pushes + 1  # what came before, and this question

    @property
    def pushes(self) -> int:
        """How many have arrived; each question is a request too, and is left out."""
        self._connection.request("GET", "/")
        answer = self._connection.getresponse().read()
        self._others += 1
        return int(answer.splitlines()[2].split()[2]) - self._others


@contextmanager
def fast_push_service(directory: Path) -> Iterator[FastPushService]:
    """Run it on free ports of loopback, on the cores of the caller."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        raise SystemExit("nginx is missing: run `make bench`, or deploy/servers.sh nginx h2load")
    directory.mkdir()
    authority = Authority(directory)
    names = ("port", "logged_port", "echoing_port", "status_port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    config = directory / "nginx.conf"
    config.write_text(_CONFIG.format(directory=directory, **ports))
    process = subprocess.Popen([nginx, "-c", str(config), "-p", str(directory)], stderr=subprocess.DEVNULL)
    try:
        _await_port(ports["port"])
        yield FastPushService(
            url=f"https://127.0.0.1:{ports['port']}",
            logged_url=f"https://127.0.0.1:{ports['logged_port']}",
            ca_file=authority.ca_file,
            arrivals=directory / "arrivals.log",
            echoing_url=f"https://127.0.0.1:{ports['echoing_port']}",
            status_port=ports["status_port"],
        )
    finally:
        process.terminate()
        process.wait(10)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
