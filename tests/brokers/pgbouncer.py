"""A pooler between daemons and PostgreSQL: Debian's package as a private process."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.brokers.postgres import PASSWORD, USER, Postgres, server_user
from tests.brokers.server import ServerError
from tests.ports import free_ports

PROGRAM = "/usr/sbin/pgbouncer"


@contextmanager
def pooler(postgres: Postgres, database: str, *, mode: str) -> Iterator[str]:
    """The address of the database behind PgBouncer with this `pool_mode`, ended afterwards. Raises: ServerError."""
    if not Path(PROGRAM).exists():
        raise ServerError("PgBouncer is not installed; `make test` installs it where it can")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        directory = Path(name)
        (directory / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {directory / 'users'}\n"
            f"pool_mode = {mode}\nserver_round_robin = 0\n"
        )
        if (user := server_user()) is not None:  # the program does not run as root
            for file in (directory, *directory.iterdir()):
                shutil.chown(file, user)
        process = subprocess.Popen(
            [PROGRAM, "--quiet", str(directory / "pgbouncer.ini")],
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}"
        try:
            _await(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(Postgres.START_TIMEOUT)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + Postgres.START_TIMEOUT
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"PgBouncer did not start: {error}") from error
            time.sleep(0.02)
