"""A real Apache Kafka with faults on request, in two forms: the jars from Maven as a private process, or a container.

One broker that is its own controller (KRaft). Faults block until they have happened; from a test that runs on an event
loop call them through `asyncio.to_thread`.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sandbox.tls import Authority
from tests.brokers.rabbitmq import docker_answers
from tests.brokers.ways import client_certificate
from tests.ports import free_ports

START_TIMEOUT = 90.0  # seconds; 4 on an idle machine
JARS = Path(__file__).parents[2] / ".venv" / "kafka"
"""Where `make test` puts the server, from the coordinates in deploy/kafka.xml."""
USER, PASSWORD = "bridge", "only-for-these-tests"
LIMITED = "limited"
"""A user of the SASL listener, with PASSWORD, by whom tests try rights: a topic or group with no ACL is open to all."""

_JAVA = ("java", "-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
_SCRAM = "SCRAM-SHA-512=[name={user},password={password}]"


class KafkaError(Exception):
    """The server is missing, did not start, or did not do as told; the message says what to do or shows its log."""


@dataclass(kw_only=True)
class Kafka(ABC):
    """A running Kafka; everything in it is durable over `stop`, `kill` and `start`, the ports included.

    `relayed_port` serves clients that come through a relay at `relay_port`, which the broker names as its address.
    `sasl_port` takes USER with PASSWORD by PLAIN and SCRAM-SHA-512, and unsigned tokens by OAUTHBEARER. `tls_port` takes
    clients with a certificate alone; None in a container.
    """

    port: int
    relayed_port: int
    relay_port: int
    sasl_port: int
    tls_port: int | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @abstractmethod
    def start(self) -> None:
        """Start again after `stop` or `kill`, unless it runs, and return when clients can connect. Raises: KafkaError."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order, as an operator would (SIGTERM)."""

    @abstractmethod
    def kill(self) -> None:
        """End at once (SIGKILL)."""

    @abstractmethod
    def _failure(self) -> str | None:
        """What the server last said, if it has ended; None while it runs."""

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(self.port):
            if (failure := self._failure()) is not None:
                raise KafkaError(f"Kafka ended while starting:\n{failure}")
            if time.monotonic() > deadline:
                raise KafkaError(f"Kafka did not answer on port {self.port} within {START_TIMEOUT:.0f} s")
            time.sleep(0.05)


@dataclass(kw_only=True)
class NativeKafka(Kafka):
    """The server as a child process with a directory to itself."""

    directory: Path
    """With `ca.pem` that signed the certificate of `tls_port`, and `client.pem`, the key and certificate of clients."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*_JAVA, "-cp", f"{JARS}/*", "kafka.Kafka", self.directory / "server.properties"],
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

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        self._process.wait(timeout=START_TIMEOUT)

    def _failure(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        return (self.directory / "output").read_text(errors="replace")[-2000:]


@dataclass(kw_only=True)
class DockerKafka(Kafka):
    """The project's own image; the container keeps its data and ports over `stop` and `start`."""

    container: Any = field(repr=False)

    def start(self) -> None:
        self.container.start()
        self._await_start()

    def stop(self) -> None:
        self.container.stop(timeout=30)

    def kill(self) -> None:
        self.container.kill()

    def _failure(self) -> str | None:
        self.container.reload()
        return None if self.container.status in {"created", "running"} else self.container.logs(tail=30).decode()


@contextmanager
def native() -> Iterator[Kafka]:
    """Kafka from the jars, ended and its directory removed afterwards. Raises: KafkaError."""
    if not has_native():
        raise KafkaError("Kafka's jars or Java are missing; `make test` installs both where it can")
    port, controller, relayed, relay, sasl, tls = free_ports(6)
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        lines = _properties(
            "127.0.0.1",
            ports={"PLAIN": port, "RELAYED": relayed, "SASL": sasl, "TLS": tls},
            controller=controller,
            relay=relay,
        )
        lines += [f"log.dirs={directory / 'data'}", *_tls_properties(directory)]
        (directory / "server.properties").write_text("\n".join(lines))
        shutil.copytree(_formatted(), directory / "data")
        broker = NativeKafka(
            port=port, relayed_port=relayed, relay_port=relay, sasl_port=sasl, tls_port=tls, directory=directory
        )
        cleanup.callback(broker.kill)  # nothing of it is kept
        broker.start()
        yield broker


@contextmanager
def docker() -> Iterator[Kafka]:
    """Kafka in a container, removed afterwards; without TLS. Raises: KafkaError."""
    from testcontainers.core.container import DockerContainer  # not needed where the server is installed

    if not docker_answers():
        raise KafkaError("no Docker engine answers; start one, or install Kafka for --brokers=native with `make test`")
    port, controller, relayed, relay, sasl = free_ports(5)
    ports = {"PLAIN": port, "RELAYED": relayed, "SASL": sasl}
    lines = [*_properties("0.0.0.0", ports=ports, controller=controller, relay=relay), "log.dirs=/tmp/data"]
    format_ = " ".join(["/opt/kafka/bin/kafka-storage.sh format -g -c /tmp/p", *_format_arguments(quote="'")])
    script = (
        f"cat >/tmp/p <<'END'\n{chr(10).join(lines)}\nEND\n{format_}; exec /opt/kafka/bin/kafka-server-start.sh /tmp/p"
    )
    definition = DockerContainer("apache/kafka:3.9.1", entrypoint=["sh", "-c", script])
    for one in ports.values():
        definition = definition.with_bind_ports(f"{one}/tcp", ("127.0.0.1", one))
    with definition as running:
        broker = DockerKafka(
            port=port,
            relayed_port=relayed,
            relay_port=relay,
            sasl_port=sasl,
            container=running.get_wrapped_container(),
        )
        broker._await_start()
        yield broker


def has_native() -> bool:
    """Whether the jars are there, and Java."""
    return (JARS / ".installed").exists() and shutil.which("java") is not None


def _properties(host: str, *, ports: dict[str, int], controller: int, relay: int) -> list[str]:
    """A small broker; each listener is called by its port's name."""
    protocols = {"PLAIN": "PLAINTEXT", "RELAYED": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "TLS": "SSL"}
    security = ",".join(f"{name}:{protocols[name]}" for name in ports)
    advertised = {name: relay if name == "RELAYED" else port for name, port in ports.items()}
    sasl, module = "listener.name.sasl", "org.apache.kafka.common.security"
    return [
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        "controller.listener.names=CONTROLLER",
        "inter.broker.listener.name=PLAIN",
        f"listeners={','.join(f'{name}://{host}:{port}' for name, port in ports.items())},"
        f"CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners={','.join(f'{name}://127.0.0.1:{port}' for name, port in advertised.items())}",
        f"listener.security.protocol.map={security},CONTROLLER:PLAINTEXT",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.num.partitions=1",
        "group.initial.rebalance.delay.ms=0",
        "group.min.session.timeout.ms=1000",
        "auto.create.topics.enable=false",
        "num.network.threads=1",
        "num.io.threads=2",
        "background.threads=2",
        "log.cleaner.dedupe.buffer.size=2000000",
        "log.cleaner.backoff.ms=200",
        "log.retention.check.interval.ms=1000",
        "log.initial.task.delay.ms=0",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER",
        f"{sasl}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}" user_{LIMITED}="{PASSWORD}";',
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "allow.everyone.if.no.acl.found=true",
        f"{sasl}.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;",
        f"{sasl}.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;",
    ]


def _tls_properties(directory: Path) -> list[str]:
    """The listener TLS, with a certificate of its own and one that its clients have to show; Java reads PEM too."""
    Authority(directory)
    shown = client_certificate(directory).read_text()
    (directory / "clients.pem").write_text(shown[shown.index("-----BEGIN CERTIFICATE") :])
    return [
        "listener.name.tls.ssl.client.auth=required",
        "listener.name.tls.ssl.keystore.type=PEM",
        f"listener.name.tls.ssl.keystore.location={directory / 'server.pem'}",
        "listener.name.tls.ssl.truststore.type=PEM",
        f"listener.name.tls.ssl.truststore.location={directory / 'clients.pem'}",
    ]


def _format_arguments(*, quote: str = "") -> Sequence[str]:
    scram = _SCRAM.format(user=USER, password=PASSWORD)
    return ["-t", "AAAAAAAAAAAAAAAAAAAAAA", "--add-scram", f"{quote}{scram}{quote}"]


def _formatted() -> Path:
    """A data directory as the broker begins with it. Java takes seconds for it, so it is made once and copied."""
    target = JARS / f"formatted-{sha256(repr(_format_arguments()).encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=JARS) as scratch:
        lines = _properties("127.0.0.1", ports={"PLAIN": 1}, controller=2, relay=3)
        properties, data = Path(scratch) / "server.properties", Path(scratch) / "data"
        properties.write_text("\n".join([*lines, f"log.dirs={data}"]))
        command = [*_JAVA, "-cp", f"{JARS}/*", "kafka.tools.StorageTool", "format", "-c", str(properties)]
        done = subprocess.run([*command, *_format_arguments()], capture_output=True, text=True)
        if done.returncode:
            raise KafkaError(f"Kafka's data directory could not be made: {done.stdout}{done.stderr}")
        if not target.exists():
            with contextlib.suppress(OSError):  # another run was quicker
                os.rename(data, target)
    return target


def _answers(port: int) -> bool:
    """Whether the broker answers a request for its API versions (key 18, version 0)."""
    request = b"\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(len(request).to_bytes(4, "big") + request)
            return client.recv(8)[4:] == b"\x00\x00\x00\x07"
    except OSError:
        return False
