"""What a draft of the playground begins with: every recipe's rules as they are written, the rest without a secret."""

import json
from pathlib import Path

import pytest
import yaml

from bridge.trial.playground.attempt import DraftFiles, checked
from bridge.trial.playground.configuration import printed

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    {path.parent for path in (ROOT / "docs/cookbook").rglob("*.yaml") if not path.name.endswith(".test.yaml")}
)
CONFIGURATIONS = [ROOT / "examples.yaml", *RECIPES]


def begun(*paths: Path) -> tuple[DraftFiles, str]:
    read = json.loads(printed(paths))
    assert "mistake" not in read, read
    files = DraftFiles(
        directory=Path(read["directory"]), configuration=read["configuration"].encode(), rules=read["rules"].encode()
    )
    return files, read["rules"]


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_the_rules_of_every_recipe_can_be_tried(path: Path) -> None:
    files, rules = begun(path)
    settings, problems = checked(files)
    assert settings is not None, problems
    assert settings.rules.rules
    assert yaml.safe_load(rules)["rules"]


SECRETS = """
bridge: { timezone: Europe/Zurich, store: { url: "postgresql://u:canary-store@db/x" } }
listeners: { admin: { address: "127.0.0.1:0", auth: { bearer: canary-admin } } }
sources:
  broker: { rabbitmq: { url: "amqps://u:canary-broker@b/", queue: { name: q } } }
  hook: { http: { path: /in, auth: { bearer: [canary-one, "${env:TWO}"] } }, map: { id: "{{ data.id }}", type: x } }
hubs:
  app:
    auth: { sas: [ { name: Full, rights: [Listen, Send, Manage], key: [canary-key] } ] }
    platforms:
      apns: { key: "${file:canary.p8}", key_id: ABCDEFGHIJ, team_id: ABCDEFGHIJ, topic: org.example.app }
      wns: { tenant: t, client_id: c, client_secret: canary-wns }
"""
RULE = "{ name: %s, source: hook, push: { to: everyone, with: { title: '%s' } } }"


def test_no_secret_is_in_what_a_try_is_given(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(SECRETS + f"rules: [ {RULE % ('a', 'x')} ]\n")
    read = printed([tmp_path / "c.yaml"]).decode()
    assert "canary-" not in read
    files, _ = begun(tmp_path / "c.yaml")
    settings, problems = checked(files)
    assert settings is not None, problems
    assert settings.bridge.timezone == "Europe/Zurich"
    assert {platform.value for platform in settings.hubs["app"].platforms.configured} == {"apns", "wns"}


def test_rules_of_several_files_are_joined_with_their_comments(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        SECRETS + f"rules:\n- {RULE % ('a', '# no comment')} # one\n# of the next section\n"
    )
    (tmp_path / "b.yaml").write_text(f"rules:\n    # two\n    - {RULE % ('b', 'x')}\n")
    _, rules = begun(tmp_path)
    assert [rule["name"] for rule in yaml.safe_load(rules)["rules"]] == ["a", "b"]
    assert "# one" in rules
    assert "# two" in rules
    assert "next section" not in rules


def test_an_anchor_of_another_section_is_written_out(tmp_path: Path) -> None:
    text = SECRETS.replace("id: ABC", "id: ABC").replace("topic: org.example.app", "topic: &app org.example.app")
    rule = "rules:\n- { name: a, source: hook, push: { to: everyone, with: { title: *app } } }\n"
    (tmp_path / "c.yaml").write_text(text + rule)
    files, rules = begun(tmp_path / "c.yaml")
    assert yaml.safe_load(rules)["rules"][0]["push"]["with"]["title"] == "org.example.app"
    assert checked(files)[0] is not None


def test_a_configuration_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("rules: [")
    assert "c.yaml:2:1: not YAML" in json.loads(printed([tmp_path / "c.yaml"]))["mistake"]
