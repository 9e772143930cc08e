"""What the brokers and databases of the tests have in common: a server of their own, in two forms, with faults on request.

A server is a private child process, or a container. Faults block until they have happened; from a test that runs on an
event loop call them through `asyncio.to_thread`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar


class ServerError(Exception):
    """The server is missing, did not start, or did not do as told; the message says what to do or shows its log."""


@dataclass(kw_only=True)
class Server(ABC):
    """A running server; what it holds and its ports stay over `stop`, `kill` and `start`.

    `START_TIMEOUT` is in seconds, and generous: some take as many as six on an idle machine.
    """

    NAME: ClassVar[str]
    START_TIMEOUT: ClassVar[float] = 90.0

    port: int

    @abstractmethod
    def start(self) -> None:
        """Start again after `stop` or `kill`, and return when clients can connect. Raises: ServerError."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order, as an operator would."""

    @abstractmethod
    def kill(self) -> None:
        """End at once, as in a crash."""

    @abstractmethod
    def failure(self) -> str | None:
        """What the server last said, if it has ended; None while it runs."""

    @abstractmethod
    def refusal(self) -> str | None:
        """Why a client cannot connect; None when it can."""

    def await_start(self) -> None:
        """Raises: ServerError."""
        deadline = time.monotonic() + self.START_TIMEOUT
        while (refusal := self.refusal()) is not None:
            if (failure := self.failure()) is not None:
                raise ServerError(f"{self.NAME} ended while starting:\n{failure}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.NAME} did not answer within {self.START_TIMEOUT:.0f} s: {refusal}")
            time.sleep(0.02)


@dataclass(kw_only=True)
class NativeServer(Server):
    """The installed server as a child process with a directory to itself."""

    STOP: ClassVar[signal.Signals] = signal.SIGTERM
    KILL: ClassVar[signal.Signals] = signal.SIGKILL

    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What starts the server in the foreground."""

    def user(self) -> str | None:
        """Whom the server runs as; None: the tests' own user."""
        return None

    def environment(self) -> Mapping[str, str] | None:
        """None: the tests' own."""
        return None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self.process is not None, "not started"
        return self.process.pid

    def start(self) -> None:
        if self.is_running:
            return
        with (self.directory / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end the server in order
                user=self.user(),
            )
        self.await_start()

    def stop(self) -> None:
        self.end(self.STOP)

    def kill(self) -> None:
        self.end(self.KILL)

    def end(self, how: signal.Signals) -> None:
        if self.process is not None and self.is_running:
            self.signal(how)
            self.process.wait(timeout=self.START_TIMEOUT)

    def signal(self, how: signal.Signals) -> None:
        os.kill(self.pid, how)

    def failure(self) -> str | None:
        if self.process is None or self.is_running:
            return None
        return (self.directory / "output").read_text(errors="replace")[-2000:]


@dataclass(kw_only=True)
class DockerServer(Server):
    """The official image; the container keeps its data and ports over `stop` and `start`."""

    container: Any = field(repr=False)

    def start(self) -> None:
        self.container.start()
        self.await_start()

    def stop(self) -> None:
        self.container.stop(timeout=30)

    def kill(self) -> None:
        self.container.kill()

    def failure(self) -> str | None:
        self.container.reload()
        return None if self.container.status in {"created", "running"} else self.container.logs(tail=30).decode()


def image(name: str, *, package: str, **options: Any) -> Any:
    """What a container is to be made of, for `with`. Raises: ServerError: no engine answers."""
    from testcontainers.core.container import DockerContainer  # not needed where the server is installed

    if not docker_answers():
        raise ServerError(f"no Docker engine answers; start one, or install {package} for --brokers=native")
    return DockerContainer(name, **options)


def docker_answers(*, timeout: float = 20.0) -> bool:
    """Whether a Docker engine answers in so many seconds; one that is starting or stuck lets its client wait."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=timeout).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def not_root(user: str) -> str | None:
    """Whom a server runs as that refuses to be root: the tests' own user, but for root this one. Raises: ServerError."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(user).pw_name
    except KeyError:
        raise ServerError(f"there is no user {user}, and the server does not run as root") from None
