"""Old spellings of keys: accepted, named once, and no second word beside the present one."""

from pathlib import Path

from bridge.config.load import check
from bridge.config.models.document import Settings
from connectors.http.settings import HttpSettings
from connectors.rabbitmq.settings import DeadLetterExchange, RabbitMqSettings
from connectors.servicebus.settings import ServiceBusSettings
from hub.notification import Platform
from rules.problems import Problem
from sandbox.tls import Authority

ROOT = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / "configs"
QUEUE = "{ url: 'amqp://x', queue: { name: q } }"


def checked(text: str, directory: Path) -> tuple[Settings | None, list[Problem]]:
    (directory / "c.yaml").write_text(text)
    return check(directory / "c.yaml", environ={})


def test_amqp_is_rabbitmq_wherever_a_connector_is_named_and_is_told_of_once(tmp_path: Path) -> None:
    text = f"""
sources:
  a: {{ amqp: {QUEUE}, map: {{ id: "{{{{ data.id }}}}" }} }}
  b: {{ amqp: {QUEUE}, map: {{ id: "{{{{ data.id }}}}" }} }}
dead_letters: {{ sources: {{ a: {{ amqp: {{ exchange: dead, key: 5 }} }} }} }}
"""
    settings, problems = checked(text, tmp_path)
    assert [str(problem).partition("c.yaml:")[2] for problem in problems] == [
        "3:8: sources.a.amqp: warning: is an old spelling (write rabbitmq)"
    ]
    assert settings is not None
    assert all(isinstance(source.connector_settings, RabbitMqSettings) for source in settings.sources.values())
    assert settings.dead_letters.sources["a"].place is not None
    assert settings.dead_letters.sources["a"].place[1] == DeadLetterExchange(exchange="dead", key="5")


def test_a_mistake_below_an_old_key_is_named_as_it_is_written(tmp_path: Path) -> None:
    _, problems = checked(f"sources: {{ a: {{ amqp: {QUEUE.replace('name', 'nme')}, map: {{ id: x }} }} }}", tmp_path)
    assert "sources.a.amqp.queue.nme" in [problem.key for problem in problems]


def test_an_old_spelling_beside_the_present_one_is_a_mistake(tmp_path: Path) -> None:
    settings, problems = checked(
        f"sources: {{ a: {{ rabbitmq: {QUEUE}, amqp: {QUEUE}, map: {{ id: '{{{{ data.id }}}}' }} }} }}", tmp_path
    )
    assert settings is None
    assert [(problem.key, problem.message) for problem in problems] == [
        ("sources.a.amqp", "is an old spelling of rabbitmq, which stands beside it")
    ]


def test_dead_letters_go_to_no_place_of_another_broker(tmp_path: Path) -> None:
    text = """
sources: { a: { servicebus: { queue: { name: q } } } }
dead_letters: { sources: { a: { rabbitmq: { exchange: x, key: y } } } }
"""
    _, problems = checked(text, tmp_path)
    found = [problem.message for problem in problems if problem.key == "dead_letters.sources.a.rabbitmq"]
    assert found == ["the source is of Service Bus"]


def test_what_is_spelled_as_in_0_1_0_means_the_same() -> None:
    settings, _ = check(CONFIGS / "old-spellings.yaml", environ={})
    assert settings is not None
    admin = settings.listeners.admin
    assert (admin.address, admin.connections.max) == (("127.0.0.1", 8081), 10)
    assert admin.auth is not None
    assert admin.auth.authorization() == b"Bearer canary"
    assert settings.listeners.hub_api.address == ("127.0.0.1", 8444)
    http, news = (settings.sources[name] for name in ("hr", "news"))
    assert isinstance(http.connector_settings, HttpSettings)
    assert (http.decode.max_body, http.connector_settings.receive.max_in_flight) == (65_536, 5)
    assert news.decode.max_body == 1_048_576
    bus = settings.sources["bank"].connector_settings
    assert isinstance(bus, ServiceBusSettings)
    assert bus.receive.sessions is not None
    assert (bus.receive.max_in_flight, bus.receive.sessions.max_in_flight) == (9, 3)
    shop = settings.sources["shop"].connector_settings
    assert isinstance(shop, RabbitMqSettings)
    assert (shop.receive.credit, shop.receive.slots) == (7, 7)
    hub = settings.hubs["app"]
    assert hub.limits.max_tags.mixed == 30
    assert [key.get_secret_value() for key in hub.auth.sas[0].key] == ["canary-1", "canary-2"]
    pushes = [rule.push for rule in settings.rules.rules]
    platforms = [None if push is None else push.platforms for push in pushes]
    assert platforms == [frozenset({Platform.FCM}), frozenset({Platform.WNS}), frozenset({Platform.APNS})]


def test_no_rule_or_example_of_ours_has_an_old_spelling() -> None:
    for file in (ROOT / "examples.yaml", ROOT / "bridge" / "demo" / "demo.yaml"):
        _, problems = check(file, environ={}, no_secrets=True)
        assert [str(problem) for problem in problems if "old spelling" in problem.message] == []


def test_certificates_to_trust_stood_without_tls(tmp_path: Path) -> None:
    Authority(tmp_path)
    string = "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=canary"
    text = f"""
sources:
  bank: {{ servicebus: {{ connection: {{ connection_string: "{string}", ca_file: ca.pem }}, queue: {{ name: q }} }} }}
hubs:
  app: {{ platforms: {{ wns: {{ tenant: t, client_id: c, client_secret: canary, ca_file: ca.pem }} }} }}
  far: {{ remote: {{ connection_string: "{string}", ca_file: ca.pem }} }}
"""
    settings, problems = checked(text, tmp_path)
    said = [str(problem).partition("c.yaml:")[2] for problem in problems]
    assert [line for line in said if "stands in clear" not in line] == [
        "5:78: hubs.app.platforms.wns.ca_file: warning: is an old spelling (write hubs.app.platforms.wns.tls.ca_file)"
    ]
    assert settings is not None
    bank, app, far = settings.sources["bank"].connector_settings, settings.hubs["app"], settings.hubs["far"].remote
    assert isinstance(bank, ServiceBusSettings)
    assert far is not None
    egresses = [bank.connection, app.platforms.settings[Platform.WNS], far]
    assert [each.tls and each.tls.ca_file for each in egresses] == [tmp_path / "ca.pem"] * 3
