"""Where blobs may be: their URLs come from clients of ours, and must not lead to what this machine alone reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from hub.addresses import is_public, literal
from hub.egress import is_listed
from hub.errors import InvalidRequestError

_MAX_URL = 4096


@dataclass(frozen=True, slots=True)
class BlobAccess:
    """Which hosts may be connected to: `hosts` as in `no_proxy`, private ones and plain HTTP included.

    Without any of them: every host whose address is public, over HTTPS.
    """

    hosts: Sequence[str] = ()

    def check(self, url: str) -> SplitResult:
        """The parts of a URL that may be used. Raises: InvalidRequestError, which does not show what is secret in it."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise InvalidRequestError("the URI of a container or blob is none") from None
        if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidRequestError(f"the URI of a container or blob has up to {_MAX_URL} characters of ASCII")
        if not host or parts.username is not None or parts.fragment or not parts.path.strip("/"):
            raise InvalidRequestError("the URI of a container or blob has to be https://HOST/CONTAINER?SIGNATURE")
        if self.hosts and not self.is_named(host):
            raise InvalidRequestError(f"the host {host[:80]} is none of those that jobs may use")
        if parts.scheme != "https" and not (parts.scheme == "http" and self.hosts):
            raise InvalidRequestError("the URI of a container or blob has to begin with https://")
        if not self.hosts and (address := literal(host)) is not None and not is_public(address):
            raise InvalidRequestError(f"{host[:80]} is a private address, and jobs may not use it")
        return parts

    def is_named(self, host: str) -> bool:
        return is_listed(host, self.hosts)
