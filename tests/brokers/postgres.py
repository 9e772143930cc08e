"""A real PostgreSQL with faults on request, in two forms: Debian's package as a private process, or a container.

Faults block until they have happened; from a test that runs on an event loop call them through `asyncio.to_thread`.
"""

import io
import os
import pwd
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.brokers.rabbitmq import docker_answers
from tests.ports import free_ports

START_TIMEOUT = 60.0  # seconds; under one on an idle machine
OLDEST = 15
"""The oldest major version that the store works on."""
PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian keeps the versions, each in a folder of its number."""
USER, PASSWORD = "postgres", "only-for-these-tests"
DUMP, RESTORE = ("--format=custom",), ("--exit-on-error", "--dbname")
"""How `docs/store.md` says to make a backup, and to bring it back."""

_NUMBERS = count(1)


class PostgresError(Exception):
    """The server is missing, did not start, or did not do as asked; the message says what to do or shows its log."""


@dataclass(kw_only=True)
class Postgres(ABC):
    """A running PostgreSQL; its databases and its port stay over `stop`, `kill` and `start`."""

    port: int

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template0") -> str:
        """A new database, a copy of `template`; its name."""
        name = f"test_{next(_NUMBERS)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.run(f"DROP DATABASE {database} WITH (FORCE)")

    def run(self, statement: str, *, database: str = "postgres") -> list[Any]:
        """Run a statement as the superuser; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def cut(self, database: str) -> None:
        """End all connections to a database."""
        self.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        )

    @abstractmethod
    def dump(self, database: str, *, user: str = USER, password: str = PASSWORD) -> bytes:
        """What `pg_dump` makes of a database, in its own format. Raises: PostgresError."""

    @abstractmethod
    def restore(self, dump: bytes, database: str) -> None:
        """Bring an empty database to what a dump has, as the superuser. Raises: PostgresError."""

    @contextmanager
    def serving_tls(self, pem: str) -> Iterator[None]:
        """Offer TLS, with the key and the certificate in `pem`."""
        lines = f"SELECT unnest(string_to_array('{pem.strip()}', E'\\n'))"
        self.run(f"COPY ({lines}) TO PROGRAM 'umask 077; cat > server.pem'")  # in the directory of the data
        self._set_tls("on")
        try:
            yield
        finally:
            self._set_tls("off")

    def _set_tls(self, value: str) -> None:
        for setting in ("ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.pem'", f"ssl = {value}"):
            self.run(f"ALTER SYSTEM SET {setting}")
        self.run("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_TIMEOUT
        while self.run("SHOW ssl") != [(value,)]:
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not turn TLS {value}: {self._failure()}")
            time.sleep(0.02)

    @abstractmethod
    def start(self) -> None:
        """Start again after `stop` or `kill` and return when clients can connect. Raises: PostgresError."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order, without waiting for clients (SIGINT, `-m fast`)."""

    @abstractmethod
    def kill(self) -> None:
        """End at once, as in a crash: the next start recovers from the log."""

    @abstractmethod
    def _failure(self) -> str | None:
        """What the server last said, if it has ended; None while it runs."""

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if (failure := self._failure()) is not None:
                    raise PostgresError(f"PostgreSQL ended while starting:\n{failure}") from error
                if time.monotonic() > deadline:
                    raise PostgresError(f"PostgreSQL did not answer within {START_TIMEOUT:.0f} s: {error}") from error
                time.sleep(0.02)


@dataclass(kw_only=True)
class NativePostgres(Postgres):
    """The installed server as a child process with its data to itself; never as root, which the server refuses."""

    directory: Path
    programs: Path
    settings: Sequence[str] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def dump(self, database: str, *, user: str = USER, password: str = PASSWORD) -> bytes:
        return self.execute("pg_dump", *DUMP, self.url(database, user=user, password=password))

    def restore(self, dump: bytes, database: str) -> None:
        self.execute("pg_restore", *RESTORE, self.url(database), given=dump)

    def execute(self, program: str, *arguments: str | Path, given: bytes = b"") -> bytes:
        """Run one of the server's programs as its user; what it wrote. Raises: PostgresError: what it said."""
        ended = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.directory,
            input=given,
            capture_output=True,
            user=server_user(),
        )
        if ended.returncode:
            raise PostgresError(f"{program}: {ended.stderr.decode(errors='replace')}")
        return ended.stdout

    def start(self) -> None:
        options = [part for setting in self.settings for part in ("-c", setting)]
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end the server in order
                user=server_user(),
            )
        self._await_start()

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def kill(self) -> None:
        self._end(signal.SIGQUIT)  # what `pg_ctl -m immediate` sends; SIGKILL would leave its children for a moment

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT)

    def _failure(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        return (self.directory / "output").read_text(errors="replace")[-2000:]


@dataclass(kw_only=True)
class DockerPostgres(Postgres):
    """The official image; the container keeps its data and port over `stop` and `start`."""

    container: Any = field(repr=False)

    def dump(self, database: str, *, user: str = USER, password: str = PASSWORD) -> bytes:
        return self._execute("pg_dump", *DUMP, self._url_inside(database, user=user, password=password))

    def restore(self, dump: bytes, database: str) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            entry = tarfile.TarInfo("dump")
            entry.size = len(dump)
            files.addfile(entry, io.BytesIO(dump))
        self.container.put_archive("/tmp", archive.getvalue())
        self._execute("pg_restore", *RESTORE, self._url_inside(database), "/tmp/dump")

    def _execute(self, *command: str) -> bytes:
        code, (output, errors) = self.container.exec_run(list(command), demux=True)
        if code:
            raise PostgresError(f"{command[0]}: {errors.decode(errors='replace')}")
        return bytes(output or b"")

    def _url_inside(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:5432/{database}"

    def start(self) -> None:
        self.container.start()
        self._await_start()

    def stop(self) -> None:
        self.container.kill(signal="SIGINT")
        self.container.wait()

    def kill(self) -> None:
        self.container.kill()

    def _failure(self) -> str | None:
        self.container.reload()
        return None if self.container.status in {"created", "running"} else self.container.logs(tail=30).decode()


@contextmanager
def native(*, fsync: bool = True) -> Iterator[NativePostgres]:
    """The installed PostgreSQL, ended and its directory removed afterwards. Raises: PostgresError."""
    with _prepared(fsync=fsync) as server:
        _make_data(server)
        server.start()
        yield server


@contextmanager
def standby(primary: NativePostgres, *, through: int, name: str) -> Iterator[NativePostgres]:
    """A second server with the first one's data, which follows it until it is promoted.

    `through` is the port where it finds the first, and `name` is what that one knows it by, as in
    `synchronous_standby_names`. Raises: PostgresError.
    """
    with _prepared(fsync=False) as server:
        source = f"{primary.url().replace(f':{primary.port}/', f':{through}/')}?application_name={name}&sslmode=disable"
        server.execute(
            "pg_basebackup", "-D", server.data, "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync"
        )
        server.start()
        yield server


@contextmanager
def _prepared(*, fsync: bool) -> Iterator[NativePostgres]:
    """A server without data, not started; it is ended, and its directory removed."""
    programs = native_programs()
    if programs is None:
        raise PostgresError(f"PostgreSQL {OLDEST} or newer is not installed; `make test` installs it where it can")
    (port,) = free_ports(1)
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        if (user := server_user()) is not None:
            shutil.chown(directory, user)
        server = NativePostgres(
            port=port,
            directory=directory,
            programs=programs,
            settings=(
                f"port={port}",
                "listen_addresses=127.0.0.1",
                f"unix_socket_directories={directory}",
                "max_connections=100",
                f"fsync={'on' if fsync else 'off'}",
            ),
        )
        cleanup.callback(server.stop)
        yield server


def _make_data(server: NativePostgres) -> None:
    password = server.directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    server.execute(
        *("initdb", "-D", server.data, "-U", USER, "--pwfile", password),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
    )


@contextmanager
def docker() -> Iterator[Postgres]:
    """PostgreSQL in a container, removed afterwards. Raises: PostgresError."""
    from testcontainers.core.container import DockerContainer  # not needed where the server is installed

    if not docker_answers():
        raise PostgresError("no Docker engine answers; start one, or install postgresql for --brokers=native")
    (port,) = free_ports(1)
    definition = (
        DockerContainer(f"postgres:{OLDEST}")
        .with_bind_ports("5432/tcp", ("127.0.0.1", port))
        .with_env("POSTGRES_PASSWORD", PASSWORD)
    )
    with definition as running:
        server = DockerPostgres(port=port, container=running.get_wrapped_container())
        server._await_start()
        yield server


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """A file system with so much room, which a server on this machine may write to; removed afterwards."""
    user = server_user()
    as_root, owner = (["sudo", "-n"], os.geteuid()) if user is None else ([], pwd.getpwnam(user).pw_uid)
    with tempfile.TemporaryDirectory() as name:
        options = f"size={mib}m,uid={owner},mode=0700"
        subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run([*as_root, "umount", "--lazy", name], check=True)


def native_programs() -> Path | None:
    """Where the programs of the newest installed version are, None where there is none that is new enough."""
    versions = [int(folder.name) for folder in PACKAGED.glob("*") if folder.name.isdigit()] if PACKAGED.is_dir() else []
    new_enough = [
        version for version in versions if version >= OLDEST and (PACKAGED / f"{version}/bin/postgres").exists()
    ]
    if new_enough:
        return PACKAGED / str(max(new_enough)) / "bin"
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def server_user() -> str | None:
    """Whom the server runs as: the tests' own user, but for root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise PostgresError("there is no user postgres, and PostgreSQL does not run as root") from None
