"""A real PostgreSQL with faults on request: Debian's package as a private process, or a container."""

import io
import os
import pwd
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from tests.brokers.server import DockerServer, NativeServer, Server, ServerError, image, not_root
from tests.ports import free_ports

OLDEST = 15
"""The oldest major version that the store works on."""
PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian keeps the versions, each in a folder of its number."""
USER, PASSWORD = "postgres", "only-for-these-tests"
DUMP, RESTORE = ("--format=custom",), ("--exit-on-error", "--dbname")
"""How `docs/store.md` says to make a backup, and to bring it back."""

_NUMBERS = count(1)


@dataclass(kw_only=True)
class Postgres(Server):
    """A running PostgreSQL. It stops without waiting for clients (`-m fast`)."""

    NAME: ClassVar[str] = "PostgreSQL"
    START_TIMEOUT: ClassVar[float] = 60.0

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
        """What `pg_dump` makes of a database, in its own format. Raises: ServerError."""

    @abstractmethod
    def restore(self, dump: bytes, database: str) -> None:
        """Bring an empty database to what a dump has, as the superuser. Raises: ServerError."""

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
        deadline = time.monotonic() + self.START_TIMEOUT
        while self.run("SHOW ssl") != [(value,)]:
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not turn TLS {value}: {self.failure()}")
            time.sleep(0.02)

    def refusal(self) -> str | None:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error)
        return None

    def kill_hard(self) -> None:
        """End all its processes by SIGKILL, as the kernel does where memory runs out: none of them tidies anything up."""
        self.kill()


@dataclass(kw_only=True)
class NativePostgres(NativeServer, Postgres):
    """The installed server with its data to itself; never as root, which the server refuses."""

    STOP: ClassVar[signal.Signals] = signal.SIGINT
    KILL: ClassVar[signal.Signals] = signal.SIGQUIT
    """As `pg_ctl -m immediate`."""

    programs: Path
    settings: Sequence[str] = ()

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def user(self) -> str | None:
        return server_user()

    def command(self) -> Sequence[str | Path]:
        options = [part for setting in self.settings for part in ("-c", setting)]
        return [self.programs / "postgres", "-D", self.data, *options]

    def kill_hard(self) -> None:
        self.signal(signal.SIGSTOP)  # so that it starts no further process, and sees none of them end
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        self.end(signal.SIGKILL)
        deadline = time.monotonic() + self.START_TIMEOUT
        while any(map(_is_running, children)):  # a server does not start beside sessions of the one before
            if time.monotonic() > deadline:
                raise ServerError("processes of the killed server are still there")
            time.sleep(0.02)

    def dump(self, database: str, *, user: str = USER, password: str = PASSWORD) -> bytes:
        return self.execute("pg_dump", *DUMP, self.url(database, user=user, password=password))

    def restore(self, dump: bytes, database: str) -> None:
        self.execute("pg_restore", *RESTORE, self.url(database), given=dump)

    def execute(self, program: str, *arguments: str | Path, given: bytes = b"") -> bytes:
        """Run one of the server's programs as its user; what it wrote. Raises: ServerError: what it said."""
        ended = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.directory,
            input=given,
            capture_output=True,
            user=self.user(),
        )
        if ended.returncode:
            raise ServerError(f"{program}: {ended.stderr.decode(errors='replace')}")
        return ended.stdout


def _is_running(pid: str) -> bool:
    """Whether a process is there that has not ended; one that nobody has asked for since its end counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass(kw_only=True)
class DockerPostgres(DockerServer, Postgres):
    """PostgreSQL in a container."""

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
            raise ServerError(f"{command[0]}: {errors.decode(errors='replace')}")
        return bytes(output or b"")

    def _url_inside(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:5432/{database}"

    def stop(self) -> None:
        self.container.kill(signal="SIGINT")
        self.container.wait()


@contextmanager
def native(*, fsync: bool = True) -> Iterator[NativePostgres]:
    """The installed PostgreSQL, ended and its directory removed afterwards. Raises: ServerError."""
    with _prepared(fsync=fsync) as server:
        _make_data(server)
        server.start()
        yield server


@contextmanager
def standby(primary: NativePostgres, *, through: int, name: str) -> Iterator[NativePostgres]:
    """A second server with the first one's data, which follows it until it is promoted.

    `through` is the port where it finds the first, and `name` is what that one knows it by, as in
    `synchronous_standby_names`. Raises: ServerError.
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
        raise ServerError(f"PostgreSQL {OLDEST} or newer is not installed; `make test` installs it where it can")
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
    """PostgreSQL in a container, removed afterwards. Raises: ServerError."""
    (port,) = free_ports(1)
    definition = (
        image(f"postgres:{OLDEST}", package="postgresql")
        .with_bind_ports("5432/tcp", ("127.0.0.1", port))
        .with_env("POSTGRES_PASSWORD", PASSWORD)
    )
    with definition as running:
        server = DockerPostgres(port=port, container=running.get_wrapped_container())
        server.await_start()
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
    """Whom the server and what belongs to it run as: the tests' own user, but for root."""
    return not_root("postgres")
