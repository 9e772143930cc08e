"""A secret that stands in a file as it is, is warned of once at its place, and is not shown."""

from pathlib import Path

import pytest

from bridge.config.load import check
from tests.bridge.examples import complaints

SECRET = "warning: this secret stands in clear: all who can read this file, or a copy, can use it"
PASSWORD = "warning: the password in this URL stands in clear: all who can read this file, or a copy, can use it"
WRITE = "(write ${env:NAME} or ${file:/path})"
IN_URL = "(write ${env:NAME} or ${file:/path} in the password's place, or for the whole URL)"


def source(connector: str) -> str:
    return f'sources: {{ s: {{ {connector}, map: {{ id: "{{{{ data.id }}}}" }} }} }}'


def rabbit(url: str) -> str:
    return source(f'rabbitmq: {{ url: "{url}", queue: {{ name: q }} }}')


KEY = "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=%s"
BUS = f'servicebus: {{ connection: {{ connection_string: "{KEY}" }}, queue: {{ name: q }} }}'
WNS = "hubs: { app: { platforms: { wns: { tenant: t, client_id: c, client_secret: %s } } } }"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (source("http: { path: /in/s, auth: { bearer: canary } }"), f"sources.s.http.auth.bearer: {SECRET} {WRITE}"),
        (
            source('http: { path: /in/s, auth: { bearer: [ "${env:A}", canary ] } }'),
            f"sources.s.http.auth.bearer[1]: {SECRET} {WRITE}",
        ),
        (
            source("http: { path: /in/s, auth: { basic: { username: u, password: canary } } }"),
            f"sources.s.http.auth.basic.password: {SECRET} {WRITE}",
        ),
        (source(BUS % "canary"), f"sources.s.servicebus.connection.connection_string: {SECRET} {WRITE}"),
        (rabbit("amqp://user:canary@host/"), f"sources.s.rabbitmq.url: {PASSWORD} {IN_URL}"),
        (rabbit("amqp://${env:A}:canary@host/"), f"sources.s.rabbitmq.url: {PASSWORD} {IN_URL}"),
        (rabbit("amqp://user:$${canary@host/"), f"sources.s.rabbitmq.url: {PASSWORD} {IN_URL}"),
        (WNS % "canary", f"hubs.app.platforms.wns.client_secret: {SECRET} {WRITE}"),
        (
            "bridge: { egress: { proxy: 'http://me:canary@proxy:3128' } }",
            f"bridge.egress.proxy: {PASSWORD} {IN_URL}",
        ),
    ],
)
def test_a_secret_in_clear_is_warned_of_at_its_place(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    for no_secrets in (False, True):
        _, problems = check(file, environ={"A": "from-outside"}, no_secrets=no_secrets)
        (found,) = map(str, problems)
        assert found.endswith(f": {said}")
        assert "canary" not in found
        line, column = text.splitlines()[problems[0].mark.line - 1], problems[0].mark.column
        assert line[column - 1 :].startswith(("canary", "amqp", "http", "Endpoint"))


@pytest.mark.parametrize(
    "text",
    [
        source('http: { path: /in/s, auth: { bearer: "${env:A}" } }'),
        source('http: { path: /in/s, auth: { bearer: "${env:NONE:-only-for-trying-it-out}" } }'),
        source(BUS % "${env:A}"),
        rabbit("amqp://host/"),
        rabbit("amqp://user:${env:A}@host/"),
        rabbit("${env:NONE:-amqp://guest:guest@host/}"),
        rabbit("amqp://user@host/"),
        "bridge: { egress: { proxy: 'http://proxy:3128' } }",
    ],
)
def test_what_is_filled_in_or_no_secret_is_not_warned_of(text: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert check(file, environ={"A": "from-outside"})[1] == []


def test_what_is_a_mistake_is_not_warned_of_as_well(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, "bridge: { egress: { proxy: 'http://me:canary@proxy:3128/path' } }")
    assert "not a proxy" in found
