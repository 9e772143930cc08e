"""Whether a request shows what the settings ask for."""

import base64
import hmac

from starlette.requests import Request

from connectors.http.settings import Auth


def is_authorized(request: Request, auth: Auth) -> bool:
    """Compares in constant time.

    A bearer token may also stand in the query as `access_token` (CloudEvents web hooks 1.0, section 3.2), since many
    senders can only be given an address.
    """
    scheme, expected = _expected(auth)
    shown_scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme == "bearer" and not shown_scheme:
        return hmac.compare_digest(request.query_params.get("access_token", "").encode(), expected)
    return hmac.compare_digest(shown.strip().encode(), expected) and shown_scheme.lower() == scheme


def challenge(auth: Auth, realm: str) -> str:
    """The `WWW-Authenticate` header of a refusal (RFC 9110, section 11.6.1)."""
    return f'{"Basic" if auth.bearer is None else "Bearer"} realm="{realm}"'


def _expected(auth: Auth) -> tuple[str, bytes]:
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password.get_secret_value()}"
        return "basic", base64.b64encode(pair.encode())
    assert auth.bearer is not None
    return "bearer", auth.bearer.get_secret_value().encode()
