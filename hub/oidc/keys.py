"""A provider's public keys (RFC 7517): fetched when first needed, and again when a token names one that is not there.

A provider that rotates its keys publishes the new one before it signs with it, so a key that is not known is asked for at
once, but not more often than every few seconds: who invents names of keys makes the provider no work. Keys that were
fetched stay good while the provider cannot be reached.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from hub.host_time import HostTime, host_time
from hub.oidc.errors import ProviderError
from hub.oidc.settings import OidcSettings, checked_address
from hub.tls import Tls

RENEW_AFTER: Final = 3600.0
"""Seconds after which keys are fetched again, so that one that was withdrawn is good no longer."""

ASK_EVERY: Final = 10.0
"""Seconds between two requests for a key that is not known, and between two after a failure."""

_PATIENCE: Final = 5.0
_RENEWAL_PATIENCE: Final = 1.0
_MOST: Final = 512 * 1024  # bytes of an answer
_MOST_KEYS: Final = 100
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A public key, and the algorithms whose signatures it can check."""

    public: Any
    algorithms: frozenset[str]


class ProviderKeys:
    """The keys of one provider, by their ids. `clock` is monotonic, in seconds."""

    def __init__(self, settings: OidcSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._keys: Mapping[str, ProviderKey] | None = None
        self._fetched_at = self._asked_at = float("-inf")
        self._trouble = ""
        self.host_time: HostTime | None = None
        """The provider's clock by its last answer, if it said it."""

    async def get(self, key_id: str) -> ProviderKey | None:
        """The key, or None where the provider has none of that id. Raises: ProviderError.

        Who asks for a key that is not here waits while keys are fetched. One that is here is renewed, and that is waited
        for a moment only: a provider that does not answer delays nothing.
        """
        is_missing = self._keys is None or key_id not in self._keys
        is_due = self._is_due(key_id)
        if is_due:
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())  # of its own: who asked may leave
        if self._fetching is not None and (is_missing or is_due):
            await asyncio.wait([self._fetching], timeout=None if is_missing else _RENEWAL_PATIENCE)
        if self._keys is None:
            raise ProviderError(self._trouble)
        return self._keys.get(key_id)

    async def look(self) -> int:
        """How many usable keys the provider has now; none is kept. Raises: ProviderError."""
        return len(usable_keys(await self._documents(), self._settings.algorithms))

    def _is_due(self, key_id: str) -> bool:
        now = self._clock()
        is_fetching = self._fetching is not None and not self._fetching.done()
        if is_fetching or now - self._asked_at < ASK_EVERY:
            return False
        return self._keys is None or key_id not in self._keys or now - self._fetched_at >= RENEW_AFTER

    async def _fetch(self) -> None:
        """Keep what there is where the provider cannot be reached, or says what makes no sense."""
        try:
            self._keys = usable_keys(await self._documents(), self._settings.algorithms)
        except ProviderError as error:
            self._trouble = str(error)
            return
        self._fetched_at, self._trouble = self._clock(), ""

    async def _documents(self) -> Mapping[str, Any]:
        import httpx  # only who needs keys pays for it: httpx is a third of the time to start

        url = self._settings.jwks_uri or f"{self._settings.issuer.rstrip('/')}{_WELL_KNOWN}"
        proxy = self._settings.proxy_for(urlsplit(url).hostname or "")
        try:
            async with httpx.AsyncClient(
                verify=(self._settings.tls or Tls()).client_context() if url.startswith("https:") else False,
                proxy=None if proxy is None else proxy.url,
                trust_env=False,
                timeout=_PATIENCE,
                headers={"Accept-Encoding": "identity"},  # so that what is small cannot become large
            ) as client:
                document = await self._json(client, url)
                if self._settings.jwks_uri is not None:
                    return document
                return await self._json(client, keys_address(document, self._settings.issuer))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderError(f"{url}: {error or type(error).__name__}") from error

    async def _json(self, client: Any, url: str) -> Mapping[str, Any]:
        """The object at an address, of a bounded size. Raises: ProviderError; httpx.HTTPError."""
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(2 * _PATIENCE), client.stream("GET", url) as response:
            self.host_time = host_time(urlsplit(url).hostname or "", response.headers)
            if response.status_code != 200:
                raise ProviderError(f"{url}: HTTP {response.status_code}")
            async for part in response.aiter_raw():
                size += len(part)
                if size > _MOST:
                    raise ProviderError(f"{url}: more than {_MOST} bytes")
                parts.append(part)
        try:
            document = orjson.loads(b"".join(parts))
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ProviderError(f"{url}: no JSON object")
        return document


def keys_address(document: Mapping[str, Any], issuer: str) -> str:
    """Where the keys are, of a configuration (OpenID Connect Discovery 1.0, section 4). Raises: ProviderError."""
    if document.get("issuer") != issuer:
        raise ProviderError(f"the configuration of {issuer} is that of another issuer")
    try:
        return checked_address(document.get("jwks_uri"))
    except ValueError as error:
        raise ProviderError(f"the configuration of {issuer}: jwks_uri: {error}") from error


def usable_keys(document: Mapping[str, Any], algorithms: Collection[str]) -> dict[str, ProviderKey]:
    """The public keys that can check signatures of these algorithms, by id; others are passed over.

    Raises: ProviderError: there is no list of keys.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ProviderError("the provider's answer has no list of keys")
    found: dict[str, ProviderKey] = {}
    for each in listed[:_MOST_KEYS]:
        if isinstance(each, dict) and isinstance(key_id := each.get("kid"), str) and _is_plain(each):
            allowed = _algorithms_of(each) & frozenset(algorithms)
            if allowed and (public := _public_key(each, min(allowed))) is not None:
                found[key_id] = ProviderKey(public, allowed)
    return found


def _is_plain(key: Mapping[str, Any]) -> bool:
    """Whether what says which key it is are texts, where they are there: one that makes no sense spoils no other."""
    return all(isinstance(key.get(name, ""), str) for name in ("kty", "crv", "alg", "use"))


def _algorithms_of(key: Mapping[str, Any]) -> frozenset[str]:
    """What a key is for: the one algorithm that it names, else those of its kind. A secret key (`oct`) is for none."""
    if key.get("use", "sig") != "sig":
        return frozenset()
    of_kind = _BY_CURVE.get(key.get("crv"), ()) if key.get("kty") in ("EC", "OKP") else _BY_KIND.get(key.get("kty"), ())
    named = key.get("alg")
    return frozenset(of_kind) if named is None else frozenset(of_kind) & {named}


def _public_key(key: Mapping[str, Any], algorithm: str) -> Any:
    """None for one that cannot be read, or is too short to be trusted."""
    try:
        public = PyJWK.from_dict(dict(key), algorithm=algorithm).key
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if hasattr(public, "private_numbers") or getattr(public, "key_size", _SHORTEST_RSA) < _shortest(key):
        return None
    return public


def _shortest(key: Mapping[str, Any]) -> int:
    return _SHORTEST_RSA if key.get("kty") == "RSA" else 0


_SHORTEST_RSA: Final = 2048  # bits (RFC 7518, section 3.3)
_BY_KIND: Final[Mapping[object, tuple[str, ...]]] = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
_BY_CURVE: Final[Mapping[object, tuple[str, ...]]] = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
