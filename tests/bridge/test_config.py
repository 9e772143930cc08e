"""Settings as read, and `examples.yaml`, which runs as it stands and shows how to switch on more."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import rules
from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.decode import decoder_for
from bridge.decode.mapping import DecodedMessage
from connectors.base import Message
from connectors.http.settings import HttpSettings
from hub.notification import TemplateContent
from hub.platforms.table import services
from hub.rate import Rate
from hub.tags import MaxTags
from sandbox.tls import Authority
from tests.hub.platforms.keys import p256_key, pem_of, rsa_key

EXAMPLES = (Path(rules.__file__).parent.parent / "examples.yaml").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^#>.*\n)+", EXAMPLES, re.MULTILINE)
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ENVIRON = {"AAD_TENANT": "t", "WNS_ID": "i", "WNS_SECRET": "s"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the files that the examples name."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    account = {"project_id": "p", "client_email": "e", "private_key": pem_of(rsa_key())}
    (secrets / "apns.p8").write_text(pem_of(p256_key()))
    (secrets / "fcm.json").write_text(json.dumps(account))
    (secrets / "vapid.pem").write_text(pem_of(p256_key()))
    Authority(secrets)
    for name in ("tls.crt", "tls.key"):
        (secrets / name).write_bytes((secrets / "server.pem").read_bytes())
    return tmp_path


def read(text: str, directory: Path, environ: Mapping[str, str] = ENVIRON) -> Settings:
    (directory / "c.yaml").write_text(text, encoding="utf-8")
    settings, problems = check(directory / "c.yaml", environ)
    assert [str(problem) for problem in problems] == []
    assert settings is not None
    return settings


def test_the_examples_work_as_they_stand(tmp_path: Path) -> None:
    settings = read(EXAMPLES, tmp_path, environ={})
    assert list(settings.sources) == ["hr", "core-banking", "budget"]


@pytest.mark.parametrize("count", range(1, len(BLOCKS) + 1))
def test_each_block_of_the_examples_can_be_switched_on(count: int, directory: Path) -> None:
    text = EXAMPLES
    for block in BLOCKS[:count]:
        text = text.replace(block, block.replace("#>", ""))
    read(text, directory)


def test_the_examples_with_everything_on_show_no_secret(directory: Path) -> None:
    settings = read(EXAMPLES.replace("#>", ""), directory)
    common = {each.platform for each in services() if not each.is_rare}
    assert settings.hubs["example"].platforms.configured == common
    assert set(settings.sources) >= {"shop", "account", "approvals", "cloud"}
    for secret in ("apns.p8", "fcm.json", "vapid.pem"):
        assert (directory / "secrets" / secret).read_text()[40:80] not in repr(settings)


BODIES = {
    "hr": b"Employee Id '12345' has joined.",
    "core-banking": b'{"postingId": "p-1", "kind": "debit", "amount": 720.5, "currency": "CHF", "customerId": "c9",'
    b' "accountId": "CH9300762011", "bookedAt": "2026-03-02T11:00:00", "merchant": {"name": "Mountain Hut"}}',
    "budget": b"<ApprovalRequest><RequestNo>BR-7</RequestNo><State>Requested</State><Amount>1500.00</Amount>"
    b"<ApproverId>ann@example.com</ApproverId><CostCenter>4711</CostCenter><RequesterName>Bob</RequesterName>"
    b"</ApprovalRequest>",
}


@pytest.mark.parametrize(
    "source, body, fired",
    [
        (
            "hr",
            BODIES["hr"],
            ["employee-joined", "team:hr", {"title": "Welcome", "body": "Employee 12345 has joined."}],
        ),
        (
            "core-banking",
            BODIES["core-banking"],
            [
                "debit-over-threshold",
                "customer:c9 && topic:debits",
                {"title": "Card debit CHF 720.5", "body": "Mountain Hut, account ••••2011"},
            ],
        ),
        ("core-banking", BODIES["core-banking"].replace(b"720.5", b"120.5"), None),
        (
            "budget",
            BODIES["budget"],
            [
                "budget-approval-requested",
                "$UserId:{ann@example.com}",
                {"title": "Approval needed: 4711", "body": "Bob asks for CHF 1500.00"},
            ],
        ),
    ],
)
def test_the_events_of_the_examples_fire_their_rules(
    source: str, body: bytes, fired: list[object] | None, tmp_path: Path
) -> None:
    settings = read(EXAMPLES, tmp_path)
    configured = settings.sources[source]
    decoded = decoder_for(configured.decode_settings)(Message(source=source, body=body))
    event_map = configured.event_map(source, ZoneInfo(settings.bridge.timezone))
    event = event_map.event(DecodedMessage(data=decoded.data, meta={}), now=NOW)
    said = []
    for intent in settings.rules.route(event, now=NOW).intents:
        content = intent.notification.content
        assert isinstance(content, TemplateContent)
        assert intent.notification.hub == "example"
        said.append([intent.rule, str(intent.notification.audience), dict(content.properties)])
    assert said == ([fired] if fired else [])


def test_settings_are_in_seconds_and_bytes_whatever_the_file_says(tmp_path: Path) -> None:
    settings = read(
        """
        bridge: { shutdown: { delay: 3s, drain: 1m }, store: { url: "sqlite:////var/lib/x.db" } }
        delivery: { retry: { max_age: 1h, backoff: { base: 500ms, cap: 2m } } }
        sources:
          s: { http: { path: /in/s, receive: { max_in_flight: 9 } }, decode: { max_body: 64KiB }, map: { id: "{{ data }}" }}
        """,
        tmp_path,
    )
    assert (settings.bridge.shutdown.delay, settings.bridge.shutdown.drain) == (3.0, 60.0)
    assert settings.store_path == Path("/var/lib/x.db")
    retry = settings.delivery.retry
    assert (retry.max_age, retry.backoff.base, retry.backoff.cap) == (3600.0, 0.5, 120.0)
    source = settings.sources["s"]
    assert isinstance(source.connector_settings, HttpSettings)
    assert (source.connector_settings.receive.max_in_flight, source.decode.max_body) == (9, 65_536)


def test_the_limits_of_a_hub_raise_all_three_limits_for_the_rules_of_its_hub(tmp_path: Path) -> None:
    tags = " && ".join(f"t{n}" for n in range(50))
    text = f"""
        hubs: {{ a: {{ limits: {{ max_tags_per_expression: 100 }} }} }}
        rules: [ {{ name: r, push: {{ to: "{tags}", with: {{ a: b }} }} }} ]
    """
    settings = read(text, tmp_path)
    assert settings.hubs["a"].limits.max_tags == MaxTags(only_or=100, only_and=100, mixed=100)


def test_an_http_source_of_cloudevents_decodes_them_unless_told_otherwise(tmp_path: Path) -> None:
    text = "sources: { s: { http: { path: /in/s, format: cloudevents }, decode: { pattern: x } } }"
    assert asdict(read(text, tmp_path).sources["s"].decode_settings) == {
        "format": "cloudevents",
        "pattern": "x",
        "root": None,
        "types": {},
        "lists": (),
        "columns": (),
        "header": None,
        "delimiter": ",",
        "fields": {},
        "length": None,
        "split": None,
        "schema": None,
        "registry": None,
        "key": None,
        "schemas": {},
        "encoding": None,
        "timezone": UTC,
        "max_body": 1_048_576,
    }


def test_files_are_looked_for_beside_the_configuration(directory: Path) -> None:
    settings = read("listeners: { hub_api: { tls: { cert: secrets/tls.crt, key: secrets/tls.key } } }", directory)
    assert settings.listeners.hub_api.tls is not None
    assert settings.listeners.hub_api.tls.cert == directory / "secrets" / "tls.crt"


@pytest.mark.parametrize(("receive", "rate", "most"), [("", 0.1, 90), ("receive: { max_in_flight: 901 }", 1, 900)])
def test_a_rate_at_which_a_broker_takes_back_what_it_handed_out_is_refused_with_what_fits(
    receive: str, rate: float, most: int, tmp_path: Path
) -> None:
    queue = "url: amqp://localhost, queue: { name: q }"
    text = "sources: {{ a: {{ rabbitmq: {{ {} }}, rate: {{ per_second: {} }}, map: {{ id: x }} }} }}"
    (tmp_path / "c.yaml").write_text(text.format(f"{queue}, {receive}", rate))
    settings, problems = check(tmp_path / "c.yaml", ENVIRON)
    assert settings is None
    assert f"set rabbitmq.receive.max_in_flight to {most} at most" in "\n".join(map(str, problems))
    (tmp_path / "c.yaml").write_text(text.format(f"{queue}, receive: {{ max_in_flight: {most} }}", rate))
    fits, _ = check(tmp_path / "c.yaml", ENVIRON)
    assert fits is not None
    assert fits.sources["a"].rate == Rate(per_second=rate)
