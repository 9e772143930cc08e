"""A real MariaDB with faults on request: Debian's package as a private process, or a container."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pymysql

from tests.brokers.server import DockerServer, NativeServer, Server, ServerError, image, not_root
from tests.ports import free_ports

VERSION = "10.11"
"""The version of the container; the oldest that is still supported, and Debian's."""
USER, PASSWORD = "tests", "only-for-these-tests"

_NUMBERS = count(1)
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(kw_only=True)
class MariaDb(Server):
    """A running MariaDB."""

    NAME: ClassVar[str] = "MariaDB"
    START_TIMEOUT: ClassVar[float] = 120.0

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

    def refusal(self) -> str | None:
        try:
            self.connect().close()
        except pymysql.MySQLError as error:
            return str(error)
        return None


@dataclass(kw_only=True)
class NativeMariaDb(NativeServer, MariaDb):
    """The installed server with its data to itself; as root it becomes the user mysql."""

    program: str

    def user(self) -> str | None:
        return not_root("mysql")

    def command(self) -> Sequence[str]:
        return [
            self.program,
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


@dataclass(kw_only=True)
class DockerMariaDb(DockerServer, MariaDb):
    """MariaDB in a container."""


@contextmanager
def native() -> Iterator[NativeMariaDb]:
    """The installed MariaDB, ended and its directory removed afterwards. Raises: ServerError."""
    program = native_program()
    if program is None:
        raise ServerError("MariaDB is not installed; `make test` installs it where it can")
    (port,) = free_ports(1)
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        (directory / "users.sql").write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;\n"
        )
        if (user := not_root("mysql")) is not None:
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
        user=server.user(),
    )
    if made.returncode:
        raise ServerError(f"mariadb-install-db: {made.stdout}{made.stderr}")


@contextmanager
def docker() -> Iterator[MariaDb]:
    """MariaDB in a container, removed afterwards. Raises: ServerError."""
    (port,) = free_ports(1)
    definition = (
        image(f"mariadb:{VERSION}", package="mariadb-server")
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
            server.await_start()
            yield server


def native_program() -> str | None:
    """The installed server, None where there is none."""
    return shutil.which("mariadbd", path=_SEARCHED)
