"""A real RabbitMQ with faults on request, in two forms: Debian's package as a private process, or a container.

Faults block until they have happened; from a test that runs on an event loop call them through `asyncio.to_thread`.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.tls import Authority
from tests.ports import free_ports

START_TIMEOUT = 60.0  # seconds; 5 to 7 on an idle machine
PACKAGED_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""The scripts themselves: the commands that Debian wraps around them change user and directory."""


class BrokerError(Exception):
    """The server is missing, did not start, or did not do as told; the message says what to do or shows its log."""


@dataclass(kw_only=True)
class RabbitMq(ABC):
    """A running RabbitMQ; everything in it is durable over `stop`, `kill` and `start`, the port included.

    Surprise: a quorum queue declared in the seconds before `kill` does not come back on a single node. Declare it
    long before, use `stop`, or cut the connections only.
    """

    port: int
    tls_port: int | None = None
    """The same over TLS; None in a container."""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @abstractmethod
    def start(self) -> None:
        """Start again after `stop` or `kill` and return when clients can connect. Raises: BrokerError."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order, as an operator would (SIGTERM)."""

    @abstractmethod
    def kill(self) -> None:
        """End at once (SIGKILL)."""

    @abstractmethod
    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` with these arguments and return what it prints. Raises: BrokerError."""

    def close_connections(self) -> None:
        """Have the broker close every client connection; queues and messages stay."""
        self.control("close_all_connections", "closed by a test")

    def raise_memory_alarm(self) -> None:
        """Block every connection that publishes, until `clear_memory_alarm`."""
        self.control("set_vm_memory_high_watermark", "absolute", "1MB")

    def clear_memory_alarm(self) -> None:
        self.control("set_vm_memory_high_watermark", "absolute", "512MB")

    def limit_acknowledgements(self, seconds: float | None) -> None:
        """How long a consumer may leave a message unacknowledged; None: half an hour, as is its default.

        It holds for channels that are opened from now on, which look each second.
        """
        timeout, tick = (1_800_000, 60_000) if seconds is None else (round(seconds * 1000), 1000)
        for name, milliseconds in (("consumer_timeout", timeout), ("channel_tick_interval", tick)):
            self.control("eval", f"application:set_env(rabbit, {name}, {milliseconds}).")

    def _await_start(self) -> None:
        """Return once the broker greets an AMQP client: an open port alone may be a proxy's."""
        deadline = time.monotonic() + START_TIMEOUT
        while not _greets(self.port):
            if (failure := self._failure()) is not None:
                raise BrokerError(f"RabbitMQ ended while starting:\n{failure}")
            if time.monotonic() > deadline:
                raise BrokerError(f"RabbitMQ did not answer on port {self.port} within {START_TIMEOUT:.0f} s")
            time.sleep(0.05)

    @abstractmethod
    def _failure(self) -> str | None:
        """What the server last said, if it has ended; None while it runs."""


@dataclass(kw_only=True)
class NativeRabbitMq(RabbitMq):
    """The installed server as a child process with its data, node name, cookie and `epmd` to itself."""

    directory: Path
    """With `ca.pem`, which signed the certificate of `tls_port`."""
    scripts: Path
    environment: Mapping[str, str] = field(repr=False)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self.scripts / "rabbitmq-server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end the server in order
            )
        self._await_start()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def control(self, *arguments: str) -> str:
        command = [str(self.scripts / "rabbitmqctl"), "--node", self.environment["RABBITMQ_NODENAME"], *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise BrokerError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _end(self, how: signal.Signals) -> None:
        """Signal the Erlang process, not the shell that waits for it, and wait for both."""
        if self._process is None or self._process.poll() is not None:
            return
        os.kill(int((self.directory / "pid").read_text()), how)
        self._process.wait(timeout=START_TIMEOUT)

    def _failure(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        return (self.directory / "output").read_text(errors="replace")[-2000:]


@dataclass(kw_only=True)
class DockerRabbitMq(RabbitMq):
    """The official image; the container keeps its name, data and port over `stop` and `start`."""

    container: Any = field(repr=False)

    def start(self) -> None:
        self.container.start()
        self._await_start()

    def stop(self) -> None:
        self.container.stop(timeout=30)

    def kill(self) -> None:
        self.container.kill()

    def control(self, *arguments: str) -> str:
        status, output = self.container.exec_run(["rabbitmqctl", *arguments])
        text = str(output.decode())
        if status:
            raise BrokerError(f"rabbitmqctl {' '.join(arguments)}: {text}")
        return text

    def _failure(self) -> str | None:
        self.container.reload()
        return None if self.container.status in {"created", "running"} else self.container.logs(tail=30).decode()


@contextmanager
def native() -> Iterator[RabbitMq]:
    """The installed RabbitMQ, ended and its directory removed afterwards. Raises: BrokerError."""
    scripts = native_scripts()
    if scripts is None:
        raise BrokerError("rabbitmq-server is not installed; `make test` installs it where it can")
    port, tls_port, epmd_port, dist_port = free_ports(4)
    with ExitStack() as cleanup:
        # the server may outlive its last answer by a moment and still write its log
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        epmd = cleanup.enter_context(subprocess.Popen(["epmd", "-port", str(epmd_port), "-address", "127.0.0.1"]))
        cleanup.callback(epmd.terminate)
        settings = _settings(directory, port=port, tls_port=tls_port, epmd_port=epmd_port, dist_port=dist_port)
        broker = NativeRabbitMq(
            port=port,
            tls_port=tls_port,
            directory=directory,
            scripts=scripts,
            environment={**os.environ, **settings},
        )
        cleanup.callback(broker.stop)
        broker.start()
        yield broker


@contextmanager
def docker() -> Iterator[RabbitMq]:
    """RabbitMQ in a container, removed afterwards. Raises: BrokerError."""
    from testcontainers.core.container import DockerContainer  # not needed where the server is installed

    if not docker_answers():
        raise BrokerError("no Docker engine answers; start one, or install rabbitmq-server for --brokers=native")
    (port,) = free_ports(1)
    definition = DockerContainer("rabbitmq:3.13", hostname="rabbitmq").with_bind_ports("5672/tcp", ("127.0.0.1", port))
    with definition as running:
        broker = DockerRabbitMq(port=port, container=running.get_wrapped_container())
        broker._await_start()
        yield broker


def native_scripts() -> Path | None:
    """Where the installed server's scripts are, None when there is none."""
    if (PACKAGED_SCRIPTS / "rabbitmq-server").exists():
        return PACKAGED_SCRIPTS
    found = shutil.which("rabbitmq-server")
    return Path(found).parent if found else None


def docker_answers(*, timeout: float = 20.0) -> bool:
    """Whether a Docker engine answers in so many seconds; one that is starting or stuck lets its client wait."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=timeout).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _settings(directory: Path, *, port: int, tls_port: int, epmd_port: int, dist_port: int) -> dict[str, str]:
    """The environment that keeps a node on loopback and inside `directory`; its files are written there."""
    Authority(directory)
    (directory / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        f"listeners.ssl.1 = 127.0.0.1:{tls_port}\n"
        f"ssl_options.certfile = {directory / 'server.pem'}\n"
        f"ssl_options.keyfile = {directory / 'server.pem'}\n"
        "vm_memory_high_watermark.absolute = 512MB\n"
        "disk_free_limit.absolute = 50MB\n"
    )
    (directory / "enabled_plugins").write_text("[].\n")
    return {
        "HOME": str(directory),  # the Erlang cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "db"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
    }


def _greets(port: int) -> bool:
    """Whether an AMQP 0-9-1 protocol header is answered by a method frame (Connection.Start)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1) == b"\x01"
    except OSError:
        return False
