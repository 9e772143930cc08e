"""Where a hub elsewhere is, and the key to it; apart from its client, which needs libcurl."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """`endpoint` is `https://host[:port]`, without a slash at its end; the key is text, never base64-decoded."""

    endpoint: str
    hub: str
    key_name: str
    key: str = field(repr=False)
    ca_file: str | None = None

    @classmethod
    def from_connection_string(cls, text: str, *, hub: str, ca_file: str | None = None) -> Self:
        """From what the portal shows: `Endpoint=sb://…/;SharedAccessKeyName=…;SharedAccessKey=…`.

        Raises: ValueError: names what is missing or cannot be.
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
        url = urlsplit(parts["endpoint"])
        if url.scheme not in ("sb", "https") or not url.hostname or url.path.strip("/"):
            raise ValueError("Endpoint has to be sb://HOST/ or sb://HOST:PORT/, with no path")
        return cls(
            endpoint=f"https://{url.netloc}",
            hub=parts.get("entitypath") or hub,
            key_name=parts["sharedaccesskeyname"],
            key=parts["sharedaccesskey"],
            ca_file=ca_file,
        )
