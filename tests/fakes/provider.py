"""A provider of OpenID Connect: keys of several kinds, tokens of its users, and a page of keys over HTTP."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.admin.listener import Listener
from bridge.config.models.listeners import Listen

AUDIENCE = "acme-mobile"


@cache
def rsa_key(number: int) -> RSAPrivateKey:
    """The same key for the same number: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


class Provider:
    """`keys` are those that it publishes, by id; `asked` counts how often they were fetched."""

    def __init__(self, issuer: str = "https://login.acme.example", *, audience: str = AUDIENCE) -> None:
        self.issuer = issuer
        self.audience = audience
        self.keys: dict[str, Any] = {}
        self.asked = 0
        self.fails = False
        self.add_rsa("rsa-1", 1)

    def add_rsa(self, key_id: str, number: int) -> None:
        self.keys[key_id] = rsa_key(number)

    def add_ec(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def token(
        self,
        subject: str,
        *,
        key_id: str = "rsa-1",
        algorithm: str = "RS256",
        key: Any = None,
        headers: Mapping[str, Any] | None = None,
        now: float | None = None,
        **claims: Any,
    ) -> str:
        """A token of a user, good for five minutes from `now`; a claim that is None is left out."""
        at = time.time() if now is None else now
        usual = {"iss": self.issuer, "aud": self.audience, "sub": subject, "iat": at, "exp": at + 300}
        whole = {name: value for name, value in (usual | claims).items() if value is not None}
        signing = self.keys[key_id] if key is None else key
        return jwt.encode(whole, signing, algorithm=algorithm, headers={"kid": key_id, **(headers or {})})

    def key_set(self) -> dict[str, Any]:
        """The public halves (RFC 7517)."""
        return {"keys": [{**_public(key), "kid": key_id, "use": "sig"} for key_id, key in self.keys.items()]}

    def app(self) -> Starlette:
        async def configuration(request: Request) -> Response:
            return self._answer({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})

        async def keys(request: Request) -> Response:
            self.asked += 1
            return self._answer(self.key_set())

        return Starlette(routes=[Route("/.well-known/openid-configuration", configuration), Route("/keys", keys)])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        """On a port of this machine, whose address is the issuer from then on."""
        listener = Listener(self.app(), Listen("127.0.0.1", 0))
        await listener.open()
        self.issuer = f"http://127.0.0.1:{listener.address.port}"
        try:
            yield self
        finally:
            await listener.close()

    def _answer(self, document: Mapping[str, Any]) -> Response:
        if self.fails:
            return Response("out of order", 503)
        return Response(orjson.dumps(document), media_type="application/json")


def _public(key: Any) -> dict[str, Any]:
    public = key.public_key()
    algorithm = RSAAlgorithm if isinstance(key, RSAPrivateKey) else ECAlgorithm
    document: dict[str, Any] = orjson.loads(algorithm.to_jwk(public))
    return document
