"""`bridge.egress` and what each part says instead: proxies, hosts without one, and whom to trust."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.config.show import as_understood
from hub.egress import Egress, is_listed
from hub.notification import Platform
from sandbox.services import PushServices
from sandbox.tls import Authority
from tests.bridge.examples import read as settings_of
from tests.bridge.examples import section
from tests.bridge.test_app import configuration, readiness, running, services, until
from tests.brokers.ways import ConnectProxy

__all__ = ["services"]

PROXY = "http://bridge:canary@proxy.corp:3128"
NAMESPACE = "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=canary"


@pytest.fixture(autouse=True)
def authority(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        Authority(tmp_path / name)


def parts(egress: dict[str, Any], **own: Any) -> dict[str, Any]:
    """A configuration with every kind of part that connects to the outside; `own` is said by each of them."""
    wns = {"tenant": "t", "client_id": "c", "client_secret": "canary"}
    broker = {"url": "amqps://broker.corp/", "queue": {"name": "q"}} | {key: own[key] for key in own if key == "tls"}
    return {
        "bridge": {"egress": egress},
        "sources": {
            "shop": {"rabbitmq": broker, "map": {"id": "{{ data.id }}"}},
            "bank": {"servicebus": {"connection": {"connection_string": NAMESPACE, **own}, "queue": {"name": "q"}}},
        },
        "hubs": {
            "app": {"default": True, "platforms": {"wns": {**wns, **own}}},
            "far": {"remote": {"connection_string": NAMESPACE, **own}},
        },
    }


def read(directory: Path, document: dict[str, Any]) -> tuple[Settings | None, list[str]]:
    (directory / "c.yaml").write_text(yaml.safe_dump(document))
    settings, problems = check(directory / "c.yaml", environ={})
    said = [str(problem).partition(": ")[2] for problem in problems if "stands in clear" not in problem.message]
    return settings, said


def egress_of(settings: Settings | None) -> dict[str, Egress]:
    """By part, as it connects."""
    assert settings is not None
    bank: Any = settings.sources["bank"].connector_settings
    far = settings.hubs["far"].remote
    assert far is not None
    return {"bank": bank.connection, "wns": settings.hubs["app"].platforms.settings[Platform.WNS], "far": far}


def test_every_part_leaves_as_egress_says(tmp_path: Path) -> None:
    egress = {"proxy": PROXY, "no_proxy": [".corp", "10.0.0.0/8"], "ca_file": "ours/ca.pem"}
    settings, problems = read(tmp_path, parts(egress))
    assert problems == []
    for part in egress_of(settings).values():
        proxy = part.proxy_for("push.example")
        assert proxy is not None
        assert (proxy.host, proxy.port, proxy.username, proxy.password) == ("proxy.corp", 3128, "bridge", "canary")
        assert part.proxy_for("hub.corp") is part.proxy_for("10.1.2.3") is None
        assert part.tls is not None
        assert part.tls.ca_file == tmp_path / "ours/ca.pem"
    assert settings is not None
    shop: Any = settings.sources["shop"].connector_settings
    assert shop.tls.ca_file == tmp_path / "ours/ca.pem"


def test_a_part_says_otherwise_for_itself(tmp_path: Path) -> None:
    egress = {"proxy": PROXY, "no_proxy": "*", "ca_file": "ours/ca.pem"}
    own = {"proxy": "http://other.corp:8080", "no_proxy": "", "tls": {"ca_file": "theirs/ca.pem"}}
    settings, problems = read(tmp_path, parts(egress, **own))
    assert problems == []
    for part in egress_of(settings).values():
        proxy = part.proxy_for("push.example")
        assert proxy is not None
        assert proxy.address == "other.corp:8080"
        assert part.tls is not None
        assert part.tls.ca_file == tmp_path / "theirs/ca.pem"
    settings, _ = read(tmp_path, parts({"proxy": PROXY, "no_proxy": "broker.corp"}, proxy="direct"))
    assert [part.proxy_for("push.example") for part in egress_of(settings).values()] == [None] * 3


def test_a_source_whose_client_can_use_no_proxy_is_named_once_there_is_one(tmp_path: Path) -> None:
    said = (
        "sources.shop.rabbitmq: warning: its client can use no proxy: it connects to broker.corp directly, "
        "and not through bridge.egress.proxy (name broker.corp in bridge.egress.no_proxy if that is meant)"
    )
    assert read(tmp_path, parts({"proxy": PROXY}))[1] == [said]
    assert read(tmp_path, parts({"proxy": PROXY, "no_proxy": ["broker.corp"]}))[1] == []
    assert read(tmp_path, parts({}))[1] == []
    document = parts({"proxy": PROXY, "no_proxy": ["broker.corp"]})
    emulator = f"{NAMESPACE};UseDevelopmentEmulator=true"
    document["sources"]["bank"]["servicebus"]["connection"]["connection_string"] = emulator
    assert [problem.split(":")[0] for problem in read(tmp_path, document)[1]] == ["sources.bank.servicebus"]


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.corp:3128",
        "https://proxy.corp:3128",
        "http://proxy.corp",
        "http://a:b/canary@h:1",
        "http://h:1/x",
        "http://:1",
    ],
)
def test_what_is_no_proxy_is_a_mistake_that_shows_no_password(tmp_path: Path, proxy: str) -> None:
    settings, problems = read(tmp_path, {"bridge": {"egress": {"proxy": proxy}}, "hubs": {"app": {}}})
    assert settings is None
    assert [problem.split("; ")[0] for problem in problems] == ["bridge.egress.proxy: not a proxy"]
    assert "canary" not in problems[0]


@pytest.mark.parametrize("entry", ["http://x", "10.0.0.0/33", "a b c:1", "-x"])
def test_what_is_no_host_is_a_mistake(tmp_path: Path, entry: str) -> None:
    settings, problems = read(tmp_path, {"bridge": {"egress": {"no_proxy": [entry]}}, "hubs": {"app": {}}})
    assert settings is None
    assert problems[0].startswith("bridge.egress.no_proxy[0]: expected a host")


def test_a_proxy_of_the_environment_may_be_named_and_may_be_missing(tmp_path: Path) -> None:
    egress = {"proxy": "${env:HTTPS_PROXY:-}", "no_proxy": "${env:NO_PROXY:-}"}
    settings, problems = read(tmp_path, parts(egress))
    assert problems == []
    assert egress_of(settings)["wns"].proxy_for("push.example") is None


def test_the_password_of_a_proxy_is_shown_nowhere(tmp_path: Path) -> None:
    settings, _ = read(tmp_path, parts({"proxy": PROXY, "no_proxy": "broker.corp"}))
    assert settings is not None
    shown = as_understood(settings, tmp_path / "c.yaml")
    assert yaml.safe_load(shown)["bridge"]["egress"]["proxy"] == "(secret)"
    proxy = egress_of(settings)["wns"].proxy_for("push.example")
    assert "canary" not in f"{shown} {settings!r} {proxy!r}"


@pytest.mark.parametrize(
    ("tls", "url", "message"),
    [
        ({"ca_file": "ours/ca.pem"}, "amqp://broker/", "tls is for an amqps:// url"),
        (
            {},
            "amqps://broker/?ssl_options=%7B%27ca_certs%27%3A%27x%27%7D",
            "write either tls or the ssl_options of url",
        ),
        ({"cert": "ours/server.pem"}, "amqps://broker/", "cert and key go together"),
        ({"cert": "ours/server.pem", "key": "theirs/server.pem"}, "amqps://broker/", "cert is no certificate in PEM"),
        ({"ca_file": "nowhere.pem"}, "amqps://broker/", "there is no file"),
        ({"ca_file": "c.yaml"}, "amqps://broker/", "there is no certificate in"),
    ],
)
def test_tls_that_cannot_be_is_named(tmp_path: Path, tls: dict[str, str], url: str, message: str) -> None:
    document = {"sources": {"a": {"rabbitmq": {"url": url, "queue": {"name": "q"}, "tls": tls}}}}
    settings, problems = read(tmp_path, document)
    assert settings is None
    assert any(message in problem for problem in problems)


@pytest.mark.parametrize(
    ("host", "no_proxy", "listed"),
    [
        ("hub.corp", "hub.corp", True),
        ("a.hub.corp.", "hub.corp", True),
        ("HUB.corp", ".Corp", True),
        ("corp", ".corp", True),
        ("a.corp", "*.corp", True),
        ("xcorp", "corp", False),
        ("hub.corp", "10.0.0.0/8, other.corp", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("::1", "[::1]", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("anything", "a.corp *", True),
        ("anything", "", False),
    ],
)
def test_no_proxy_lists_hosts_domains_addresses_and_networks(host: str, no_proxy: str, listed: bool) -> None:
    part = Egress.model_validate({"proxy": PROXY, "no_proxy": no_proxy})
    assert is_listed(host, part.no_proxy or ()) is listed
    assert (part.proxy_for(host) is None) is listed


@pytest.mark.slow
async def test_a_push_travels_through_the_proxy_and_one_that_refuses_is_named_by_log_and_readiness(
    services: PushServices, tmp_path: Path
) -> None:
    anna = services.add_phone("anna", "fcmv1")
    _, *others = configuration(services)
    async with ConnectProxy(credentials="bridge:right") as proxy:

        def told(password: str) -> Settings:
            url = f"http://bridge:{password}@127.0.0.1:{proxy.port}"
            bridge = {"http": {"listen": "127.0.0.1:0"}, "egress": {"proxy": url}}
            return settings_of(tmp_path, section("bridge", bridge), *others)

        with capture_logs() as logs:
            async with running(Daemon(told("canary"))) as bench:
                await bench.register(anna, "team:sales")
                await bench.post("Eve joined sales")
                await until(lambda: any("HTTP 407" in line for line in readiness(bench.daemon)[1]))
                shown = "\n".join(readiness(bench.daemon)[1])
                assert proxy.tunnels == []
                await bench.daemon.apply(told("right"), config_hash="2")
                await until(lambda: len(anna.received) == 1)
    assert f"proxy 127.0.0.1:{proxy.port} refuses: HTTP 407, it takes another user and password" in shown
    assert any("HTTP 407" in str(line) for line in logs)
    assert "canary" not in shown + str(logs)
    assert set(proxy.tunnels) == {services.fcm.url.removeprefix("https://")}
