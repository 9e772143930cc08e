"""How connections leave the process: through which proxy, and trusting whom.

Each part that connects to the outside has these keys in its own settings. What it leaves out, `bridge.egress` says. The
environment (`HTTP_PROXY`, `NO_PROXY`, ...) is not looked at: a daemon is to run the same by hand and as a service.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from hub.tls import CaFile, Tls

DIRECT = "direct"
"""In the place of a proxy: none, whatever `bridge.egress` says."""


class Proxy(NamedTuple):
    """An HTTP proxy that is asked to CONNECT (RFC 9110, section 9.3.6); `username` and `password` are empty without."""

    url: str
    host: str
    port: int
    username: str
    password: str

    @property
    def address(self) -> str:
        """Host and port, which may be shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:  # the rest has the password
        return f"Proxy({self.address})"


def _proxy_of(url: str) -> Proxy:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("not a proxy")
    if parts.port is None:
        raise ValueError("no port")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(url.rstrip("/"), parts.hostname, parts.port, username, password)


def _unless_empty(value: object) -> object:
    return None if value == "" else value  # `${env:HTTPS_PROXY:-}` without one


def _proxy_url(value: SecretStr) -> SecretStr:
    if value.get_secret_value() != DIRECT:
        try:
            _proxy_of(value.get_secret_value())
        except ValueError:  # what is wrong may be the rest of a password, so it is not shown
            raise ValueError(
                "not a proxy; write http://HOST:PORT, http://USER:PASSWORD@HOST:PORT, or direct for none; "
                "/ ? # @ : in a name or password are written %2F %3F %23 %40 %3A"
            ) from None
    return value


ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]
"""An HTTP proxy, or `direct`. As it may hold a password, it is never shown."""


def comma_separated(value: Any) -> Any:
    """A text as the list that it is, as in the variable NO_PROXY."""
    return [part for part in re.split(r"[,\s]+", value) if part] if isinstance(value, str) else value


def _direct_host(entry: str) -> str:
    """An entry of `no_proxy` as it is compared: `*`, a network, or a name without a dot before it."""
    if entry == "*":
        return entry
    try:
        return str(ip_network(entry.strip("[]"), strict=False))
    except ValueError:
        name = re.sub(r"^\*?\.", "", entry.lower())
        if not re.fullmatch(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", name):
            raise ValueError("expected a host, a domain such as .example.com, an address, a network, or *") from None
        return name


NoProxy = Annotated[tuple[Annotated[str, AfterValidator(_direct_host)], ...], BeforeValidator(comma_separated)]
"""Hosts that are reached without the proxy."""


class Egress(BaseModel):
    """How a client leaves: `proxy` takes it there unless `no_proxy` names the host, `tls` says whom it trusts."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    tls: Tls | None = None
    """Certificates to trust and to show."""
    proxy: Annotated[ProxyUrl | None, BeforeValidator(_unless_empty)] = None
    """An HTTP proxy in place of that of bridge.egress, or direct for none."""
    no_proxy: NoProxy | None = None
    """Hosts to reach without a proxy, in place of those of bridge.egress."""

    def behind(self, default: "EgressDefaults") -> Self:
        """The same with what is left out as `default` says."""
        return self.model_copy(
            update={
                "tls": trusting(self.tls, default.ca_file),
                "proxy": default.proxy if self.proxy is None else self.proxy,
                "no_proxy": default.no_proxy if self.no_proxy is None else self.no_proxy,
            }
        )

    def proxy_for(self, host: str) -> Proxy | None:
        """The proxy on the way to a host; None for the direct way."""
        url = None if self.proxy is None else self.proxy.get_secret_value()
        if url is None or url == DIRECT or is_listed(host, self.no_proxy or ()):
            return None
        return _proxy_of(url)


class EgressDefaults(BaseModel):
    """How everything leaves that has no keys of its own for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    proxy: Annotated[ProxyUrl | None, BeforeValidator(_unless_empty)] = None
    """An HTTP proxy, as http://USER:PASSWORD@HOST:PORT, that is asked to CONNECT; the environment's is not used."""
    no_proxy: NoProxy = ()
    """Hosts to reach without it: names with all below them, addresses, networks such as 10.0.0.0/8, or * for all."""
    ca_file: CaFile | None = None
    """Certificates in PEM to trust in place of the system's, such as those of a proxy that looks into TLS."""


def trusting(tls: Tls | None, ca_file: Any) -> Tls | None:
    """What trusts `ca_file` unless it says itself whom it trusts."""
    if ca_file is None or (tls is not None and tls.ca_file is not None):
        return tls
    return (tls or Tls()).model_copy(update={"ca_file": ca_file})


def is_listed(host: str, no_proxy: Sequence[str]) -> bool:
    """Whether a host is one that is reached without a proxy. A name is not resolved: networks hold for addresses alone."""
    if "*" in no_proxy:
        return True
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        return any(host == name or host.endswith(f".{name}") for name in no_proxy)
    return any(address in ip_network(entry) for entry in no_proxy if _is_network(entry))


def _is_network(entry: str) -> bool:
    return "/" in entry


def refusal(proxy: Proxy, status: int) -> str:
    """What a proxy means by answering CONNECT with a status that is not of the 200s, and what to look at."""
    why = ""
    if status == 407:
        why = ", it takes another user and password" if proxy.username else ", it asks for a user and password"
    if status == 403:
        why = ", it is not allowed to connect there"
    return f"proxy {proxy.address} refuses: HTTP {status}{why}"
