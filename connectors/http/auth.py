"""Whether a request to a source shows what the settings ask for."""

from starlette.requests import Request

from connectors.auth import Auth


def is_authorized(request: Request, auth: Auth) -> bool:
    """Whether the request shows one of the secrets.

    A bearer token may also stand in the query as `access_token` (CloudEvents web hooks 1.0, section 3.2), since many
    senders can only be given an address.
    """
    authorization = request.headers.get("authorization", "")
    if auth.bearer is not None and not authorization:
        return auth.is_one(request.query_params.get("access_token", "").encode())
    return auth.is_shown(authorization.encode("latin-1"))


def challenge(auth: Auth, realm: str) -> str:
    """The `WWW-Authenticate` header of a refusal (RFC 9110, section 11.6.1)."""
    return f'{auth.scheme} realm="{realm}"'
