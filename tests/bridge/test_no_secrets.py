"""`check --no-secrets`: what a secret would fill in is right where it stands, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.config.keys import KeyOfModel, all_keys, type_in_words
from bridge.config.load import check
from bridge.config.models.document import Document
from bridge.config.placeholders import Filler
from rules.node import Mark, Node
from rules.problems import Problems
from sandbox.tls import Authority

KEYS = [
    key
    for key in all_keys(Document)
    if not key.path.startswith(("rules", "defaults")) and "object" not in type_in_words(key.annotation, key.constraints)
]

WHOLE = (Path(__file__).parent / "withheld.yaml").read_text()


def problems_of(directory: Path, text: str) -> list[str]:
    (directory / "c.yaml").write_text(text)
    settings, problems = check(directory / "c.yaml", environ={}, no_secrets=True)
    assert settings is None
    return [str(problem).partition("c.yaml:")[2].partition(": ")[2] for problem in problems]


@pytest.fixture(autouse=True)
def pair(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    Authority(tmp_path / "pair")


@pytest.mark.parametrize("key", KEYS, ids=[key.path for key in KEYS])
def test_every_key_has_a_value_for_what_is_withheld(key: KeyOfModel) -> None:
    mark, written = Mark("c.yaml", 1, 1), "${env:NAME}"
    node = Node(key=key.path, mark=mark, key_mark=mark, value=written, text=written, written=written)
    words = type_in_words(key.annotation, key.constraints)
    if words.endswith("by name"):
        node = replace(node, key="", value={"name": node})
    elif words.startswith("list") and not words.endswith("commas"):
        node = replace(node, key="", value=[node])
    problems = Problems()
    problems.withhold(mark, key.path)
    assert written not in str(
        Filler(problems, {}).fill(node, key.annotation, key.constraints, Document.model_config).plain()
    )


def test_a_configuration_full_of_secrets_has_no_mistake(tmp_path: Path) -> None:
    assert problems_of(tmp_path, WHOLE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("0.0.0.0:${env:ADMIN_PORT}", "0.0.0.0:x${env:ADMIN_PORT}", "listeners.admin.address: not an address"),
        ("admin: { address: ", "admin: { adress: ", "listeners.admin.adress: unknown key (did you mean address?)"),
        ("max_pending: ", "max_pendng: ", "bridge.store.max_pendng: unknown key (did you mean max_pending?)"),
        ("amqps://u", "amq://u", "sources.shop.rabbitmq.url: not an AMQP URL"),
        ("sqlite:///", "sqlite:/", "bridge.store.url: not a store"),
        ("name: \"${env:QUEUE}\"", "nme: \"${env:QUEUE}\"", "sources.shop.rabbitmq.queue: name is missing"),
        ("key: pair/server.pem", "key: pair/none.pem", "listeners.hub_api.tls.key: there is no file"),
        ("basic: { username: u,", "basic: { username: \"a:b\",", "username: expected a name without a colon"),
        ("team_id: ABCDE12345", "team_id: abc", "team_id: expected ten capital letters"),
        ("key: \"${file:apns.p8}\", ", "", "hubs.app.platforms.apns: key is missing"),
        ("topic: t, ", "", "write either queue, or topic and subscription"),
        ("data.amount > ${env:LIMIT}", "data.amount >> ${env:LIMIT}", "rules[0].when: "),
        ("team:${env:TEAM} && !vip", "team:${env:TEAM} && && vip", "rules[0].push.to: "),
        ("aps: { alert: a }", "asp: { alert: a }", "rules[0].push.native.apns.payload"),
        ("hub: app", "hub: ap", "rules[0].push.hub: "),
        ('string: "${env:FAR}"', 'string: "nothing ${env:FAR}"', "hubs.far.remote"),
    ],
)  # fmt: skip
def test_a_mistake_beside_a_secret_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert right in WHOLE
    found = problems_of(tmp_path, WHOLE.replace(right, wrong, 1))
    assert any(said in problem for problem in found), found


def test_a_file_that_is_mounted_where_the_daemon_runs_is_no_mistake_and_one_of_the_configuration_is(
    tmp_path: Path,
) -> None:
    text = """
bridge:
  store:
    url: postgresql://bridge@db/bridge
    password_file: /run/withheld/password
    tls: { ca_file: /run/withheld/ca.pem }
listeners: { hub_api: { address: 0.0.0.0:8443, tls: { cert: /run/withheld/tls.crt, key: /run/withheld/tls.key } } }
hubs: { app: {} }
"""
    assert problems_of(tmp_path, text) == []
    (found,) = problems_of(tmp_path, text.replace("/run/withheld/ca.pem", "withheld/ca.pem"))
    assert "bridge.store.tls.ca_file: there is no file" in found


def test_a_value_that_is_withheld_in_one_file_hides_nothing_in_another(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        'hubs: { app: {} }\nrules: [ { name: a, push: { to: "${env:TO}", with: { x: y } } } ]'
    )
    (tmp_path / "b.yaml").write_text('rules: [ { name: b, push: { to: "a &&", with: { x: y } } } ]')
    _, problems = check(tmp_path, environ={}, no_secrets=True)
    assert [(Path(problem.mark.file).name, problem.key) for problem in problems] == [("b.yaml", "rules[0].push.to")]
