"""Headers compare without case wherever a rule or a map names one."""

from pathlib import Path
from typing import Any

import pytest

from bridge.decode.mapping import MAP_NAMES, DecodedMessage, EventMap
from rules.headers import Headers
from rules.render import compile_text
from tests.rules.support import NOW, event, load

LOWER = {"x-github-event": "push", "x-github-delivery": "72d3162e", "content-type": "application/json"}
MIXED = {"X-GitHub-Event": "push", "X-Github-Delivery": "72d3162e", "Content-Type": "application/json"}


@pytest.mark.parametrize("headers", [LOWER, MIXED], ids=["HTTP", "AMQP"])
@pytest.mark.parametrize(
    "rule",
    [
        "match: { meta: { headers: { X-GitHub-Event: push } } }",
        "match: { meta: { headers: { x-github-event: [pull, push] } } }",
        "match: { meta: { headers: { X-GITHUB-EVENT: { prefix: pu } } } }",
        "match: { meta: { headers: { X-GitHub-Event: { exists: true }, X-GitHub-Fork: { exists: false } } } }",
        "match: { meta: { headers: { X-GitHub-Event: { not: pull } } } }",
        "when: \"meta.headers['X-GitHub-Event'] == 'push'\"",
        "when: \"meta['headers']['x-github-event'] | upper == 'PUSH'\"",
        "when: \"'X-GitHub-Event' in meta.headers and 'X-GitHub-Fork' not in meta.headers\"",
        "when: \"meta.headers['X-GitHub-Fork'] is not defined\"",
        "when: \"meta.headers['X-' + data.name] == 'push'\"",
        "when: \"meta.headers['X-GitHub-Fork'] | default('none') == 'none'\"",
    ],
)
def test_a_rule_finds_a_header(rule: str, headers: dict[str, Any], tmp_path: Path) -> None:
    rules, problems = load(
        f"""
        rules:
          - name: r
            {rule}
            push: {{ to: everyone, with: {{ a: "{{{{ meta.headers['X-GITHUB-Delivery'] }}}}" }} }}
        """,
        tmp_path,
    )
    assert problems == []
    decision = rules.route(event({"name": "GitHub-Event"}, meta={"headers": headers}), now=NOW)
    assert decision.failures == ()
    assert [intent.notification.content.properties for intent in decision.intents] == [{"a": "72d3162e"}]  # type: ignore[union-attr]


@pytest.mark.parametrize("headers", [LOWER, MIXED], ids=["HTTP", "AMQP"])
def test_a_map_finds_a_header(headers: dict[str, Any]) -> None:
    id_ = compile_text("{{ meta.headers['X-GitHub-Delivery'] }}", MAP_NAMES)
    type_ = compile_text("git.{{ meta.headers['x-GitHub-event'] }}", MAP_NAMES)
    given = DecodedMessage(data={}, meta={"headers": headers})
    mapped = EventMap(origin="bank", id=id_, type=type_).event(given, now=NOW)
    assert (mapped.id, mapped.type) == ("72d3162e", "git.push")
    assert mapped.meta == {"headers": headers}


def test_the_exact_name_comes_first_and_then_the_first_one() -> None:
    headers = Headers({"tenant": 1, "Tenant": 2, "TENANT": None})
    assert [headers[name] for name in ("tenant", "Tenant", "TENANT", "tEnAnT")] == [1, 2, None, 1]
    assert [headers.get(name) for name in ("Tenant", "tEnAnT", "other")] == [2, 1, None]
    assert ("tenAnt" in headers, "other" in headers) == (True, False)
    with pytest.raises(KeyError):
        headers["other"]
