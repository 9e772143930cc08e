"""A daemon that is another one's remote hub: a sidecar's central, or an Azure Notification Hub that phones come from."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hub.delivery.remote_settings import RemoteSettings
from hub.egress import Egress
from hub.tls import Tls
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon
from tests.ports import free_ports


class Central:
    """Known by its wire API over TLS alone: `async with Central(directory, hubs, ca_file=…) as central`.

    `directory` is made for its own files. The certificate `server.pem` stands beside `ca_file`, that of its authority.
    """

    def __init__(self, directory: Path, hubs: Mapping[str, Any], *, ca_file: Path) -> None:
        directory.mkdir()
        (self.port,) = free_ports(1)
        self.ca_file = ca_file
        self.url = f"https://127.0.0.1:{self.port}"
        certificate = str(ca_file.parent / "server.pem")
        api = {"listen": f"127.0.0.1:{self.port}", "tls": {"cert": certificate, "key": certificate}}
        self.daemon = Daemon(directory, {"hub_api": api, "hubs": hubs})
        self.daemon.hub_url = self.url

    async def __aenter__(self) -> Self:
        await self.daemon.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.daemon.__aexit__(kind, error, traceback)

    @property
    def settings(self) -> RemoteSettings:
        """For a client of its hub."""
        egress = Egress(tls=Tls(ca_file=self.ca_file))
        return RemoteSettings(endpoint=self.url, hub=HUB, key_name=KEY_NAME, key=KEY, egress=egress)

    def remote(self, *, key: str = KEY, **more: Any) -> dict[str, Any]:
        """`remote` of a hub that is its hub."""
        string = f"Endpoint=sb://127.0.0.1:{self.port}/;SharedAccessKeyName={KEY_NAME};SharedAccessKey={key}"
        return {"connection_string": string, "hub": HUB, "tls": {"ca_file": str(self.ca_file)}, **more}
