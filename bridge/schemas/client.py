"""The registry's HTTP API (Confluent Schema Registry, API v1): three requests, their answers bounded and told apart.

LookupFailedError           root; `result` is what the lookup is counted as
├── UnknownSchemaError      the registry works, and has no such id, subject or version yet
├── RegistryRefusedError    it does not let us: credentials, or rights
└── RegistryAwayError       no instance answers in the registry's words
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlsplit

import orjson

from bridge.schemas.settings import RegistrySettings
from hub.explained import Explained
from hub.host_time import HostTime, host_time
from hub.tls import Tls

if TYPE_CHECKING:
    import httpx

MAX_ANSWER: Final = 2 * 1024 * 1024
"""Bytes of an answer: a schema is a text in it."""

_PHASES: Final = 3
"""Connecting, TLS and the answer have `timeout` each, and so many together: httpx ends each in order, and leaves its
socket open where it is cancelled in a handshake."""

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_NOT_FOUND: Final = (40401, 40402, 40403)
"""Error codes of what is not there: a subject, a version, a schema."""


class LookupResult(Explained):
    """How a lookup of a schema ended."""

    FOUND = "found", "The registry gave the schema, which is kept from now on."
    UNUSABLE = "unusable", "The registry gave a schema that no body can be read by: its messages are dead letters."
    UNKNOWN = "unknown", "The registry has no schema of that id yet, or not one that it refers to: messages wait."
    REFUSED = "refused", "The registry refuses the credentials, or they may not read the schema: messages wait."
    UNREACHABLE = "unreachable", "No instance of the registry answers: messages wait."


class LookupFailedError(Exception):
    """No schema, for the reason that the text says."""

    result = LookupResult.UNREACHABLE


class UnknownSchemaError(LookupFailedError):
    """The registry has no such schema; it may come."""

    result = LookupResult.UNKNOWN


class RegistryRefusedError(LookupFailedError):
    """An operator has to change the credentials, or what they may do."""

    result = LookupResult.REFUSED


class RegistryAwayError(LookupFailedError):
    """No instance of the registry answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A schema as the registry has it; `references` are (name, subject, version)."""

    text: str
    kind: str
    references: Sequence[tuple[str, str, int]]


class RegistryClient:
    """`async with RegistryClient(settings) as client`; nothing is asked before a method is called.

    Raises: RegistryAwayError: a file of the TLS settings is gone.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._clients: dict[str, httpx.AsyncClient] = {}
        self.host_time: HostTime | None = None
        """The clock of the instance that answered last, if it said it."""

    async def __aenter__(self) -> Self:
        for url in self._settings.url:
            self._clients[url] = self._client_for(url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def schema(self, id: int) -> Answer:
        """The schema of an id. Raises: LookupFailedError."""
        return _answer(await self._get(f"/schemas/ids/{id}", f"schema {id}"))

    async def version(self, subject: str, version: int) -> Answer:
        """What a schema refers to, also where it was deleted softly since. Raises: LookupFailedError."""
        path = f"/subjects/{quote(subject, safe='')}/versions/{version}?deleted=true"
        return _answer(await self._get(path, f"version {version} of subject {subject[:200]!r}"))

    async def look(self) -> None:
        """See that the registry answers, and lets us in. Raises: LookupFailedError."""
        await self._get("/schemas/types", "/schemas/types")

    def _client_for(self, url: str) -> "httpx.AsyncClient":
        import httpx  # only where it is used: a third of the time to start

        settings = self._settings
        parts = urlsplit(url)
        proxy = settings.proxy_for(parts.hostname or "")
        try:
            verify = (settings.tls or Tls()).client_context() if parts.scheme == "https" else False
        except OSError as error:
            raise RegistryAwayError(f"schema registry {url}: TLS: {error}") from error
        return httpx.AsyncClient(
            verify=verify,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
            timeout=settings.timeout,
            headers={
                "Accept": f"{_MEDIA_TYPE}, application/json",
                "Accept-Encoding": "identity",  # so that what is small cannot become large
                "User-Agent": "pushbridge",
            }
            | _authorization(settings),
        )

    async def _get(self, path: str, what: str) -> Any:
        """What the first instance says that answers. Raises: LookupFailedError."""
        away: list[str] = []
        for url, client in self._clients.items():
            try:
                return await self._ask(client, url, path, what)
            except RegistryAwayError as error:
                away.append(str(error))
        raise RegistryAwayError("; ".join(away))

    async def _ask(self, client: "httpx.AsyncClient", url: str, path: str, what: str) -> Any:
        import httpx

        try:
            async with asyncio.timeout(_PHASES * self._settings.timeout):
                status, headers, body = await _bounded(client, f"{url}{path}")
        except (TimeoutError, httpx.TimeoutException):
            raise RegistryAwayError(f"schema registry {url}: no answer within {self._settings.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise RegistryAwayError(f"schema registry {url}: {error or type(error).__name__}") from error
        self.host_time = host_time(urlsplit(url).hostname or "", headers)
        if status in (401, 403):
            why = "it refuses the credentials" if status == 401 else f"it does not let us read {what}"
            raise RegistryRefusedError(f"schema registry {url}: HTTP {status}, {why}: look at registry.auth")
        try:
            said = orjson.loads(body)
        except orjson.JSONDecodeError:
            said = None
        if status == 404 and isinstance(said, dict) and said.get("error_code") in _NOT_FOUND:
            raise UnknownSchemaError(f"schema registry {url} has no {what} yet")
        if status != 200 or said is None:
            hint = ": see whether registry.url is right" if 300 <= status < 500 else ""
            raise RegistryAwayError(f"schema registry {url}: HTTP {status}, and no {what}{hint}")
        return said


async def _bounded(client: "httpx.AsyncClient", url: str) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body. Raises: RegistryAwayError: the body has no end."""
    parts: list[bytes] = []
    size = 0
    async with client.stream("GET", url) as response:
        async for part in response.aiter_raw():
            size += len(part)
            if size > MAX_ANSWER:
                raise RegistryAwayError(f"schema registry {url}: an answer of more than {MAX_ANSWER} bytes")
            parts.append(part)
        return response.status_code, response.headers, b"".join(parts)


def _answer(said: Any) -> Answer:
    """Raises: RegistryAwayError: it is no schema."""
    if not isinstance(said, Mapping) or not isinstance(text := said.get("schema"), str):
        raise RegistryAwayError("the schema registry answers with no schema: see whether registry.url is right")
    listed = said.get("references") or []
    try:
        references = [(str(each["name"]), str(each["subject"]), int(each["version"])) for each in listed]
    except (KeyError, TypeError, ValueError):
        raise RegistryAwayError(
            "the schema registry answers with references that name no subject and version"
        ) from None
    return Answer(text, str(said.get("schemaType") or "AVRO"), references)


def _authorization(settings: RegistrySettings) -> dict[str, str]:
    return {} if settings.auth is None else {"Authorization": settings.auth.authorization().decode()}


async def look(settings: RegistrySettings, clocks: list[HostTime]) -> None:
    """See that a registry answers and lets us in; what its clock says joins `clocks`. Raises: LookupFailedError."""
    async with RegistryClient(settings) as client:
        try:
            await client.look()
        finally:
            if client.host_time is not None:
                clocks.append(client.host_time)
