"""Stand-ins of the push services of phone makers, and of those that were given up: what a sender needs is a few texts."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.adm import Adm
from sandbox.baidu import Baidu
from sandbox.huawei import Huawei
from sandbox.journal import Clock, Journal
from sandbox.mpns import Mpns
from sandbox.server import HOST
from sandbox.service import PushService
from sandbox.tls import Authority
from sandbox.xiaomi import Xiaomi

PACKAGE = "com.example.pushbridge"
HUAWEI_APP = "100000001"
ADM_CLIENT = "amzn1.application-oa2-client.pushbridge"
BAIDU_KEY = "pushbridge-api-key"


class Vendors:
    """ADM, Xiaomi, Huawei, Baidu and MPNS; `secret` is that of all their apps."""

    def __init__(
        self, *, journal: Journal, authority: Authority, secret: str, accept_unknown: bool, clock: Clock
    ) -> None:
        self._secret = secret
        self.adm = Adm(
            journal=journal,
            context=authority.server_context(Adm.versions),
            apps={ADM_CLIENT: secret},
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.xiaomi = Xiaomi(
            journal=journal,
            context=authority.server_context(Xiaomi.versions),
            app_secret=secret,
            package_name=PACKAGE,
            accept_unknown=accept_unknown,
        )
        self.huawei = Huawei(
            journal=journal,
            context=authority.server_context(Huawei.versions),
            app_id=HUAWEI_APP,
            client_secret=secret,
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.baidu = Baidu(
            journal=journal,
            context=authority.server_context(Baidu.versions),
            api_key=BAIDU_KEY,
            secret_key=secret,
            accept_unknown=accept_unknown,
            clock=clock,
        )
        self.mpns = Mpns(
            journal=journal, context=authority.server_context(Mpns.versions), accept_unknown=accept_unknown
        )
        self.all: tuple[PushService, ...] = (self.adm, self.xiaomi, self.huawei, self.baidu, self.mpns)

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """By platform, what a sender needs to know, by the keys of `hubs.NAME.platforms`; known once started."""
        return {
            "adm": {"client_id": ADM_CLIENT, "client_secret": self._secret, "endpoint": self.adm.url},
            "xiaomi": {"app_secret": self._secret, "package_name": PACKAGE, "endpoint": self.xiaomi.url},
            "huawei": {
                "app_id": HUAWEI_APP,
                "client_secret": self._secret,
                "endpoint": self.huawei.url,
                "token_url": self.huawei.token_url,
            },
            "baidu": {"api_key": BAIDU_KEY, "secret_key": self._secret, "endpoint": self.baidu.url},
            "mpns": {"allowed_hosts": [HOST]},
        }

    def handles(self) -> Mapping[str, Callable[[str], str]]:
        """By platform, a well-formed push channel for each text of many hex digits."""
        return {
            "adm": lambda text: f"amzn1.adm-registration.v3.{text}",
            "xiaomi": lambda text: text[:64],
            "huawei": lambda text: f"IQAAAA{text}",
            "baidu": lambda text: f"{int(text[:15], 16)}-{int(text[15:30], 16)}",
            "mpns": lambda text: f"{self.mpns.url}/throttledthirdparty/01.00/{text}",
        }
