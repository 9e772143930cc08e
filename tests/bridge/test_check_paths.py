"""`check` of several files and directories, without secrets, and with warnings that fail."""

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from bridge.cli.main import app
from bridge.config.load import check
from bridge.config.watch import fingerprint
from rules.document import files_of

SOURCES = (
    "sources: { erp: { http: { path: /in/erp, auth: { bearer: '${env:TOKEN}' } }, map: { id: '{{ data.id }}' } } }\n"
)
HUBS = "hubs: { app: {} }\n"
RULES = "rules: [ { name: NAME, push: { to: everyone, with: { title: a } } } ]\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], env={"TOKEN": None})


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Rules of all environments, and what differs between them."""
    for name in ("rules/bank", "rules/.git", "env"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "rules" / "hr.yaml").write_text(RULES.replace("NAME", "hr"))
    (tmp_path / "rules" / "bank" / "debit.yml").write_text(RULES.replace("NAME", "debit"))
    (tmp_path / "rules" / ".git" / "old.yaml").write_text("this: is not read")
    for name in ("dev", "prod"):
        (tmp_path / "env" / f"{name}.yaml").write_text(SOURCES + HUBS)
    return tmp_path


def test_several_paths_and_sub_directories_are_one_configuration(layout: Path) -> None:
    paths = [layout / "env" / "dev.yaml", layout / "rules"]
    settings, problems = check(paths, {"TOKEN": "t"})
    assert settings is not None, problems
    assert [rule.name for rule in settings.rules.rules] == ["hr", "debit"]
    assert settings.directory == layout / "env"
    before = fingerprint(paths)
    (layout / "rules" / "bank" / "debit.yml").write_text(RULES.replace("NAME", "credit"))
    assert fingerprint(paths) != before


def test_a_file_that_is_named_twice_is_read_once(layout: Path) -> None:
    settings, problems = check([layout / "env" / "dev.yaml", layout / "env" / "dev.yaml"], {"TOKEN": "t"})
    assert settings is not None, problems


def test_what_two_paths_say_is_a_mistake_that_names_both(layout: Path) -> None:
    _, problems = check(layout, {"TOKEN": "t"})
    found = [str(problem).replace(f"{layout}/", "") for problem in problems]
    assert "env/prod.yaml:1:12: sources.erp: duplicate key (first at env/dev.yaml:1)" in found


def test_without_secrets_what_they_fill_in_is_taken_for_right(layout: Path) -> None:
    paths = [str(layout / "env" / "dev.yaml"), str(layout / "rules")]
    assert run(*paths).exit_code == 1
    assert run("--no-secrets", *paths).exit_code == 0


@pytest.mark.parametrize(
    "section",
    [
        "bridge: { http: { connections: { max: '${env:MAX}' } } }",
        "bridge: { log: { level: '${env:LEVEL}' }, shutdown: { drain: '${env:DRAIN}' } }",
        "hubs: { a: { platforms: { fcm: { service_account: '${file:missing.json}' } } } }",
        "hubs: { a: { remote: { connection_string: '${env:HUB}' } } }",
    ],
)
def test_what_a_secret_has_to_look_like_is_not_asked(section: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(section)
    result = run("--no-secrets", str(file))
    assert (result.exit_code, result.output.endswith("valid, as far as can be said without secrets\n")) == (0, True)


def test_what_cannot_be_shown_without_secrets_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("bridge: { http: { connections: { max: '${env:MAX}' } } }")
    result = run("--no-secrets", "--show", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--show: nothing can be shown without the values of ${env:NAME}" in result.stderr


def test_without_secrets_every_other_mistake_is_named(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("hubs: { a: { platforms: { fcm: { service_account: '${file:x}', endpiont: x } } } }")
    result = run("--no-secrets", str(file))
    assert result.exit_code == 1
    assert "endpiont: unknown key" in result.output


def test_a_pipe_in_a_directory_is_not_waited_for(layout: Path) -> None:
    os.mkfifo(layout / "rules" / "pipe.yaml")
    assert layout / "rules" / "pipe.yaml" not in files_of([layout / "rules"])
    (layout / "rules" / "gone.yaml").symlink_to("nothing")
    assert "gone.yaml:1:1: cannot be read: " in run(str(layout / "rules")).output


def test_a_warning_fails_when_it_is_to(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("sources: { erp: { http: { path: /in/erp } } }")
    assert run(str(file)).exit_code == 0
    assert run("--strict", str(file)).exit_code == 1


def test_what_was_understood_is_shown_with_defaults_and_without_secrets(tmp_path: Path) -> None:
    file, again = tmp_path / "c.yaml", tmp_path / "again.yaml"
    file.write_text(
        "sources: { erp: { http: { path: /in/erp, auth: { bearer: canary } }, map: { id: '{{ data.id | upper }}' } } }\n"
        "hubs: { app: { auth: { sas: [ { name: all, rights: [Send, Manage], key: canary } ] } } }\n" + RULES
    )
    shown = run("--show", str(file)).stdout
    assert "canary" not in shown
    assert "key: (secret)" in shown
    assert "answer_timeout: 25s" in shown
    again.write_text(shown)
    # Without a warning, as (secret) is no secret in clear; and each value is written now, in a place of its own.
    assert yaml.safe_load(run("--show", str(again)).output) == yaml.safe_load(shown)


def test_a_rule_is_shown_with_what_it_has_by_default(tmp_path: Path) -> None:
    file, again = tmp_path / "c.yaml", tmp_path / "again.yaml"
    file.write_text(
        "hubs: { Bank: { default: true }, other: {} }\n"
        "defaults: { push: { ttl: 90m, collapse: same }, platforms: fcm }\n"
        "rules:\n"
        "  - { name: debit, push: { to: 'a || b && ${env:TOKEN}', with: { title: x }, ttl: 5400s } }\n"
        "  - { name: late, push: { hub: other, to: c, with: { title: y }, priority: normal, collapse: own }, when: }\n"
        "  - { name: quiet, match: { type: test }, stop: true }\n"
    )
    result = CliRunner().invoke(app, ["check", "--show", str(file)], env={"TOKEN": "canary"})
    assert "canary" not in result.stdout
    common = {"with": {"title": "x"}, "priority": "high", "collapse": "same", "ttl": "1h30m", "hub": "bank"}
    common["platforms"] = ["fcm"]
    assert yaml.safe_load(result.stdout)["rules"] == [
        {"name": "debit", "push": {"to": "a || b && ${env:TOKEN}"} | common, "stop": False},
        {
            "name": "late",
            "push": {"to": "c"}
            | common
            | {"with": {"title": "y"}, "priority": "normal", "collapse": "own", "hub": "other"},
            "stop": False,
        },
        {"name": "quiet", "match": {"type": "test"}, "stop": True},
    ]
    again.write_text(result.stdout)
    shown_again = CliRunner().invoke(app, ["check", "--show", str(again)], env={"TOKEN": "canary"}).stdout
    assert yaml.safe_load(shown_again) == yaml.safe_load(result.stdout)


def test_what_is_written_is_shown_with_its_place_and_a_default_without(tmp_path: Path) -> None:
    base, rules = tmp_path / "base.yaml", tmp_path / "rules.yaml"
    base.write_text(
        "hubs: { main: {} }\n"
        "sources: { erp: { http: { path: /in/erp } } }\n"
        "bridge:\n"
        "  log:\n"
        "    level: debug\n"
        "defaults: { push: { ttl: 90m } }\n"
    )
    rules.write_text(
        "rules:\n"
        "  - name: late\n"
        "    match: { type: order, data: { state: [open, late] } }\n"
        "    push:\n"
        "      to: everyone\n"
        "      with:\n"
        "        title: Late\n"
        f"        body: {'so late ' * 40}\n"
    )
    shown = run("--show", str(base), str(rules)).stdout
    for line in (
        f"    level: debug  # {base}:5",
        f"- name: late  # {rules}:2",
        f"    type: order  # {rules}:3",
        f"      title: Late  # {rules}:7",
        f"      # {rules}:8\n      body: so late so late",
        f"    ttl: 1h30m  # {base}:6\n    hub: main\n",
        "    drain: 20s\n",
    ):
        assert line in shown, line
    assert yaml.safe_load(shown)["rules"][0]["push"]["with"]["body"] == ("so late " * 40).strip()
