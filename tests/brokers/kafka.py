"""A real Apache Kafka with faults on request: the jars from Maven as a private process, or a container.

One broker that is its own controller (KRaft).
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from sandbox.tls import Authority
from tests.brokers.server import DockerServer, NativeServer, Server, ServerError, image
from tests.brokers.ways import client_certificate
from tests.ports import free_ports

JARS = Path(__file__).parents[2] / ".venv" / "kafka"
"""Where `make test` puts the server, from the coordinates in deploy/kafka.xml."""
USER, PASSWORD = "bridge", "only-for-these-tests"
LIMITED = "limited"
"""A user of the SASL listener, with PASSWORD, by whom tests try rights: a topic or group with no ACL is open to all."""

_JAVA = ("java", "-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(kw_only=True)
class Kafka(Server):
    """A running Kafka; everything in it is durable.

    `relayed_port` serves clients that come through a relay at `relay_port`, which the broker names as its address.
    `sasl_port` takes USER with PASSWORD by PLAIN and SCRAM, and unsigned tokens by OAUTHBEARER. `tls_port` takes
    clients with a certificate alone; None in a container.
    """

    NAME: ClassVar[str] = "Kafka"

    relayed_port: int
    relay_port: int
    sasl_port: int
    tls_port: int | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def refusal(self) -> str | None:
        return None if _answers(self.port) else f"nothing on port {self.port} speaks its protocol"


@dataclass(kw_only=True)
class NativeKafka(NativeServer, Kafka):
    """The server from its jars.

    Its directory has `ca.pem` that signed the certificate of `tls_port`, and `client.pem`, the key and certificate of
    clients.
    """

    def command(self) -> Sequence[str | Path]:
        return [*_JAVA, "-cp", f"{JARS}/*", "kafka.Kafka", self.directory / "server.properties"]


@dataclass(kw_only=True)
class DockerKafka(DockerServer, Kafka):
    """Kafka in a container, from its project's own image."""


@contextmanager
def native() -> Iterator[Kafka]:
    """Kafka from the jars, ended and its directory removed afterwards. Raises: ServerError."""
    if not has_native():
        raise ServerError("Kafka's jars or Java are missing; `make test` installs both where it can")
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
    """Kafka in a container, removed afterwards; without TLS. Raises: ServerError."""
    port, controller, relayed, relay, sasl = free_ports(5)
    ports = {"PLAIN": port, "RELAYED": relayed, "SASL": sasl}
    lines = [*_properties("0.0.0.0", ports=ports, controller=controller, relay=relay), "log.dirs=/tmp/data"]
    format_ = " ".join(["/opt/kafka/bin/kafka-storage.sh format -g -c /tmp/p", *_format_arguments(quote="'")])
    script = (
        f"cat >/tmp/p <<'END'\n{chr(10).join(lines)}\nEND\n{format_}; exec /opt/kafka/bin/kafka-server-start.sh /tmp/p"
    )
    definition = image("apache/kafka:3.9.1", package="Kafka by `make test`", entrypoint=["sh", "-c", script])
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
        broker.await_start()
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
        f"sasl.enabled.mechanisms=PLAIN,{','.join(_SCRAM)},OAUTHBEARER",
        f"{sasl}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}" user_{LIMITED}="{PASSWORD}";',
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "allow.everyone.if.no.acl.found=true",
        *(f"{sasl}.{each.lower()}.sasl.jaas.config={module}.scram.ScramLoginModule required;" for each in _SCRAM),
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
    scrams = (f"{quote}{each}=[name={USER},password={PASSWORD}]{quote}" for each in _SCRAM)
    return ["-t", "AAAAAAAAAAAAAAAAAAAAAA", *(word for scram in scrams for word in ("--add-scram", scram))]


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
            raise ServerError(f"Kafka's data directory could not be made: {done.stdout}{done.stderr}")
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
