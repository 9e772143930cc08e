"""Which web pages may post: a browser lets any page send a plain text anywhere, with the credentials it has kept."""

from collections.abc import Mapping, Sequence

_FROM_A_PAGE = frozenset({"cross-site", "same-site"})


def is_refused(headers: Mapping[str, str], allowed: Sequence[str]) -> bool:
    """Whether a request comes from a page whose origin is not allowed (RFC 6454; Fetch Metadata, `Sec-Fetch-Site`).

    A page of our own host is refused too: by DNS rebinding any page can be that. What is no browser names no origin.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "").lower() in _FROM_A_PAGE
    return origin.lower() not in allowed


def is_preflight(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks before it lets a page post (Fetch, "CORS-preflight request")."""
    return "origin" in headers and "access-control-request-method" in headers


def consent(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that let an allowed page read the answer and, in the answer to a preflight, let the page post."""
    if "origin" not in headers:
        return {}
    answer = {"access-control-allow-origin": headers["origin"], "vary": "Origin"}
    if is_preflight(headers):
        answer["access-control-allow-methods"] = "POST"
        answer["access-control-allow-headers"] = headers.get("access-control-request-headers", "")
    return answer
