"""Where a remote hub is, and the key to it; apart from its client, which needs libcurl."""

import re
from dataclasses import dataclass, field
from typing import Self

from hub.egress import Egress

_ENDPOINT = re.compile(
    r"(?:sb|https)://(?P<authority>(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?)/*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """`endpoint` is `https://host[:port]`, without a slash at its end; the key is text, never base64-decoded."""

    endpoint: str
    hub: str
    key_name: str
    key: str = field(repr=False)
    egress: Egress = field(default_factory=Egress)

    @classmethod
    def from_connection_string(cls, text: str, *, hub: str, egress: Egress | None = None) -> Self:
        """From what the portal shows: `Endpoint=sb://…/;SharedAccessKeyName=…;SharedAccessKey=…`.

        An `EntityPath` in it wins over `hub`.

        Raises: ValueError: names what is missing or cannot be, never a value.
        """
        parts = {}
        for part in filter(None, text.strip().split(";")):
            name, separator, value = part.partition("=")
            if not separator:
                raise ValueError("a part of the connection string has no `=`")
            parts[name.strip().lower()] = value.strip()
        missing = [
            name for name in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey") if not parts.get(name.lower())
        ]
        if missing:
            raise ValueError(f"the connection string has no {' and no '.join(missing)}")
        endpoint = _ENDPOINT.fullmatch(parts["endpoint"])
        if endpoint is None or int(endpoint["port"] or 443) > 65_535:
            raise ValueError("Endpoint has to be sb://HOST/ or sb://HOST:PORT/, with no path")
        return cls(
            endpoint=f"https://{endpoint['authority']}",
            hub=parts.get("entitypath") or hub,
            key_name=parts["sharedaccesskeyname"],
            key=parts["sharedaccesskey"],
            egress=egress or Egress(),
        )
