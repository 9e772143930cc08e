"""A real RabbitMQ with faults on request: Debian's package as a private process, or a container."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sandbox.tls import Authority
from tests.brokers.server import DockerServer, NativeServer, Server, ServerError, image
from tests.ports import free_ports

PACKAGED_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""The scripts themselves: the commands that Debian wraps around them change user and directory."""


@dataclass(kw_only=True)
class RabbitMq(Server):
    """A running RabbitMQ; everything in it is durable.

    Surprise: a quorum queue declared in the seconds before `kill` does not come back on a single node. Declare it
    long before, use `stop`, or cut the connections only.
    """

    NAME: ClassVar[str] = "RabbitMQ"

    tls_port: int | None = None
    """The same over TLS; None in a container."""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @abstractmethod
    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` with these arguments and return what it prints. Raises: ServerError."""

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

    def refusal(self) -> str | None:
        """An open port alone may be a proxy's: the broker has to greet an AMQP client."""
        return None if _greets(self.port) else f"nothing on port {self.port} speaks its protocol"


@dataclass(kw_only=True)
class NativeRabbitMq(NativeServer, RabbitMq):
    """The installed server with its data, node name, cookie and `epmd` to itself.

    Its directory has `ca.pem`, which signed the certificate of `tls_port`.
    """

    scripts: Path
    settings: Mapping[str, str] = field(repr=False)

    def command(self) -> Sequence[Path]:
        return [self.scripts / "rabbitmq-server"]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **self.settings}

    def signal(self, how: signal.Signals) -> None:
        """To the Erlang process, not to the shell that waits for it."""
        os.kill(int((self.directory / "pid").read_text()), how)

    def control(self, *arguments: str) -> str:
        command = [str(self.scripts / "rabbitmqctl"), "--node", self.settings["RABBITMQ_NODENAME"], *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


@dataclass(kw_only=True)
class DockerRabbitMq(DockerServer, RabbitMq):
    """RabbitMQ in a container."""

    def control(self, *arguments: str) -> str:
        status, output = self.container.exec_run(["rabbitmqctl", *arguments])
        text = str(output.decode())
        if status:
            raise ServerError(f"rabbitmqctl {' '.join(arguments)}: {text}")
        return text


@contextmanager
def native() -> Iterator[RabbitMq]:
    """The installed RabbitMQ, ended and its directory removed afterwards. Raises: ServerError."""
    scripts = native_scripts()
    if scripts is None:
        raise ServerError("rabbitmq-server is not installed; `make test` installs it where it can")
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
            settings=settings,
        )
        cleanup.callback(broker.stop)
        broker.start()
        yield broker


@contextmanager
def docker() -> Iterator[RabbitMq]:
    """RabbitMQ in a container, removed afterwards. Raises: ServerError."""
    (port,) = free_ports(1)
    rabbitmq = image("rabbitmq:3.13", package="rabbitmq-server", hostname="rabbitmq")
    definition = rabbitmq.with_bind_ports("5672/tcp", ("127.0.0.1", port))
    with definition as running:
        broker = DockerRabbitMq(port=port, container=running.get_wrapped_container())
        broker.await_start()
        yield broker


def native_scripts() -> Path | None:
    """Where the installed server's scripts are, None when there is none."""
    if (PACKAGED_SCRIPTS / "rabbitmq-server").exists():
        return PACKAGED_SCRIPTS
    found = shutil.which("rabbitmq-server")
    return Path(found).parent if found else None


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
