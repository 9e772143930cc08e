"""`hubs.NAME.registration`: each mistake is named with its place, and what is right is read as it is meant."""

from decimal import Decimal
from pathlib import Path

import pytest

from bridge.config.load import check
from hub.notification import Platform

WHOLE = """
hubs:
  acme-bank:
    registration:
      path: /register
      auth: { oidc: { issuer: "https://login.acme.example", audience: acme-mobile } }
      tags: [ "customer:{{ claims.customer_id }}" ]
      topics: { debits: { levels: [100, 499.95, 1000] }, offers: {} }
      templates:
        apns: '{"aps":{"alert":{"title":"$(title)"}}}'
        fcm: { body: '{"message":{"data":{"a":"$(title)"}}}', locales: { de-CH: '{"message":{"data":{"a":"$(t)"}}}' } }
"""
AUTH = 'auth: { oidc: { issuer: "https://login.acme.example", audience: acme-mobile } }'


def problems_of(registration: str, directory: Path) -> list[str]:
    """What `check` says of a registration, without the path that all of it has."""
    (directory / "c.yaml").write_text(f"hubs: {{ app: {{ registration: {registration} }} }}")
    _, problems = check(directory / "c.yaml", environ={})
    return [str(problem).partition("hubs.app.registration")[2].lstrip(".") for problem in problems]


def test_it_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(WHOLE)
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert problems == []
    assert settings is not None
    registration = settings.hubs["acme-bank"].registration
    assert registration is not None
    assert registration.amounts == {"debits": (Decimal(100), Decimal("499.95"), Decimal(1000)), "offers": ()}
    assert registration.auth.oidc.audience == ("acme-mobile",)
    templates = registration.templates.by_platform
    assert templates.keys() == {Platform.APNS, Platform.FCM}
    assert templates[Platform.APNS].template.body == '{"aps":{"alert":{"title":"$(title)"}}}'
    assert list(templates[Platform.FCM].by_locale) == ["de-ch"]


@pytest.mark.parametrize(
    ("registration", "said"),
    [
        ("{ path: /x }", ": auth is missing"),
        (f"{{ {AUTH}, path: /messages }}", "path: this path is one of the wire API"),
        (f"{{ {AUTH}, path: /a/b }}", "path: expected a path such as /register"),
        (f"{{ {AUTH.replace('https', 'http')} }}", "auth.oidc.issuer: keys that come in clear"),
        (f"{{ {AUTH.replace('audience', 'algorithms: [HS256], audience')} }}", "auth.oidc.algorithms[0]: expected"),
        (f"{{ {AUTH.replace('audience', 'algorithms: [none], audience')} }}", "auth.oidc.algorithms[0]: expected"),
        (f"{{ {AUTH.replace('audience', 'clock_skew: 1h, audience')} }}", "auth.oidc.clock_skew: should be less"),
        (f'{{ {AUTH}, tags: [ "{{{{ claims.x }}}}" ] }}', "tags[0]: begin the tag with a word of your own"),
        (f'{{ {AUTH}, tags: [ "a:{{{{ claim.x }}}}" ] }}', "tags[0]: there is no name 'claim' (did you mean claims?)"),
        (f'{{ {AUTH}, tags: [ "topic:x" ] }}', "tags[0]: tags that begin with topic: are those of topics"),
        (f'{{ {AUTH}, tags: [ "$UserId:{{{{ claims.x }}}}" ] }}', "tags[0]: a tag has letters"),
        (f"{{ {AUTH}, topics: {{ debits: {{ levels: [500, 100] }} }} }}", "topics.debits.levels: write the levels"),
        (f"{{ {AUTH}, topics: {{ debits: {{ levels: [-1] }} }} }}", "topics.debits.levels: a level is a number"),
        (f'{{ {AUTH}, topics: {{ "a:b": {{}} }} }}', "topics.a:b: expected a name"),
        (f"{{ {AUTH}, topics: {{ a: {{}}, A: {{}} }} }}", ": tags compare without case: two topics are called a"),
        (f"{{ {AUTH}, templates: {{ apns: '{{' }} }}", "templates.apns: body: it is no JSON"),
        (f"{{ {AUTH}, templates: {{ fmc: x }} }}", "templates.fmc: unknown key (did you mean fcm?)"),
        (f"{{ {AUTH}, ttl: 1m }}", "ttl: should be greater"),
    ],
)
def test_a_mistake_is_named_with_its_place(registration: str, said: str, tmp_path: Path) -> None:
    problems = problems_of(registration, tmp_path)
    assert any(said in problem for problem in problems), problems
