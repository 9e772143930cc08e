"""A real MariaDB with faults on request, in two forms: Debian's package as a private process, or a container.

Faults block until they have happened; from a test that runs on an event loop call them through `asyncio.to_thread`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pymysql

from tests.brokers.rabbitmq import docker_answers
from tests.ports import free_ports

START_TIMEOUT = 120.0  # seconds; two on an idle machine
VERSION = "10.11"
"""The version of the container; the oldest that is still supported, and Debian's."""
USER, PASSWORD = "tests", "only-for-these-tests"

_NUMBERS = count(1)
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class MariaDbError(Exception):
    """The server is missing, did not start, or did not do as asked; the message says what to do or shows its log."""


@dataclass(kw_only=True)
class MariaDb(ABC):
    """A running MariaDB; its databases and its port stay over `stop`, `kill` and `start`."""

    port: int

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD, port: int = 0) -> str:
        return f"mysql://{user}:{password}@127.0.0.1:{port or self.port}/{database}"

    def create(self) -> str:
        """A new database; its name."""
        name = f"test_{next(_NUMBERS)}"
        self.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def connect(self, database: str = "mysql") -> Any:
        """A connection of PyMySQL, whose transactions have to be committed."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, connect_timeout=5
        )

    def run(self, statement: str, *, database: str = "mysql") -> list[Any]:
        """Run a statement with all rights, and commit; its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows = list(cursor.fetchall())
            connection.commit()
            return rows

    def cut(self, database: str) -> None:
        """End all connections to a database."""
        for (number,) in self.run(f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"):
            self.run(f"KILL CONNECTION {number}")

    @abstractmethod
    def start(self) -> None:
        """Start again after `stop` or `kill` and return when clients can connect. Raises: MariaDbError."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order."""

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
                self.connect().close()
                return
            except pymysql.MySQLError as error:
                if (failure := self._failure()) is not None:
                    raise MariaDbError(f"MariaDB ended while starting:\n{failure}") from error
                if time.monotonic() > deadline:
                    raise MariaDbError(f"MariaDB did not answer within {START_TIMEOUT:.0f} s: {error}") from error
                time.sleep(0.02)


@dataclass(kw_only=True)
class NativeMariaDb(MariaDb):
    """The installed server as a child process with its data to itself; as root it becomes the user mysql."""

    directory: Path
    program: str
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        options = [
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--port={self.port}",
            f"--init-file={self.directory / 'users.sql'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=2",  # only the end of the machine loses what the system has
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
        ]
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self.program, *options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end the server in order
                user=_user(),
            )
        self._await_start()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT)

    def _failure(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        return (self.directory / "output").read_text(errors="replace")[-2000:]


@dataclass(kw_only=True)
class DockerMariaDb(MariaDb):
    """The official image; the container keeps its data and port over `stop` and `start`."""

    container: Any = field(repr=False)

    def start(self) -> None:
        self.container.start()
        self._await_start()

    def stop(self) -> None:
        self.container.stop()

    def kill(self) -> None:
        self.container.kill()

    def _failure(self) -> str | None:
        self.container.reload()
        return None if self.container.status in {"created", "running"} else self.container.logs(tail=30).decode()


@contextmanager
def native() -> Iterator[NativeMariaDb]:
    """The installed MariaDB, ended and its directory removed afterwards. Raises: MariaDbError."""
    program = native_program()
    if program is None:
        raise MariaDbError("MariaDB is not installed; `make test` installs it where it can")
    (port,) = free_ports(1)
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        (directory / "users.sql").write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;\n"
        )
        if (user := _user()) is not None:
            shutil.chown(directory, user)
        server = NativeMariaDb(port=port, directory=directory, program=program)
        _make_data(server)
        cleanup.callback(server.stop)
        server.start()
        yield server


def _make_data(server: NativeMariaDb) -> None:
    made = subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={server.directory / 'data'}", "--skip-test-db"],
        cwd=server.directory,
        capture_output=True,
        text=True,
        user=_user(),
    )
    if made.returncode:
        raise MariaDbError(f"mariadb-install-db: {made.stdout}{made.stderr}")


@contextmanager
def docker() -> Iterator[MariaDb]:
    """MariaDB in a container, removed afterwards. Raises: MariaDbError."""
    from testcontainers.core.container import DockerContainer  # not needed where the server is installed

    if not docker_answers():
        raise MariaDbError("no Docker engine answers; start one, or install mariadb-server for --brokers=native")
    (port,) = free_ports(1)
    definition = (
        DockerContainer(f"mariadb:{VERSION}")
        .with_bind_ports("3306/tcp", ("127.0.0.1", port))
        .with_env("MARIADB_RANDOM_ROOT_PASSWORD", "1")
        .with_env("MARIADB_USER", USER)
        .with_env("MARIADB_PASSWORD", PASSWORD)
        .with_command("--skip-name-resolve")
    )
    with tempfile.TemporaryDirectory() as directory:
        grants = Path(directory) / "grants.sql"
        grants.write_text(f"GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;\n")
        grants.chmod(0o644)
        definition = definition.with_volume_mapping(str(grants), "/docker-entrypoint-initdb.d/grants.sql")
        with definition as running:
            server = DockerMariaDb(port=port, container=running.get_wrapped_container())
            server._await_start()
            yield server


def native_program() -> str | None:
    """The installed server, None where there is none."""
    return shutil.which("mariadbd", path=_SEARCHED)


def _user() -> str | None:
    """Whom the server runs as: the tests' own user, but for root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("mysql").pw_name
    except KeyError:
        raise MariaDbError("there is no user mysql, and MariaDB does not run as root") from None
