"""Speaks the admin API: where the daemon is, its token, and what goes wrong on the way, for all client commands."""

import getpass
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import typer

from bridge.cli.exits import Exit
from bridge.cli.process import print_problems
from hub.exact_json import loads_as_written

if TYPE_CHECKING:
    import httpx

    from bridge.config.models.document import Settings
    from bridge.config.models.listeners import AdminListener

_DEFAULT_URL = "http://127.0.0.1:8080"
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a listener may be bound to
_PART = 500
_TIMEOUT = 30.0
_BUSY = (429, 503)
_PAUSE = 1.0
"""Seconds between two questions to a daemon that is busy and does not say when to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a daemon is asked; `authorization` is the header that shows who asks, empty for none.

    `certificate` is the file of the daemon's own, where the configuration says it: then no other is taken for it.
    `settings` are those of a configuration that says where the daemon is: where none answers, its store can still be read.
    A daemon at another address, named by its URL, may have another store. `config_hash` tells one configuration from
    another.
    """

    url: str
    authorization: bytes = field(default=b"", repr=False)
    certificate: Path | None = None
    settings: "Settings | None" = field(default=None, repr=False)
    config_hash: str = ""


def fail(message: str, code: Exit) -> typer.Exit:
    """Print it on stderr; the exception to raise."""
    typer.echo(f"pushbridge: {message}", err=True)
    return typer.Exit(code)


def settings_of(config: Sequence[Path]) -> "Settings":
    """A configuration. Raises: typer.Exit: it has mistakes, which were printed."""
    from bridge.config.load import check

    settings, problems = check(config)
    if settings is None:
        print_problems(problems)
        raise typer.Exit(Exit.MISTAKES)
    return settings


def target_of(url: str, token_file: Path | None, config: Sequence[Path] | None) -> Target:
    """Each from its option, else from the configuration, else the default address and no token.

    Of a configuration with mistakes the admin listener alone is read: the daemon still runs on the configuration before.

    Raises: typer.Exit.
    """
    is_configured = not url
    is_read = bool(config) and not (url and token_file)
    settings, admin = _configured(config) if config and is_read else (None, None)
    authorization, certificate = b"", None
    if token_file is not None:
        authorization = b"Bearer " + _token_in(token_file).encode()
    elif admin is not None and admin.auth is not None:
        authorization = admin.auth.authorization()
    if not url and admin is not None:
        host, port = admin.address
        host = _ANY_HOST.get(host, host)
        scheme, certificate = ("http", None) if admin.tls is None else ("https", admin.tls.cert)
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    url = (url or _DEFAULT_URL).rstrip("/")
    if is_read and settings is None:
        token = "" if authorization else ", without a token"
        typer.echo(
            f"pushbridge: the configuration has mistakes; the daemon is asked all the same, at {url}{token}", err=True
        )
    return Target(
        url=url,
        authorization=authorization,
        certificate=certificate,
        settings=settings if is_configured else None,
        config_hash=_hash_of(config) if is_configured and config else "",
    )


def _configured(config: Sequence[Path]) -> "tuple[Settings | None, AdminListener | None]":
    """The configuration, and where its daemon is asked; of one with mistakes, which are printed, the latter alone."""
    from bridge.config.load import admin_listener, check
    from rules.problems import Severity

    settings, problems = check(config)
    if settings is not None:
        return settings, settings.listeners.admin
    print_problems([problem for problem in problems if problem.severity is Severity.ERROR])
    admin = admin_listener(config)
    if admin is None:
        raise fail(
            "what is left of the configuration does not say where the daemon is: give --url and --token-file",
            Exit.MISTAKES,
        )
    return None, admin


def _hash_of(config: Sequence[Path]) -> str:
    from bridge.config.watch import fingerprint

    return fingerprint(config)


def _token_in(file: Path) -> str:
    """Raises: typer.Exit."""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise fail(f"{file}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error
    except UnicodeDecodeError as error:
        raise fail(f"{file}: cannot be read: it is not UTF-8", Exit.WRONG_ARGUMENTS) from error
    if not token.isprintable():
        raise fail(f"{file}: a token is one line", Exit.WRONG_ARGUMENTS)
    return token


class AwayError(typer.Exit):
    """The daemon does not answer at the moment, and the command waits for its return; nothing was printed."""


class Client:
    """`with Client(target) as client`; whatever goes wrong is printed, and ends the command with its exit code."""

    def __init__(self, target: Target) -> None:
        import httpx

        headers = {b"Pushbridge-Actor": whoami().encode()}
        if target.authorization:
            headers[b"Authorization"] = target.authorization
        self._url = target.url
        self._settings, self._config_hash = target.settings, target.config_hash
        self._is_at_rest = False
        self.outlasts = False
        """Whether the command goes on while the daemon is away: calls raise AwayError, and the store is not read."""
        self._has_token = bool(target.authorization)
        try:
            base_url = httpx.URL(f"{target.url}/api/v1")
        except httpx.InvalidURL as error:
            raise fail(f"{target.url}: not a URL: {error}", Exit.WRONG_ARGUMENTS) from error
        if base_url.userinfo:  # which no message may repeat
            raise fail("--url has a name or a password, which are not sent: use --token-file", Exit.WRONG_ARGUMENTS)
        if base_url.scheme not in ("http", "https") or not base_url.host:
            raise fail(f"{target.url}: not a URL: write http://HOST:PORT", Exit.WRONG_ARGUMENTS)
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=_TIMEOUT, trust_env=False, verify=_verified(target.certificate)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def is_at_rest(self) -> bool:
        """Whether the answers come from a store whose daemon does not run."""
        return self._is_at_rest

    def get(self, *path: str, **query: str | int) -> Any:
        """What is at a path, given by its segments. Raises: typer.Exit."""
        return self._request("GET", path, params={name: value for name, value in query.items() if value != ""})

    def post(
        self,
        *path: str,
        body: Mapping[str, Any],
        timeout: float = _TIMEOUT,
        patience: float = 0.0,
        actor: str = "",
    ) -> Any:
        """Change something, which may take `timeout` seconds; a daemon that is busy is asked again for `patience` seconds.

        `actor` is who does it, if not the user of this process. Raises: typer.Exit.
        """
        by: dict[str, Any] = {"headers": {b"Pushbridge-Actor": actor.encode()}} if actor else {}
        return self._request("POST", path, patience=patience, json=body, timeout=timeout, **by)

    def reload(self) -> Any:
        """Have the configuration read again: `applied`, `problems`, `restart`. Raises: typer.Exit."""
        return self._request("POST", ("-", "reload"), root=self._url, complains=True)

    def metrics(self) -> str:
        """What a scrape gets. Raises: typer.Exit."""
        import httpx

        try:
            answer = self._http.get(f"{self._url}/metrics")
        except httpx.RequestError as error:
            raise self._unanswered(error) from error
        if not answer.is_success:
            raise self._refused(answer, {})
        return answer.text

    def items(self, *path: str, limit: int, **query: str | int) -> Iterator[Any]:
        """Up to `limit` entries of a list, part by part. Raises: typer.Exit."""
        return (item for part in self.parts(path, query, limit=limit) for item in part["items"])

    def parts(
        self, path: tuple[str, ...], query: Mapping[str, str | int], *, limit: int, exact: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        """As `items`, the parts of the list; `exact` reads numbers that a float has another text of as decimals."""
        cursor = ""
        while limit > 0:
            asked = {**query, "limit": min(limit, _PART), "cursor": cursor}
            asked = {name: value for name, value in asked.items() if value != ""}
            part = self._request("GET", path, params=asked, exact=exact)
            yield part
            limit -= len(part["items"])
            cursor = part["next"] or ""
            if not cursor:
                return

    def hub(self, name: str) -> str:
        """The hub that is meant: the named one, else the only one there is. Raises: typer.Exit."""
        if name:
            return name
        hubs = (
            [hub["name"] for hub in self.get("status")["hubs"]] if self._settings is None else list(self._settings.hubs)
        )
        if len(hubs) != 1:
            raise fail(f"say --hub: there are {', '.join(hubs) or 'none'}", Exit.WRONG_ARGUMENTS)
        return str(hubs[0])

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        patience: float = 0.0,
        root: str = "",
        complains: bool = False,
        exact: bool = False,
        **more: Any,
    ) -> Any:
        """`root` is what stands before the path unless it is of the API; `complains`: a 400 is an answer too."""
        import httpx

        where = root + _url(path)
        try:
            answer = self._stored(path, more) if self._is_at_rest else self._sent(method, where, patience, more)
            content = loads_as_written(answer.content) if exact else answer.json()
        except httpx.ConnectError as error:
            if _is_of_tls(error) or not self._can_read_store(method, path):
                raise self._unanswered(error) from error
            self._is_at_rest = True
            return self._request(method, path, exact=exact, **more)
        except httpx.RequestError as error:
            raise self._unanswered(error) from error
        except ValueError as error:
            if self._is_away(answer):
                raise AwayError(Exit.CANNOT_START) from error
            raise fail(
                f"{self._url} is no admin listener of pushbridge: it answers {answer.status_code} without JSON",
                Exit.CANNOT_START,
            ) from error
        if not isinstance(content, dict):
            raise fail(f"{self._url} is no admin listener of pushbridge", Exit.CANNOT_START)
        if answer.is_success or (complains and "applied" in content):
            return content
        raise self._refused(answer, content)

    def _refused(self, answer: "httpx.Response", content: Mapping[str, Any]) -> typer.Exit:
        import httpx

        if self._is_away(answer):
            return AwayError(Exit.CANNOT_START)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            said = "takes another admin token" if self._has_token else "wants its admin token"
            return fail(f"the daemon {said}: say --token-file, or --config", Exit.REFUSED)
        return fail(str(content.get("detail", answer.text)), Exit.REFUSED)

    def _is_away(self, answer: "httpx.Response") -> bool:
        """Whether the daemon begins or ends, and the command waits for its return."""
        return self.outlasts and answer.status_code in _BUSY

    def _sent(self, method: str, where: str, patience: float, more: Mapping[str, Any]) -> "httpx.Response":
        """The daemon's answer; of one that is busy, the answer after `patience` seconds at most."""
        until = time.monotonic() + patience
        answer = self._http.request(method, where, **more)
        while answer.status_code in _BUSY and time.monotonic() < until:
            after = answer.headers.get("retry-after", "")
            time.sleep(float(after) if after.isdigit() else _PAUSE)
            answer = self._http.request(method, where, **more)
        return answer

    def _unanswered(self, error: Exception) -> typer.Exit:
        if self.outlasts:
            return AwayError(Exit.CANNOT_START)
        why = str(error) or type(error).__name__
        return fail(
            f"no daemon answers at {self._url}: {why} (say --url, or --config of the daemon)", Exit.CANNOT_START
        )

    def _can_read_store(self, method: str, path: tuple[str, ...]) -> bool:
        """Whether the store answers in the daemon's place; said once on stderr."""
        from bridge.cli.at_rest import IN_STORE, KEPT

        is_kept = method == "GET" and (path[0] in KEPT or path[-1] == "trace" or path in IN_STORE)
        if self.outlasts or self._settings is None or not is_kept or self._settings.bridge.store.is_postgres:
            return False  # PostgreSQL is on another machine, and its password the daemon's
        if not self._settings.store_path.exists():
            return False
        typer.echo(f"no daemon answers at {self._url}: read from {self._settings.store_path}", err=True)
        return True

    def _stored(self, path: tuple[str, ...], more: Mapping[str, Any]) -> "httpx.Response":
        """Raises: typer.Exit."""
        from bridge.cli.at_rest import IN_STORE, answer_at_rest
        from hub.errors import StoreError

        assert self._settings is not None
        try:
            where = _url(IN_STORE.get(path, path))
            settings, asked = self._settings, more.get("params", {})
            return answer_at_rest(settings, self._config_hash, settings.store_path, where, asked)
        except StoreError as error:
            raise fail(str(error), Exit.CANNOT_START) from error


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether something answers, and is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _verified(certificate: Path | None) -> ssl.SSLContext:
    """Trust in the system's authorities, or in one certificate alone, whatever names it has."""
    context = ssl.create_default_context(cafile=certificate)
    if certificate is not None:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _url(path: Sequence[str]) -> str:
    return "/" + "/".join(_segment(segment) for segment in path)


def _segment(text: str) -> str:
    """One segment of a path. Dots alone would be taken for a step up: they are written as escapes."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def whoami() -> str:
    """Who asks, for the audit row: printable ASCII, as a header needs."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user, as in a container
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}".encode("ascii", "replace").decode()[:100]
