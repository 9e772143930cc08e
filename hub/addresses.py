"""Which addresses a connection may be made to whose target others name: public ones, and those that an operator allows.

A name says nothing: it may resolve to another address each time. So what is asked about is an address, at each connection.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")
_NEVER_PUBLIC = (ip_network("::/96"), ip_network("64:ff9b:1::/48"), ip_network("fec0::/10"))
"""IPv4 in IPv6 as it was once written, a site's own NAT64 (RFC 8215), site-local: Python takes these for global."""


@dataclass(frozen=True, slots=True)
class PublicAddresses:
    """Public addresses, and those of the networks `allowed`."""

    allowed: Sequence[Network] = ()

    def has(self, text: str) -> bool:
        """Whether a connection may be made to an address as `getaddrinfo` writes it."""
        address = _target(ip_address(text))
        return is_public(address) or any(address in network for network in self.allowed)

    def may_name(self, host: str) -> bool:
        """Whether a host is a name, or an address that may be connected to; for a proxy that resolves names itself."""
        address = literal(host)
        return address is None or self.has(str(address))


def literal(host: str) -> Address | None:
    """The address that a host is, in any form that resolvers take (`127.1`, `0x7f000001`); None for a name."""
    with suppress(ValueError):
        return ip_address(host.strip("[]"))
    with suppress(OSError, UnicodeError):
        return IPv4Address(socket.inet_aton(host))
    return None


def is_public(address: Address) -> bool:
    """Whether an address is one that everybody on the internet reaches, that which is inside of an IPv6 one included."""
    if isinstance(address, IPv6Address) and any(address in network for network in _NEVER_PUBLIC):
        return False
    inner = _target(address)
    return inner.is_global and not inner.is_multicast


def _target(address: Address) -> Address:
    """Where packets to an address go in the end: to an IPv4 one behind mapped, 6to4 and NAT64 ones."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
